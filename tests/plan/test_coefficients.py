"""What each source gives where: in the terminal, on the page, in the manifest."""

from __future__ import annotations

from pathlib import Path

import mergec
import pytest
from click.testing import CliRunner
from mergec.cli.group import cli
from mergec.views.coefficients import coefficients
from mergec.views.html import plan_page
from support.checkpoints import tiny_mistral

RECIPE = """
let mix = slerp { "./a", "./b", t = match { self_attn: [0, 1], mlp: 0.25, o_proj: 9, _: 0.5 } }
save linear { mix weight=[1, 0], "./b" weight=0.5 } to "./out"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate("ab"):
        tiny_mistral(tmp_path / name, seed, 3, 16, 32)
    (tmp_path / "recipe.merge").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_terminal_shades_layers_by_modules(place: Path) -> None:
    result = CliRunner().invoke(cli, ["plan", "recipe.merge", "--coefficients"])
    assert result.exit_code == 0, result.stderr
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[:2] == ["mix  slerp", "  all sources  t"]
    by_module = {line.split()[0]: line.split(None, 1)[1].strip() for line in lines[2:8]}
    assert by_module["self_attn"] == "▅█  0 … 1"
    assert by_module["mlp"] == "▃▃▃  0.25"
    assert by_module["embed_tokens"].split() == ["▅", "0.5"]
    assert "  mix  weight" in lines and "  ./b  weight  0.5 everywhere" in lines


def test_tensors_of_a_module_that_differ_have_rows_of_their_own(place: Path) -> None:
    text = RECIPE.replace("self_attn: [0, 1], mlp: 0.25, o_proj: 9", "q_proj: 1, self_attn: 0")
    (place / "recipe.merge").write_text(text)
    first, *_ = coefficients(mergec.compile("recipe.merge").bound)
    rows = {row.module: [cell.value for cell in row.cells] for row in first.rows}
    assert rows["self_attn.q_proj"] == [1, 1, 1] and rows["self_attn.o_proj"] == [0, 0, 0]
    assert rows["mlp"] == [0.5, 0.5, 0.5]


def test_the_page_draws_them(place: Path) -> None:
    page = plan_page(mergec.compile("recipe.merge"))
    assert 'id="coefficients"' in page
    assert "layer 1: 0.5" in page and 'fill-opacity="0.5"' in page


def test_card_and_manifest_say_it_in_words(place: Path) -> None:
    import json

    mergec.run("recipe.merge")
    facts = json.loads((place / "out" / "mergec.json").read_text())["coefficients"]
    assert facts[0]["modules"]["self_attn"] == "0 … 1"
    assert "self_attn: 0 … 1" in (place / "out" / "README.md").read_text()


def test_a_slices_columns_are_those_of_its_own_layers(place: Path) -> None:
    text = (
        'save stack { "./a"[0:1], linear { "./a"[1:3] weight=[0, 1], "./b"[1:3] weight=1 } } to "o"'
    )
    first, *_ = coefficients(mergec.compile(f"{text}\n").bound)
    attention = next(row for row in first.rows if row.module == "self_attn")
    assert [cell.value for cell in attention.cells] == [0, 1]
