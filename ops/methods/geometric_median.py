from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from ..gram import Matrix, Vector, combine, length, on_gram, split
from ..method import Call, method
from ..method_error import MethodError
from ..parameters import Bounds
from ..symbols import Number, Tensor

Share = Annotated[Number, Bounds(0.0, None)]
Steps = Annotated[int, Bounds(1, None)]
Tolerance = Annotated[Number, Bounds(0.0, None)]

_NEAR = 1e-9
"""A point lies on a source at this distance, in parts of the models' spread."""


def _simplify(call: Call) -> Call | int:
    rows = [i for i, columns in enumerate(call.columns) if columns["weight"] != 0]
    if not rows:
        raise MethodError("the weights are all 0")
    same = len({call.sources[i] for i in rows}) == 1
    return call.sources[rows[0]] if same else call.keep(rows)


def weiszfeld(size: float, *values: float) -> list[float]:
    """Each source's share in the geometric median.

    From the Gram matrix of the differences to the first source, then weights, steps and tolerance.
    """
    matrix, numbers = split(size, values)
    *given, steps, tolerance = numbers
    weight = np.array(given) / sum(given)
    products = np.zeros((len(given), len(given)))
    products[1:, 1:] = matrix
    spread = float(np.sqrt(np.max(products.diagonal())))
    shares = weight.copy()
    for _ in range(int(steps)):
        moved = _step(products, weight, shares, _NEAR * spread)
        change = length(moved - shares, products)
        shares = moved
        if change <= tolerance * spread:
            break
    for corner in np.eye(len(given)):  # an iteration only creeps up to a source
        pull, near = _pull(products, weight, corner, _NEAR * spread)
        if length(pull, products) < (1.0 - _NEAR) * weight[near].sum():
            return [float(share) for share in corner]
    return [float(share) for share in shares]


def _step(products: Matrix, weight: Vector, shares: Vector, near: float) -> Vector:
    """Weiszfeld's step, damped by the weight of sources that the point lies on."""
    pull, on = _pull(products, weight, shares, near)
    strength, own = length(pull, products), float(weight[on].sum())
    if strength <= own:
        return shares
    apart = _distances(products, shares)
    far = ~on
    return shares + pull * ((strength - own) / strength / float((weight[far] / apart[far]).sum()))


def _pull(
    products: Matrix, weight: Vector, shares: Vector, near: float
) -> tuple[Vector, np.ndarray[Any, np.dtype[np.bool_]]]:
    """(Σ w_i (x_i - m)/d_i as shares, over sources that m doesn't lie on; which it lies on)."""
    apart = _distances(products, shares)
    on = apart <= near
    pull = np.zeros(len(weight))
    pull[~on] = weight[~on] / apart[~on]
    return pull - shares * pull.sum(), on


def _distances(products: Matrix, shares: Vector) -> Vector:
    """From the point of these shares to each source."""
    inside = products @ shares
    squares = products.diagonal() - 2.0 * inside + shares @ inside
    return np.sqrt(np.maximum(squares, 0.0))


@method(simplify=_simplify)
def geometric_median(
    xs: Sequence[Tensor],
    *,
    weight: Sequence[Share] = (1.0,),
    max_iter: Steps = 100,
    tol: Tolerance = 1e-6,
) -> Tensor:
    """The point whose distances to the models add up to the least: an average robust to outliers.

    argmin_m Σ w_i ‖m - x_i‖ for each tensor, by Weiszfeld's iteration m ← Σ (w_i/d_i) x_i /
    Σ (w_i/d_i), d_i = ‖x_i - m‖, from the weighted mean on, at most `max_iter` times, until m moves
    by less than `tol` times the models' spread. Where m falls on a model, the step is that of Vardi
    and Zhang; if a model is the median itself, it is found as such. m stays in the span of the
    models, so that distances come from the Gram matrix, here of the differences to the first model:
    those of fine-tunes would drown in the norms of the weights.

    Source: Weiszfeld 1937; Vardi and Zhang, The multivariate L1-median and associated data depth,
    PNAS 2000; Pillutla et al., Robust aggregation for federated learning, 2022. Sweeps: one for the
    inner products, one to write; memory: tiles.
    """
    if len(xs) == 1:
        return xs[0]
    apart = [x - xs[0] for x in xs[1:]]
    shares = on_gram(weiszfeld, len(xs), apart, *weight, float(max_iter), tol)
    return xs[0] + combine(apart, shares[1:])
