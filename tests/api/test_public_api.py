"""The public names, what importing them loads, and the exception tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mergec
import pytest
import torch
from mergec import errors
from safetensors.torch import save_file

PUBLIC = {
    "Plan",
    "Progress",
    "Report",
    "__version__",
    "compile",
    "errors",
    "merge",
    "method",
    "phases",
    "run",
}
ERRORS = {
    "CheckpointError",
    "Diagnostic",
    "MergecError",
    "RecipeError",
    "ResourceError",
    "RunError",
    "Span",
}


def test_public_names():
    assert set(mergec.__all__) == PUBLIC
    assert set(dir(mergec)) >= PUBLIC
    assert all(getattr(mergec, name) is not None for name in PUBLIC)
    assert set(errors.__all__) == ERRORS
    with pytest.raises(AttributeError, match="no attribute `merj`"):
        mergec.merj  # noqa: B018


def test_every_error_is_one_and_is_drawn_in_the_docstring():
    for name in ("CheckpointError", "RecipeError", "ResourceError", "RunError"):
        assert issubclass(getattr(errors, name), errors.MergecError)
        assert name in (errors.__doc__ or "")


def test_importing_loads_nothing_heavy():
    code = """
import sys, mergec
print(*(m for m in ("torch", "numpy", "llvmlite", "lark", "click", "rich") if m in sys.modules))
mergec.compile, mergec.errors
print(*(m for m in ("torch", "numpy", "llvmlite", "lark", "click", "rich") if m in sys.modules))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "\n\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("a", 1.0), ("b", 3.0)):
        save_file({"w": torch.full((4, 2), value)}, tmp_path / f"{name}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RECIPE = (
    'param w = 1\nsave linear { "./a.safetensors" weight=1, "./b.safetensors" weight=w } to "x"'
)


def test_compile_takes_a_text_or_a_path(folder):
    plan = mergec.compile(RECIPE)
    (folder / "r.merge").write_text(RECIPE)
    for path in (folder / "r.merge", "r.merge"):
        again = mergec.compile(path)
        assert isinstance(again, mergec.Plan)
        assert again.bound.outputs[0].path == plan.bound.outputs[0].path == folder / "x"


def test_run_takes_a_plan_or_a_recipe(folder):
    seen: list[int] = []
    plan = mergec.compile(RECIPE, set={"w": 3}, threads=1, memory="1GiB", out=folder / "y")
    report = mergec.run(plan, watch=lambda progress: seen.append(progress.bytes_total))
    assert report.outputs == (folder / "y",)
    assert seen
    assert mergec.run(RECIPE, set={"w": "3"}, out="z").outputs == (folder / "z",)
    files = [(folder / name / "model.safetensors").read_bytes() for name in "yz"]
    assert files[0] == files[1]
    with pytest.raises(TypeError, match="recompile"):
        mergec.run(plan, out="q")


@pytest.mark.parametrize("limit", [0, -1, "abc", "0", "-5GiB", "", "1XB"])
def test_a_memory_limit_that_is_none(folder, limit):
    with pytest.raises(errors.ResourceError, match="E0520"):
        mergec.compile(RECIPE, memory=limit)


def test_bad_calls(folder):
    with pytest.raises(errors.ResourceError, match="E0521"):
        mergec.compile(RECIPE, threads=0)
    with pytest.raises(errors.RecipeError, match="E0607"):
        mergec.compile("none.merge")
    with pytest.raises(errors.RecipeError, match="E0607"):
        mergec.compile(folder)
    with pytest.raises(errors.RecipeError) as caught:
        mergec.compile("let a = {\n")
    assert caught.value.diagnostics[0].span.line == 1


def test_the_compiler_stops_at_any_phase(tmp_path: Path):
    save_file({"x": torch.ones(4)}, tmp_path / "a.safetensors")
    source = f'"{tmp_path}/a.safetensors"'
    text = f'save linear {{ {source}, weight = 0.5, normalize = false }} to "{tmp_path}/out"\n'
    found = mergec.phases(text, memory=1)
    assert [type(found.tree).__name__, len(found.bound.outputs)] == ["Recipe", 1]
    assert len(found.optimised.nodes) <= len(found.lowered.graph.nodes) == 3
    with pytest.raises(errors.MergecError, match="1 byte"):  # the plan is asked for only here
        _ = found.plan
    with pytest.raises(errors.RecipeError):
        _ = mergec.phases('save "./not-there" to "./out"\n').bound
