"""The grammar's table is kept between processes, as data, and made again where it doesn't hold."""

from __future__ import annotations

import json
from pathlib import Path

import lark
import pytest
from mergec import grammar as front
from mergec.grammar import MergecError, SourceText, format_recipe, kept_table, text

RECIPE = 'let a = "org/a"\nlet b = "org/b"\nsave linear(a, b, weights = [0.25, 1 - 0.5]) to "out"\n'
BROKEN = "let a = = 3\n"


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path))
    text._parser.cache_clear()
    yield tmp_path / "grammar" / "merge-table"
    text._parser.cache_clear()


def read(recipe: str) -> str:
    """A recipe's canonical text, by a process' first parser."""
    text._parser.cache_clear()
    return format_recipe(front.parse_text(SourceText("r.merge", recipe)))


def complaint() -> str:
    with pytest.raises(MergecError) as caught:
        read(BROKEN)
    return str(caught.value)


def refuse_to_build(*_: object, **__: object) -> None:
    raise AssertionError("the grammar was built again")


def test_a_kept_table_reads_and_complains_as_a_built_one(table, monkeypatch):
    built = read(RECIPE)
    first, expected = table.read_bytes(), complaint()
    monkeypatch.setattr(lark.Lark, "__init__", refuse_to_build)
    assert read(RECIPE) == built
    assert complaint() == expected
    assert table.read_bytes() == first
    assert [path.name for path in table.parent.iterdir()] == [table.name]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other grammar", "other Lark"])
def test_a_table_that_does_not_hold_is_made_again(table, damage, monkeypatch):
    built = read(RECIPE)
    good = table.read_bytes()
    if damage.startswith("other"):
        body = good.partition(b"\n")[2]
        key = "another grammar" if damage == "other grammar" else "1 0.0.0 "
        table.write_bytes(kept_table._heading(key, body) + b"\n" + body)
    else:
        at = good.index(b'"states"')
        worse = {"cut": good[:at], "changed": good[:at] + b" " + good[at + 1 :], "empty": b""}
        table.write_bytes(worse[damage])
    bad = table.read_bytes()
    assert read(RECIPE) == built
    assert table.read_bytes() != bad
    monkeypatch.setattr(lark.Lark, "__init__", refuse_to_build)
    assert read(RECIPE) == built


def test_a_table_that_others_may_write_is_not_read(table):
    built = read(RECIPE)
    table.write_bytes(planted := table.read_bytes() + b" ")
    table.parent.chmod(0o777)
    assert read(RECIPE) == built
    assert table.read_bytes() == planted


def test_no_place_for_a_table_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path / "file"))
    assert "linear" in read(RECIPE)


def test_what_is_kept_is_data(table):
    read(RECIPE)
    assert json.loads(table.read_bytes().partition(b"\n")[2]).keys() == {"data", "memo"}
