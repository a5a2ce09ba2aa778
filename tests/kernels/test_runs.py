"""Whole runs on a checkpoint of many tiles: the same bytes whatever the threads and the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mergec.compiler import compile_recipe
from mergec.grammar.diagnostics import SourceText
from mergec.runtime.run import run_plan
from safetensors.torch import load_file
from support.checkpoints import write_checkpoint

RECIPE = """
set seed = 3
let base = "./base"
let core = dare_ties {
  base = base
  "./a"  weight=0.4  density=0.5
  "./b"  weight=0.3  density=0.6
}
save slerp { core, "./b", t = 0.3 } to "./out/merged" { dtype = bfloat16 }
save ties {
  base = base
  "./a"  weight=0.5  density=0.3
  core   weight=0.4  density=0.5
  normalize = true
} to "./out/elected" { dtype = float32 }
"""
NAMES = ("merged", "elected")
SETTINGS: list[dict[str, Any]] = [
    {"threads": 2},
    {"threads": 4},
    {"threads": 2, "memory": 64 * 2**20},
    {"threads": 1, "memory": "min"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints of two dtypes: a tensor of ten tiles, so of two chunks, and small ones."""
    root = tmp_path_factory.mktemp("runs")
    generator = torch.Generator().manual_seed(0)
    shapes = {"wide.weight": (1280, 1000), "tall.weight": (400, 333), "norm.weight": (77,)}
    base = {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name, dtype in (("base", "bfloat16"), ("a", "bfloat16"), ("b", "float16")):
        tensors = {
            key: (x + (name != "base") * 0.01 * torch.randn(x.shape, generator=generator)).to(
                getattr(torch, dtype)
            )
            for key, x in base.items()
        }
        write_checkpoint(root / name, tensors, {"model_type": "none"})
    return root


def _run(folder: Path, out: Path, backend: Any = "native", **settings: Any) -> dict[str, bytes]:
    source = SourceText("recipe.merge", RECIPE.replace("./out/", f"{out}/"))
    run_plan(compile_recipe(source, folder=folder, **settings), backend=backend)
    return {name: (out / name / "model.safetensors").read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def one_thread(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return _run(folder, tmp_path_factory.mktemp("one"), threads=1)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_bytes_do_not_depend_on_threads_or_memory(
    folder: Path, tmp_path: Path, one_thread: dict[str, bytes], settings: dict[str, Any]
) -> None:
    assert _run(folder, tmp_path, **settings) == one_thread


def test_both_backends_write_the_same_up_to_rounding(
    folder: Path, tmp_path: Path, one_thread: dict[str, bytes]
) -> None:
    _run(folder, tmp_path / "torch", "torch", threads=1)
    _run(folder, tmp_path / "native", threads=1)
    for name, steps in (("merged", 2.0**-8), ("elected", 1e-6)):
        found = load_file(tmp_path / "torch" / name / "model.safetensors")
        wanted = load_file(tmp_path / "native" / name / "model.safetensors")
        for key, x in wanted.items():
            difference = (found[key].float() - x.float()).abs()
            if x.dtype == torch.float32:
                assert float(difference.max()) <= steps * float(x.abs().max()), key
            else:  # one rounding step, and seldom: where a sum's last bit decides a rounding
                assert bool((difference <= steps * x.float().abs()).all()), key
                assert float((difference > 0).float().mean()) < 1e-3, key
