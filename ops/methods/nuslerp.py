from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..functions import on_rows, on_whole, where
from ..gram import combine, on_gram, split
from ..method import Call, method
from ..opaque_functions import whole
from ..parameters import Weight
from ..symbols import Tensor

Array: TypeAlias = np.ndarray[Any, Any]

_SMALLEST_SQUARE = 1e-14  # of a norm
_FLAT = 1e-13  # sin² of an angle at which the blend is linear; float64 rounds it by 1e-15


def _simplify(call: Call) -> Call | int:
    a, b = call.sources
    first, second = (float(columns["weight"] or 0.0) for columns in call.columns)
    if a == b:
        return a
    if abs(first + second) < 1e-6:
        return call
    return a if second == 0 else b if first == 0 else call


def _shares(products: Sequence[Any], t: float) -> tuple[Array, Array]:
    """Coefficients of a and b in their interpolation, from inner products (arrays alike)."""
    aa, ab, bb = products
    square = np.maximum(aa, _SMALLEST_SQUARE) * np.maximum(bb, _SMALLEST_SQUARE)
    square_of_sine = 1.0 - ab * ab / square
    flat = square_of_sine <= _FLAT
    sine = np.sqrt(np.where(flat, 1.0, square_of_sine))
    theta = np.arctan2(sine, ab / np.sqrt(square))
    return (
        np.where(flat, 1.0 - t, np.sin((1.0 - t) * theta) / sine),
        np.where(flat, t, np.sin(t * theta) / sine),
    )


def shares_of_whole(size: float, *values: float) -> list[float]:
    """Coefficients of two flattened tensors, from their Gram matrix and t."""
    matrix, (t,) = split(size, values)
    return [float(share) for share in _shares((matrix[0, 0], matrix[0, 1], matrix[1, 1]), t)]


def shares_of_rows(a: Array, b: Array, t: float) -> list[Array]:
    """Coefficients of the rows of two matrices, shape (rows, 1)."""
    return [share[:, None] for share in _shares(_products("ij,ij->i", a, b), t)]


def _scratch(shape: tuple[int, ...], arguments: int) -> int:
    return 4 * math.prod(shape)


@whole(_scratch)
def blend_columns(a: Any, b: Any, t: float) -> list[Any]:
    """The interpolation of two torch tensors along their first dimension."""
    import torch

    shape = (a.shape[0] if a.ndim else 1, math.prod(a.shape[1:]))
    first, second = (x.numpy(force=True).reshape(shape) for x in (a, b))
    of_a, of_b = _shares(_products("ij,ij->j", first, second), t)
    result = first * of_a.astype(first.dtype)
    result += second * of_b.astype(first.dtype)
    return [torch.from_numpy(result.reshape(a.shape)).to(a.device)]


def _products(pattern: str, a: Array, b: Array) -> list[Any]:
    """a·a, a·b and b·b along a dimension, in float64."""
    pairs = ((a, a), (a, b), (b, b))
    return [np.einsum(pattern, x, y, dtype=np.float64) for x, y in pairs]


@method(simplify=_simplify)
def nuslerp(
    a: Tensor,
    b: Tensor,
    base: Tensor | None = None,
    *,
    weight: Sequence[Weight],
    nuslerp_row_wise: bool = False,
    nuslerp_flatten: bool = True,
) -> Tensor:
    """Spherical interpolation of two models by weights, on whole tensors, rows or columns.

    t = w_b / (w_a + w_b), 0.5 if |w_a + w_b| < 1e-6. With θ the angle between two vectors:
    (sin((1-t)θ) a + sin(tθ) b) / sin θ, on the vectors as they are; linear, (1-t) a + t b, where
    sin² θ ≤ 1e-16. Norms count as at least 1e-7. The vectors are the flattened tensors; without
    `nuslerp_flatten` each row by itself (the last dimension), or with `nuslerp_row_wise` each
    column (the first dimension). Where a base is given, on x - base, and the base is added.

    Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985. Sweeps: one for the
    inner products, one to write, of rows one in all; memory: tiles, of columns two float32 tensors,
    their result and one beside it.
    """
    total: Any = weight[0] + weight[1]
    even = abs(total) < 1e-6
    t = where(even, 0.5, weight[1] / where(even, 1.0, total))
    vectors = [a, b] if base is None else [a - base, b - base]
    if nuslerp_flatten:
        result = combine(vectors, on_gram(shares_of_whole, 2, vectors, t))
    elif nuslerp_row_wise:
        (result,) = on_whole(blend_columns, 1, *vectors, t)
    else:
        result = combine(vectors, on_rows(shares_of_rows, 2, *vectors, t))
    return result if base is None else result + base
