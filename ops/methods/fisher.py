from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from ..functions import maximum, where
from ..gram import combine
from ..method import Call, method
from ..method_error import MethodError
from ..parameters import Bounds, Weight
from ..symbols import Number, Tensor

Floor = Annotated[Number, Bounds(0.0, None)]


def _simplify(call: Call) -> Call | int:
    rows = [i for i, columns in enumerate(call.columns) if columns["weight"] != 0]
    if sum(float(columns["weight"] or 0.0) for columns in call.columns) == 0:
        raise MethodError("the weights sum to 0")
    same = len({call.sources[i] for i in rows}) == 1
    return call.sources[rows[0]] if same else call.keep(rows)


@method(simplify=_simplify)
def fisher(
    xs: Sequence[Tensor],
    *,
    statistics: Sequence[Tensor],
    weight: Sequence[Weight] = (1.0,),
    floor: Floor = 1e-6,
) -> Tensor:
    """Average of the models, each parameter weighted by its Fisher information.

    Σ w_i F_i x_i / Σ w_i F_i, element by element. F_i is the diagonal of the Fisher information of
    model i (the mean squared gradient of the log-likelihood), given as a checkpoint of the model's
    names and shapes: `"m" statistics="./fisher-of-m"`. Values below `floor` count as `floor`, so
    that where no model has information the result is the weighted mean.

    Source: Matena and Raffel, Merging models with Fisher-weighted averaging, NeurIPS 2022. Sweeps:
    one; memory: tiles.
    """
    shares: list[Any] = [
        maximum(information, floor) * w for information, w in zip(statistics, weight, strict=True)
    ]
    total = combine(shares, [1.0] * len(shares))
    known = total > 0.0
    weights: list[Any] = list(weight)
    mean = combine(xs, weights) / combine(weights, [1.0] * len(weights))
    informed = combine(xs, shares) / where(known, total, 1.0)
    merged: Tensor = where(known, informed, mean)
    return merged
