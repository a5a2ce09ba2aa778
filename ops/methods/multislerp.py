from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..gram import VANISHING, combine, length, on_gram, split
from ..method import Call, method
from ..method_error import MethodError
from ..parameters import Factor, Weight
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    weights: list[Any] = [columns["weight"] for columns in call.columns]
    if len(weights) == 1:
        return call.sources[0]
    if call.settings["normalize_weights"] and sum(weights) == 0:
        raise MethodError("the weights sum to 0, which `normalize_weights` can't divide by")
    if call.base is not None and all(source == call.base for source in call.sources):
        return call.base
    return call


def interpolate(size: float, *values: float) -> list[float]:
    """Coefficients of the inputs, from their Gram matrix, their weights and eps."""
    matrix, (*numbers, eps) = split(size, values)
    weights = np.array(numbers)
    norms = np.sqrt(np.diag(matrix))
    direction = weights / np.where(norms + eps > 0.0, norms + eps, 1.0)
    size_of_mean = length(direction, matrix)
    if size_of_mean < max(eps, VANISHING):
        of_all = float(np.abs(direction) @ norms)  # it would be, if nothing cancelled
        if len(weights) > 2 and size_of_mean < VANISHING * of_all:
            raise MethodError("the weighted directions of the models cancel")
        return [float(w) for w in weights]
    # at the mean m of the directions the tangents add up to nothing: what is left is cos(eps) m
    scale = math.cos(eps) * float(weights @ norms) / size_of_mean
    return [float(d) * scale for d in direction]


@method(simplify=_simplify)
def multislerp(
    xs: Sequence[Tensor],
    base: Tensor | None = None,
    *,
    weight: Sequence[Weight],
    normalize_weights: bool = True,
    eps: Factor = 1e-8,
) -> Tensor:
    """Spherical interpolation of any number of models: their mean direction at their mean norm.

    X_i is x_i, or x_i - b where a base is given; the w_i are divided by their sum if
    `normalize_weights`; u_i = X_i / (|X_i| + eps), m = Σ w_i u_i normalised. The tangents at m,
    T = Σ w_i (u_i - (u_i·m) m), are followed by τ = |T| + eps: (m cos τ + T sin τ / τ) Σ w_i |X_i|,
    plus b. T is 0 since m is the mean itself. One model is taken as it is. If |Σ w_i u_i| < eps,
    models are blended linearly, unless directions of more than two cancel, which have no result.

    Source: Goddard, Multi-SLERP, arcee.ai 2025. Sweeps: one for the Gram matrix, one to write;
    memory: tiles.
    """
    weights: Sequence[Any] = weight
    if normalize_weights:
        divisor: Any = weight[0]
        for other in weight[1:]:
            divisor = divisor + other
        weights = [w / divisor for w in weight]
    vectors = list(xs) if base is None else [x - base for x in xs]
    result = combine(vectors, on_gram(interpolate, len(xs), vectors, *weights, eps))
    return result if base is None else result + base
