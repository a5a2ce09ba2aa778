from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..method import Call, method
from ..method_error import MethodError
from ..parameters import Weight
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    weights: list[Any] = [columns["weight"] for columns in call.columns]
    if call.settings["normalize"] and sum(weights) == 0:
        raise MethodError("the weights sum to 0, which `normalize` can't divide by")
    rows = [i for i, weight in enumerate(weights) if weight != 0]
    if len(rows) == 1 and (call.settings["normalize"] or weights[rows[0]] == 1):
        return call.sources[rows[0]]
    return call.keep(rows) if rows else call


@method(simplify=_simplify)
def linear(xs: Sequence[Tensor], *, weight: Sequence[Weight], normalize: bool = True) -> Tensor:
    """Weighted average of the models.

    Σ w_i x_i, divided by Σ w_i if `normalize`. Weights that sum to 0 can't be normalised.

    Source: Wortsman et al., Model soups, ICML 2022. Sweeps: one; memory: tiles.
    """
    coefficients: Sequence[Any] = weight
    if normalize:
        divisor: Any = weight[0]
        for other in weight[1:]:
            divisor = divisor + other
        coefficients = [w / divisor for w in weight]
    result: Tensor = xs[0] * coefficients[0]
    for x, coefficient in zip(xs[1:], coefficients[1:], strict=True):
        result = result + x * coefficient
    return result
