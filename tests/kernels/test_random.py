"""Random masks: their rates, their independence, and one definition in three places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kernels.harness import TILE, kernel, run, segments, traced
from kernels.hashing import keyed_bits, mask
from mergec.compiler.kernels.mathematics import mathematics
from mergec.compiler.sweeps.program import Program, Segment
from mergec.ops.eager import EagerRandom
from mergec.ops.functions import on_rows, where
from mergec.ops.primitives import Role
from mergec.ops.random_bits import keyed_bits_torch, stream_key
from mergec.ops.symbols import Tracer

N = 3 * TILE + 5
KEY = stream_key(42, "stage", "model", "model.layers.0.mlp.up_proj.weight")
KEYS = (KEY, 0, 1, (1 << 63) - 1, 1 << 32, (1 << 32) - 1)
STARTS = (0, 5 * TILE, 2**31 - 7, 2**32 - TILE, 2**32, 2**33 + 12345, 2**40 + 1)


def _drop(tracer: Tracer, xs: Any, params: Any) -> Any:
    kept = tracer.apply("bernoulli", (params[0],), (0,))
    return where(kept, xs[0], 0.0)


PROGRAM = traced(_drop, ["float32"], [0.5])


def _mask_of_tile(program: Program, key: int, chance: float, start: int, backend: str) -> Any:
    """The mask that one call of the kernel draws for a tile that begins at `start`."""
    (segment,) = segments(program)
    ones, out = np.ones(TILE, np.float32), np.zeros(TILE, np.float32)
    scalars = [chance if program.nodes[i].role is Role.PARAMETER else 0.0 for i in segment.scalars]
    kernel(program, segment, backend)(
        ones,
        out,
        TILE,
        start,
        np.array(scalars),
        np.array([key], np.uint64),
        np.zeros((1, 3), np.uint64),
        np.zeros(1),
        np.zeros((1, 1), np.uint32),
    )
    return out != 0


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("start", STARTS)
def test_kernels_draw_the_bits_of_the_definition(start: int, backend: str) -> None:
    for key in KEYS:
        for chance in (0.5, 0.1):
            found = _mask_of_tile(PROGRAM, key, chance, start, backend)
            assert np.array_equal(found, mask(key, chance, TILE, start)), key


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a_tile_of_whole_rows_may_cross_the_index_of_33_bits(backend: str) -> None:
    def drop(tracer: Tracer, xs: Any, params: Any) -> Any:
        (chance,) = on_rows(_halves, 1, xs[0])
        return where(tracer.apply("bernoulli", (chance,), (0,)), 1.0, 0.0)

    program = traced(drop, ["float32"])
    segment = segments(program)[-1]
    start, out = 2**32 - 1000, np.zeros(TILE, np.float32)
    kernel(program, segment, backend)(
        np.full(TILE, 0.5, np.float32),
        out,
        TILE,
        start,
        np.array(_constants(program, segment)),
        np.array([KEY], np.uint64),
        np.zeros((1, 3), np.uint64),
        np.zeros(1),
        np.zeros((1, 1), np.uint32),
    )
    assert np.array_equal(out != 0, mask(KEY, 0.5, TILE, start))


def _halves(x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [np.full_like(x, 0.5)]


def _constants(program: Program, segment: Segment) -> list[float]:
    return [float(program.nodes[i].attr[0]) for i in segment.scalars]


def test_torch_bits_are_those_of_the_definition() -> None:
    for start in STARTS:
        index = np.arange(5000, dtype=np.int64) + start
        for key in KEYS:
            found = keyed_bits_torch(key, torch.from_numpy(index)).numpy()
            assert np.array_equal(found, keyed_bits(key, index))


def test_masks_do_not_depend_on_tiles() -> None:
    ones = torch.ones(N)
    wanted = torch.from_numpy(mask(KEY, 0.3, N)).to(torch.float32)
    eager = EagerRandom([KEY]).bernoulli(0, 0.3, ones)
    assert torch.equal(eager.to(torch.float32), wanted)
    for backend in ("native", "torch"):
        assert torch.equal(run(PROGRAM, [ones], [0.3], [KEY], backend)[0], wanted)


@pytest.mark.parametrize("chance", [0.01, 0.4, 0.5, 0.9, 0.999])
def test_the_rate_is_the_probability(chance: float) -> None:
    n = 1_000_000
    error = (chance * (1 - chance) / n) ** 0.5
    for source in range(4):
        rate = mask(stream_key("rate", source), chance, n).mean()
        assert abs(rate - chance) < 4 * error


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_certain_probabilities_keep_nothing_or_all(chance: float) -> None:
    (found,) = run(PROGRAM, [torch.ones(5000)], [chance], [KEY])
    assert float(found.mean()) == chance


def test_sources_and_tensors_draw_uncorrelated_masks() -> None:
    n = 200_000
    parts = [(source, tensor) for source in ("a", "b", "c") for tensor in ("q", "k", "v")]
    drawn = np.stack([mask(stream_key(7, *part), 0.5, n) for part in parts]).astype(np.float64)
    pairs = np.corrcoef(drawn)[np.triu_indices(len(parts), 1)]
    assert np.abs(pairs).max() < 4.5 / n**0.5


def test_neighbours_rows_and_the_upper_index_half_are_uncorrelated() -> None:
    n = 1 << 20
    drawn = mask(KEY, 0.5, n).astype(np.float64)
    for lag in (1, 2, 3, 64, 1024, 4096, 65536):
        correlation = np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]
        assert abs(correlation) < 4.5 / n**0.5, lag
    for start in (2**32, 2**33, 3 * 2**32):
        far = mask(KEY, 0.5, n, start).astype(np.float64)
        assert abs(np.corrcoef(drawn, far)[0, 1]) < 4.5 / n**0.5, start


def test_a_probability_per_element_is_compared_element_by_element() -> None:
    def drop(tracer: Tracer, xs: Any, params: Any) -> Any:
        return where(tracer.apply("bernoulli", (xs[0],), (0,)), 1.0, 0.0)

    chances = torch.linspace(0, 1, N)
    wanted = keyed_bits(KEY, np.arange(N)) < (chances * 2.0**24).numpy()
    program = traced(drop, ["float32"])
    for backend in ("native", "torch"):
        (found,) = run(program, [chances], keys=[KEY], backend=backend)
        assert np.array_equal(found.numpy() != 0, wanted)


def test_stream_keys_tell_their_parts_apart() -> None:
    keys = {stream_key(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), (1,), ("1",))}
    assert len(keys) == 5
    assert all(0 <= key < 1 << 63 for key in keys)


def test_the_kernel_text_reads_like_the_mathematics() -> None:
    (segment,) = segments(PROGRAM)
    assert mathematics(PROGRAM, segment).text.splitlines() == [
        "kernel(in0 float32) -> (out0 float32) in float32",
        "scalars s0, s1",
        "each element",
        "    v0 = in0",
        "    v1 = bernoulli(s0, 0)",
        "    v2 = where(v1, v0, s1)",
        "    out0 = v2",
    ]
