"""Recipes whose stages or imports form long chains."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import mergec
import pytest
from mergec.errors import MergecError
from mergec.views.plan_text import plan_text
from support.checkpoints import tiny_mistral

LINKS = 2000


def chain(links: int, link: str) -> str:
    lets = [f"let m{i} = {link.format(f'm{i - 1}')}" for i in range(1, links + 1)]
    return "\n".join(['let m0 = "./a"', *lets, f'save m{links} to "./o"'])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a", "b")):
        tiny_mistral(tmp_path / name, seed, layers=1, hidden=16)
    return tmp_path


def compiled(text: str, folder: Path) -> mergec.Plan:
    (folder / "r.merge").write_text(text, encoding="utf-8")
    return mergec.compile(str(folder / "r.merge"))


@pytest.mark.slow
@pytest.mark.parametrize("link", ["{}[0:1]", '{} + 0.1 * ("./b" - "./a")', "stack {{ {} }}"])
def test_a_long_chain_of_stages_compiles(folder: Path, link: str) -> None:
    before = sys.getrecursionlimit()
    plan = compiled(chain(LINKS, link), folder)
    assert len(plan.bound.stages) >= LINKS
    assert sys.getrecursionlimit() == before


SLERP = 'slerp {{ {}, "./b", t = 0.1 }}'


def test_a_tower_of_slerps_compiles_in_time_that_grows_with_its_height(folder: Path) -> None:
    started = time.process_time()
    plan = compiled(chain(200, SLERP), folder)
    assert len(plan.choices[0].sweeps) == 201
    assert time.process_time() - started < 5


@pytest.mark.slow
def test_a_very_tall_tower_is_planned_and_printed(folder: Path) -> None:
    plan = compiled(chain(LINKS, SLERP), folder)
    lines = list(plan_text(plan, "0"))
    for number in range(1, LINKS + 1):
        assert sum(f" m{number}  slerp" in f" {line}" for line in lines) == 1
    assert max(map(len, lines)) < 400


def test_a_long_chain_of_imports_compiles(folder: Path) -> None:
    (folder / "i0.merge").write_text('let x = "./a"', encoding="utf-8")
    for i in range(1, LINKS + 1):
        text = f'import "i{i - 1}.merge" as p\nlet x = p.x'
        (folder / f"i{i}.merge").write_text(text, encoding="utf-8")
    assert compiled(f'import "i{LINKS}.merge" as p\nsave p.x to "./o"', folder).choices


def test_a_longer_chain_is_an_error_with_a_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergec.compiler.recursion._LIMIT", 1500)
    before = sys.getrecursionlimit()
    with pytest.raises(MergecError) as caught:
        compiled(chain(LINKS, "{}[0:1]"), folder)
    assert [d.code for d in caught.value.diagnostics] == ["E0109"]
    assert sys.getrecursionlimit() == before
