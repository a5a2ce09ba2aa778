"""Recipes whose stages or imports form long chains."""

from __future__ import annotations

import sys
from pathlib import Path

import mergec
import pytest
from mergec.errors import MergecError
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


def test_slerps_of_slerps_compile(folder: Path) -> None:
    # Few tensors and no more links: the planner weighs every sweep of the tower.
    assert compiled(chain(60, 'slerp {{ {}, "./b", t = 0.1 }}'), folder).choices


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
