"""Memory and reads stay within the plan's promise, for every method, at its least and in between.

Counted are the arrays that the run allocates, by tracemalloc. Methods of whole matrices, whose
torch tensors it doesn't see, are measured in `test_promise`.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import mergec
import pytest
import torch
from kernels.calls import all_methods
from mergec.ops.method import Method, method_names
from mergec.runtime import run as runs
from support.checkpoints import write_checkpoint

SHAPE = (1100, 1024)  # nine tiles
MODELS = 14
SET = {"density", "select_topk", "gamma"}  # what makes methods look for thresholds
STREAMED = [name for name in method_names() if not all_methods()[name].model_columns]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m0, a base, and m1 to m14: two different models, each linked several times."""
    folder = tmp_path_factory.mktemp("models")
    generator = torch.Generator().manual_seed(1)
    base = 0.05 * torch.randn(SHAPE, generator=generator)
    for number in range(3):
        change = (
            torch.randn(SHAPE, generator=generator) * torch.randn(SHAPE, generator=generator).exp()
        )
        x = (base + (number > 0) * 0.02 * change).to(torch.bfloat16)
        write_checkpoint(folder / f"m{number}", {"x.weight": x}, {"model_type": "none"})
    for number in range(3, MODELS + 1):
        (folder / f"m{number}").mkdir()
        for name in ("model.safetensors", "config.json"):
            os.link(folder / f"m{1 + number % 2}" / name, folder / f"m{number}" / name)
    return folder


def recipe(method: Method, count: int, folder: Path) -> str:
    columns = [f"{p.name}=0.4" for p in method.columns if p.required or p.name in SET]
    rows = [f'  "{folder}/m{1 + i}" {" ".join(columns)}' for i in range(count)]
    settings = [
        f"  {p.name} = 0.4"
        for p in method.settings
        if p.kind in ("number", "integer") and (p.required or p.name in SET)
    ]
    base = [f'  base = "{folder}/m0"'] if method.base in ("required", "optional") else []
    lines = [f"save {method.name} {{", *base, *rows, *settings]
    return "\n".join(lines) + f'\n}} to "{folder}/out" {{ dtype = bfloat16 }}\n'


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMED)
def test_buffers_and_reads_keep_the_promise(
    name: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = all_methods()[name]
    least, most = method.sources
    for count in sorted({min(max(n, least), most or n) for n in (2, 5, MODELS)}):
        text = recipe(method, count, models)
        roomy = mergec.compile(text, threads=2, memory="8GiB")
        if any(sweep.wholes for choice in roomy.choices for sweep in choice.sweeps):
            pytest.skip("whole matrices")
        small = mergec.compile(text, threads=2, memory="min")
        with pytest.raises(mergec.errors.MergecError, match="E0506"):
            mergec.compile(text, threads=2, memory=small.peak_bytes - 1)
        for limit in {small.peak_bytes, (small.peak_bytes + roomy.peak_bytes) // 2}:
            plan = mergec.compile(text, threads=2, memory=limit)
            made = runs.estimate(plan)  # measuring the machine takes memory of its own
            monkeypatch.setattr(runs, "estimate", lambda plan, made=made: made)
            gc.collect()
            tracemalloc.start(1)
            report = mergec.run(plan)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            monkeypatch.undo()
            assert peak <= 1.1 * plan.peak_bytes + 2 * 2**20, (count, limit)
            assert report.bytes_read <= plan.bytes_read_most, (count, limit)
