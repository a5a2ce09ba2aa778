from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..functions import floor, in_order, on_rows, where
from ..method import Call, method
from ..symbols import Tensor

Array: TypeAlias = np.ndarray[Any, Any]


def _simplify(call: Call) -> Call | int:
    assert call.base is not None
    return call.base if call.sources[0] == call.base else call


def divergence_of_rows(x: Array, base: Array) -> list[Array]:
    """The Kullback-Leibler divergence of the rows' softmax distributions, shape (rows, 1)."""
    from ..divergence import row_divergences

    return [row_divergences(*(np.require(rows, np.float32, "C") for rows in (x, base)))]


@method(simplify=_simplify)
def arcee_fusion(x: Tensor, base: Tensor) -> Tensor:
    """The base, with the other model's elements where they matter most.

    With p and q the softmax of a row of x and of b, 1e-8 added to each probability, an element's
    score is |x - b| Σ p log(p/q). The quartiles are elements ⌊n'/4⌋, ⌊n'/2⌋, ⌊3n'/4⌋, n' = n - 1,
    of the sorted scores, all of them (mergekit: a sample where n > 10⁶); x where the score is at
    least median + 1.5 (Q3 - Q1), else b.

    Source: Arcee Fusion, arcee.ai 2025. Sweeps: up to three for the quartiles, one to write;
    memory: tiles of whole rows and six histograms.
    """
    (divergence,) = on_rows(divergence_of_rows, 1, x, base)
    score = abs(x - base) * divergence

    def quantile(share: float) -> Any:  # rounding makes some scores negative
        return in_order(score, lambda n: floor(share * (n - 1.0)))

    low, middle, high = quantile(0.25), quantile(0.5), quantile(0.75)
    threshold = middle + 1.5 * (high - low)
    result: Tensor = base + where(score >= threshold, x - base, 0.0)
    return result
