from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from ..functions import where
from ..gram import combine
from ..method import Call, method
from ..method_error import MethodError
from ..parameters import Bounds, Factor
from ..symbols import Number, Tensor
from ..unchanged import base_if_unchanged

Threshold = Annotated[Number, Bounds(0.0, None)]
Tasks = Annotated[int, Bounds(0, None)]


def _simplify(call: Call) -> Call | int:
    wanted, there = int(call.settings["agreement"] or 0), len(call.sources)
    if wanted > there:
        raise MethodError(f"`agreement` is {wanted}, more than the {there} sources there are")
    return base_if_unchanged(call)


@method(simplify=_simplify)
def consensus_ta(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    threshold: Sequence[Threshold] = (0.4,),
    agreement: Tasks = 2,
    lambda_: Factor = 1.0,
) -> Tensor:
    """Task arithmetic on the parameters that several tasks use.

    With δ_i = x_i - b and τ = Σ δ_i, task i uses an element where |δ_i| ≥ t_i |τ - δ_i| (its TALL
    mask, `threshold` t_i). Elements that at least `agreement` tasks use keep τ, all others are the
    base's: b + λ τ [Σ mask_i ≥ agreement]. `agreement = 2` drops what no task uses and what only
    one does; 0 is plain task arithmetic. The paper picks each t_i from 0.2 to 0.6 by validation.

    Source: Wang et al., Localizing task information for improved model merging and compression,
    ICML 2024. Sweeps: one; memory: tiles.
    """
    vectors: list[Any] = [x - base for x in xs]
    together = combine(vectors, [1.0] * len(vectors))
    users: Any = 0.0
    for delta, t in zip(vectors, threshold, strict=True):
        users = users + where(abs(delta) >= abs(together - delta) * t, 1.0, 0.0)
    kept = where(users >= float(agreement), together, 0.0)
    result: Tensor = base + kept * lambda_
    return result
