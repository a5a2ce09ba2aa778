"""Exact selections of the k largest magnitudes, against a stable sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kernels.harness import TILE, run, traced
from mergec.compiler.sweeps.program import Program
from mergec.ops.dtypes import DType, float32, float64
from mergec.ops.functions import largest, selected, where

N = 2 * TILE + 11
COMPUTE = pytest.mark.parametrize("compute", [float32, float64], ids=str)


def _mask(tracer: Any, xs: Any, params: Any) -> Any:
    return where(selected(xs[0], largest(xs[0], params[0])), 1.0, 0.0)


def _program(compute: DType, source: str | None = None) -> Program:
    return traced(_mask, [source or compute.name], [1.0], output="float32", compute=compute)


def _kept(x: torch.Tensor, k: float, compute: DType, backend: str = "native") -> list[int]:
    """The indices of the elements that a selection of k keeps, ascending."""
    source = str(x.dtype).removeprefix("torch.")
    (mask,) = run(_program(compute, source), [x], [k], backend=backend)
    found: list[int] = mask.nonzero().flatten().tolist()
    return found


def _sorted_first(x: torch.Tensor, k: int) -> list[int]:
    """The same by numpy: the largest magnitudes, the lowest index first among equals."""
    order = np.argsort(-np.abs(x.to(torch.float64).numpy()), kind="stable")
    found: list[int] = np.sort(order[:k]).tolist()
    return found


def _values(kind: str, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, generator=generator, dtype=torch.float64)
    if kind == "quantised":  # seven magnitudes: thousands of ties, spread over every tile
        return (x * 2).round().clamp(-3, 3)
    if kind == "one equal run":  # a run of equals across a tile's border, smaller ones around
        x = x.sign() * 0.01 + x * 1e-3
        x[TILE - 700 : TILE + 500] = 0.75
        return x
    if kind == "subnormal":
        return x * 1e-41
    if kind == "all equal":
        return torch.full((n,), -0.375, dtype=torch.float64)
    if kind == "all zero":
        return torch.zeros(n, dtype=torch.float64) * x.sign()
    return x


KINDS = ("random", "quantised", "one equal run", "subnormal", "all equal", "all zero")


@COMPUTE
@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_k_largest_are_kept_lowest_index_first(kind: str, compute: DType) -> None:
    x = _values(kind, N).to(getattr(torch, compute.name))
    for k in (0, 1, 613, TILE, TILE + 1, N // 2, N - 1, N):
        assert _kept(x, k, compute) == _sorted_first(x, k), k


@COMPUTE
@pytest.mark.parametrize("kind", KINDS)
def test_the_torch_sweeps_select_the_same(kind: str, compute: DType) -> None:
    x = _values(kind, N).to(getattr(torch, compute.name))
    for k in (0, 613, N // 2, N):
        assert _kept(x, k, compute, "torch") == _sorted_first(x, k), k


def test_infinities_are_the_largest_magnitudes() -> None:
    x = _values("random", 4000).to(torch.float32)
    x[[17, 3000]] = torch.tensor([torch.inf, -torch.inf])
    assert _kept(x, 2, float32) == [17, 3000]
    assert _kept(x, 1, float32) == [17]


def test_counts_beyond_the_tensor_keep_all_or_nothing() -> None:
    x = _values("random", 1500).to(torch.float32)
    assert _kept(x, -3.0, float32) == []
    assert len(_kept(x, 1e12, float32)) == 1500
    assert _kept(x, 2.9, float32) == _sorted_first(x, 2)


def test_small_floats_with_many_ties_are_selected_exactly() -> None:
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        x = _values("random", N).to(torch.float32).to(dtype)
        for k in (1000, N // 3):
            assert _kept(x, k, float32) == _sorted_first(x, k)


def test_magnitudes_that_differ_in_float64_only_are_told_apart() -> None:
    x = 1.0 + torch.arange(5000, dtype=torch.float64).flip(0) * 2.0**-52
    assert _kept(x, 10, float64) == list(range(10))
    assert _kept(x.flip(0).contiguous(), 10, float64) == list(range(4990, 5000))


def test_several_selections_share_their_sweeps() -> None:
    def both(tracer: Any, xs: Any, params: Any) -> Any:
        masks = [selected(x, largest(x, k)) for x, k in zip(xs, params, strict=True)]
        return where(masks[0], 1.0, 0.0) + where(masks[1], 2.0, 0.0)

    program = traced(both, ["float32", "float32"], [1.0, 1.0])
    a, b = (_values(kind, N).to(torch.float32) for kind in ("random", "quantised"))
    for backend in ("native", "torch"):
        (found,) = run(program, [a, b], [500, 70_001], backend=backend)
        mask = found.to(torch.int64)
        assert (mask & 1).nonzero().flatten().tolist() == _sorted_first(a, 500)
        assert (mask & 2).nonzero().flatten().tolist() == _sorted_first(b, 70_001)
