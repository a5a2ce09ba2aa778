"""Decoding and encoding of stored floats, against torch's conversions, bit for bit."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from kernels.harness import INTEGERS, assert_same_bits, from_bits, run, to_bits, traced
from mergec.compiler.sweeps.program import Program
from mergec.ops.dtypes import float64

SMALL = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
BACKENDS = ("native", "torch")


def _copy(source: str, target: str, wide: bool = False) -> Program:
    compute = {"compute": float64} if wide else {}
    return traced(lambda tracer, xs, params: xs[0], [source], output=target, **compute)  # type: ignore[arg-type]


@cache
def _every_pattern(name: str) -> torch.Tensor:
    size = getattr(torch, name).itemsize
    patterns = torch.arange(1 << (8 * size), dtype=torch.int64)
    return patterns.to(INTEGERS[size]).view(getattr(torch, name))


@cache
def _edges(name: str) -> torch.Tensor:
    """float32: every value of the dtype, every midpoint of neighbours, and what lies beside them.

    Above the largest value the next midpoint is where overflow begins.
    """
    values = _every_pattern(name).to(torch.float64)
    values = values[values.isfinite()].unique()
    beyond = values[-1] + (values[-1] - values[-2])
    values = torch.cat([-beyond[None], values, beyond[None]])
    middles = (values[1:] + values[:-1]) / 2
    exact = torch.cat([values, middles]).to(torch.float32)
    up = torch.nextafter(exact, torch.tensor(torch.inf))
    down = torch.nextafter(exact, torch.tensor(-torch.inf))
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, -torch.nan, 1e-45, 3e38])
    return torch.cat([exact, up, down, special, -special])


def _random_patterns(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    words = torch.randint(-(2**31), 2**31, (count,), generator=generator, dtype=torch.int64)
    return words.to(torch.int32).view(torch.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SMALL)
def test_every_pattern_decodes_to_its_value(name: str, backend: str) -> None:
    stored = _every_pattern(name)
    (found,) = run(_copy(name, "float32"), [stored], backend=backend)
    assert_same_bits(found, stored.to(torch.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SMALL)
def test_values_midpoints_and_overflow_encode_as_torch_converts(name: str, backend: str) -> None:
    for values in (_edges(name), _random_patterns(1_000_000)):
        (found,) = run(_copy("float32", name), [values], backend=backend)
        assert_same_bits(found, values.to(getattr(torch, name)))


@pytest.mark.parametrize("name", ("float32", *SMALL))
def test_float64_encodes_as_torch_converts(name: str) -> None:
    edges = _edges("bfloat16" if name == "float32" else name).to(torch.float64)
    nudged = torch.cat([edges * (1 + 1e-12), edges * (1 - 1e-12), edges])
    generator = torch.Generator().manual_seed(8)
    spread = torch.randn(200_000, generator=generator, dtype=torch.float64)
    values = torch.cat([nudged, spread * 10.0 ** (spread * 20), spread * 1e-40])
    for backend in BACKENDS:
        (found,) = run(_copy("float64", name, wide=True), [values], backend=backend)
        assert_same_bits(found, values.to(getattr(torch, name)))


def test_float32_patterns_pass_through_float64_unchanged() -> None:
    values = _random_patterns(100_000)
    (found,) = run(_copy("float32", "float64", wide=True), [values])
    assert_same_bits(found, values.to(torch.float64))


@pytest.mark.parametrize("name", SMALL)
def test_what_is_decoded_encodes_to_the_same_bits(name: str) -> None:
    stored = _every_pattern(name)
    (found,) = run(_copy(name, name), [stored])
    assert_same_bits(found, stored)


def test_buffers_and_tensors_convert_both_ways() -> None:
    for name in SMALL:
        stored = _every_pattern(name)
        assert_same_bits(from_bits(to_bits(stored), name), stored)
