from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np

from ..functions import on_rows
from ..gram import on_gram, split
from ..method import Call, method
from ..parameters import AtLeast
from ..symbols import Tensor

Array: TypeAlias = np.ndarray[Any, Any]

_SMALLEST_PRODUCT = 1e-6  # of two norms


def _simplify(call: Call) -> Call | int:
    assert call.base is not None
    return call.base if all(source == call.base for source in call.sources) else call


def ratio_of_whole(size: float, *values: float) -> list[float]:
    """How far to go from the base to the mean, from the Gram matrix of the task vectors."""
    matrix, _ = split(size, values)
    return [float(_ratio(matrix[:, :, None])[0])]


def ratio_of_rows(*deltas: Array) -> list[Array]:
    """How far to go in each row, shape (rows, 1), from the rows of all task vectors."""
    count = len(deltas)
    matrix = np.empty((count, count, len(deltas[0])))
    for i in range(count):
        for j in range(i, count):
            matrix[i, j] = np.einsum("ij,ij->i", deltas[i], deltas[j], dtype=np.float64)
            matrix[j, i] = matrix[i, j]
    return [_ratio(matrix)[:, None]]


def _ratio(matrix: Array) -> Array:
    """t of Gram matrices of shape (count, count, several)."""
    count = len(matrix)
    norms = np.sqrt(np.stack([matrix[i, i] for i in range(count)]))
    cosine = np.zeros(matrix.shape[2])
    for i in range(count):
        for j in range(i + 1, count):
            cosine += matrix[i, j] / np.maximum(norms[i] * norms[j], _SMALLEST_PRODUCT)
    cosine /= count * (count - 1) / 2
    divisor = 1.0 + (count - 1) * cosine
    vanishes = np.abs(divisor) < 1e-6
    return np.where(vanishes, 0.0, count * cosine / np.where(vanishes, 1.0, divisor))


@method(simplify=_simplify)
def model_stock(
    xs: Annotated[Sequence[Tensor], AtLeast(2)], base: Tensor, *, filter_wise: bool = False
) -> Tensor:
    """From the base towards the mean of the models, the further the more they agree.

    With c the mean cosine between the task vectors δ_i = x_i - b of two models (the product of
    their norms counts as at least 1e-6): t = N c / (1 + (N-1) c), 0 if |1 + (N-1) c| < 1e-6, and
    t · mean(x_i) + (1-t) b; on whole tensors, or each row by itself if `filter_wise`.

    Source: Jang et al., Model Stock, ECCV 2024. Sweeps: one for the Gram matrix, one to write, row
    by row one in all; memory: tiles, row by row one tile of whole rows per model.
    """
    deltas = [x - base for x in xs]
    if filter_wise:
        (t,) = on_rows(ratio_of_rows, 1, *deltas)
    else:
        (t,) = on_gram(ratio_of_whole, 1, deltas)
    total: Any = deltas[0]
    for delta in deltas[1:]:
        total = total + delta
    result: Tensor = base + total * (t / len(deltas))
    return result
