"""Every merge method by sweeps: generated kernels = torch sweeps = the method on whole tensors."""

from __future__ import annotations

import pytest
import torch
from kernels.calls import MIX, all_methods, count_inputs, make_call, sample_call, variants
from kernels.harness import TILE, assert_same_bits

METHODS = all_methods()
CASES = [(name, variant) for name, m in METHODS.items() for variant in range(variants(m))]
SIZES: tuple[tuple[int, ...], ...] = ((1,), (7, 9), (1024,), (5, 205), (TILE + 5,))
ROUNDING = 1e-6
"""Sums in another order: how far results may differ, in parts of the largest magnitude."""


def _assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    scale = float(wanted.abs().max())
    worst = float((found - wanted).abs().max())
    assert worst <= ROUNDING * scale, (worst, scale)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_kernels_agree_with_torch_sweeps_and_with_whole_tensors(name: str, variant: int) -> None:
    for shape in SIZES:
        call = sample_call(METHODS[name], variant, shape, seed=len(shape))
        compiled, unfused, eager = call.compiled("native"), call.compiled("torch"), call.eager()
        _assert_close(compiled, unfused)
        _assert_close(compiled, eager)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_many_tiles_agree_with_whole_tensors(name: str) -> None:
    call = sample_call(METHODS[name], 0, (9 * TILE + 17,))
    _assert_close(call.compiled("native"), call.eager())


@pytest.mark.parametrize("name", METHODS)
def test_equal_and_zero_inputs_give_finite_values(name: str) -> None:
    method = METHODS[name]
    for value in (0.0, 0.25, 1e-3, 1e-40):
        x = torch.full((3000,), value)
        mixed = [x.to(MIX[i % len(MIX)]) for i in range(count_inputs(method))]
        call = make_call(method, mixed)
        compiled = call.compiled("native")
        assert bool(compiled.isfinite().all())
        if value > 1e-20 or value == 0.0:  # squares of smaller ones vanish in float32
            _assert_close(compiled, call.compiled("torch"))
            _assert_close(compiled, call.eager())


@pytest.mark.parametrize("name", ["linear", "slerp", "ties"])
def test_a_float32_result_is_rounded_once_to_the_output(name: str) -> None:
    call = sample_call(METHODS[name], 0, (5, 205))
    assert_same_bits(call.compiled(output="bfloat16"), call.compiled().to(torch.bfloat16))
