"""A plan is complete: a run needs nothing of what it was made of, and finds nothing out late."""

from __future__ import annotations

import ast
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mergec.compiler.planning.plan import Plan
from mergec.errors import CheckpointError, MergecError
from mergec.runtime.run import run_plan
from mergec.runtime.workers import Workers
from support.checkpoints import tiny_mistral
from support.merging import plan_recipe, read_checkpoint

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
THE_PLAN = {"graph.graph", "sweeps.components", "sweeps.program"} | {
    f"planning.{name}"
    for name in (
        "plan",
        "planned_output",
        "content_keys",
        "lineage",
        "strategies",
        "estimate",
        "machine",
    )
}
"""What a run may know of the compiler, beside kernels: the types that a plan consists of."""

RECIPE = 'save linear { "org/a" weight=1, "org/b" weight=1 } to "./out"'


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    for seed, name in enumerate("ab"):
        tiny_mistral(tmp_path / "models" / "org" / name, seed, layers=1)
    return tmp_path / "models"


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails as soon as anything is computed."""

    def compute(self: Workers) -> None:
        raise AssertionError("tensors are computed already")

    monkeypatch.setattr(Workers, "start", compute)


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=lambda path: path.stem)
def test_the_runtime_knows_only_the_plan(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("compiler"):
            room = (node.module or "").removeprefix("compiler.")
            assert room in THE_PLAN or room.startswith("kernels."), f"{path.name} imports {room}"


def test_a_run_needs_nothing_that_the_plan_was_made_of(mirror: Path, tmp_path: Path) -> None:
    plan = plan_recipe(RECIPE, tmp_path / "out", models=[mirror])
    gone: Any = None
    alone: Plan = replace(plan, bound=gone, request=gone, source=gone, graph=gone)
    assert run_plan(alone).tensors == 12
    assert len(read_checkpoint(tmp_path / "out")) == 12


def test_a_config_that_cannot_be_written(mirror: Path, tmp_path: Path) -> None:
    path = mirror / "org" / "a" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "\ud800"}))
    with pytest.raises(CheckpointError, match="E0612"):
        plan_recipe(RECIPE, tmp_path / "out", models=[mirror])


def test_a_tokenizer_that_cannot_be_read(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mirror / "org" / "a" / "tokenizer.json").touch()
    opened = os.open

    def deny(path: Any, *args: Any, **kwargs: Any) -> Any:
        if Path(path).name == "tokenizer.json":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(CheckpointError, match="E0603"):
        plan_recipe(RECIPE, tmp_path / "out", models=[mirror])


def test_a_tokenizer_that_is_gone_since(mirror: Path, tmp_path: Path, untouched: None) -> None:
    tokenizer = mirror / "org" / "a" / "tokenizer.json"
    tokenizer.touch()
    plan = plan_recipe(RECIPE, tmp_path / "out", models=[mirror])
    tokenizer.unlink()
    with pytest.raises(CheckpointError, match="E0602"):
        run_plan(plan)


def test_an_output_that_is_a_loop_of_links(mirror: Path, tmp_path: Path, untouched: None) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "out")
    with pytest.raises(MergecError, match="E0502"):
        run_plan(plan_recipe(RECIPE, tmp_path / "out", models=[mirror]))
    assert not list(tmp_path.glob(".*"))
