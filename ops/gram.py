"""Inputs -> their linear combination, with coefficients that depend on their Gram matrix alone.

A method whose result lies in the span of its inputs takes one sweep for the inner products, does
what it does on that small matrix in float64, and writes in a second sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .functions import gram, on_host
from .symbols import Tensor

Matrix: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Vector: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]

VANISHING = 1e-7
"""Below it the norm of a sum of unit vectors, or the sine of an angle, is rounding alone."""


def on_gram(
    function: Callable[..., Sequence[float]], count: int, xs: Sequence[Tensor], *params: Any
) -> list[Any]:
    """`count` scalars that a function gives for the Gram matrix of xs and further numbers.

    The function stands at the top of its module and takes what `split` takes.
    """
    products = [product for row in gram(xs) for product in row]
    return on_host(function, count, len(xs), *products, *params)


def split(size: float, values: Sequence[float]) -> tuple[Matrix, tuple[float, ...]]:
    """(Gram matrix, further numbers) of the arguments that `on_gram` gives to its function."""
    n = int(size)
    return np.array(values[: n * n], dtype=np.float64).reshape(n, n), tuple(values[n * n :])


def length(vector: Vector, matrix: Matrix) -> float:
    """The norm of Σ v_i x_i, given the Gram matrix of the x_i."""
    return float(np.sqrt(max(float(vector @ matrix @ vector), 0.0)))


def combine(xs: Sequence[Tensor], coefficients: Sequence[Any]) -> Tensor:
    """Σ c_i x_i."""
    result: Tensor = xs[0] * coefficients[0]
    for x, coefficient in zip(xs[1:], coefficients[1:], strict=True):
        result = result + x * coefficient
    return result
