from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import where
from ..method import method
from ..parameters import Factor
from ..symbols import Tensor
from ..unchanged import base_if_unchanged


@method(simplify=base_if_unchanged)
def magmax(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    lambda_: Factor = 1.0,
) -> Tensor:
    """For each parameter the task vector of largest magnitude.

    b + λ δ_j, where j is the source whose δ_i = x_i - b is largest in magnitude at that element;
    of equal magnitudes the first.

    Source: Marczak et al., MagMax: leveraging model merging for seamless continual learning, ECCV
    2024. Sweeps: one; memory: tiles.
    """
    chosen: Any = xs[0] - base
    for x in xs[1:]:
        delta = x - base
        chosen = where(abs(delta) > abs(chosen), delta, chosen)
    result: Tensor = base + chosen * lambda_
    return result
