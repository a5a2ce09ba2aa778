"""The divergence of rows: its formula, and its bits.

That they are mergekit's on a processor with AVX-512 is what the conformance of arcee_fusion shows.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from mergec.ops.methods.arcee_fusion import divergence_of_rows

SHAPES = ((7, 1), (5, 3), (6, 15), (4, 16), (9, 33), (3, 1000), (2, 70_001))


def rows(shape: tuple[int, int], spread: int) -> tuple[np.ndarray, np.ndarray]:
    """Two near models' rows, the same numbers on every machine."""
    index = np.arange(shape[0] * shape[1], dtype=np.uint64)
    first = (index * np.uint64(2654435761)) % np.uint64(4001)
    second = (index * np.uint64(40503)) % np.uint64(101)
    x = (first.astype(np.float32) - np.float32(2000)) / np.float32(8192)
    change = (second.astype(np.float32) - np.float32(50)) * np.float32(spread) / np.float32(65536)
    return x.reshape(shape), (x + change).reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_divergence(shape: tuple[int, int]) -> None:
    x, base = rows(shape, 200)
    (found,) = divergence_of_rows(x, base)
    p, q = (np.exp(v.astype(np.float64)) for v in (x, base))
    p, q = (v / v.sum(-1, keepdims=True) + 1e-8 for v in (p, q))
    wanted = (p * np.log(p / q)).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=3e-7, rtol=1e-4)


def test_far_values_underflow_and_a_row_without_elements_is_zero() -> None:
    x = np.array([[0.0, -90.0, -200.0, 1.0]], np.float32)
    (found,) = divergence_of_rows(x, x)
    assert found[0, 0] == 0.0
    assert divergence_of_rows(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32))[0].shape


def test_the_bits_are_those_of_every_machine() -> None:
    digest = hashlib.sha256()
    for shape in SHAPES:
        digest.update(divergence_of_rows(*rows(shape, 1))[0].tobytes())
    assert digest.hexdigest()[:16] == "b8aa15c1b39c3e0e"
