from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import maximum, minimum, total, where
from ..method import method
from ..parameters import Factor
from ..symbols import Tensor
from ..task_vectors import drop_unchanged_rows

_ABOVE_0 = 1e-30  # what is divided by where no element is unique and epsilon is 0


@method(simplify=drop_unchanged_rows)
def ramplus_tl(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    r: Factor = 0.1,
    alpha: Factor = 0.2,
    epsilon: Factor = 1e-5,
) -> Tensor:
    """As `ram`, with what one model alone has changed amplified.

    δ_i = x_i - b counts where |δ_i| > epsilon. Where several count, b + their mean; where one does,
    b + δ_i (1 + r · clamp(shared_i / max(unique_i, epsilon), 0, alpha)): unique_i is how many
    elements model i alone has changed in this tensor, shared_i how many it and others have.

    Source: Yuan et al., Reinforced Agent Merging, 2026. Sweeps: one to count, one to write; memory:
    tiles.
    """
    deltas = [x - base for x in xs]
    counts = [abs(delta) > epsilon for delta in deltas]
    count: Any = 0.0
    for counted in counts:
        count = count + where(counted, 1.0, 0.0)
    alone = count < 1.5
    mixed: Any = 0.0
    unique: Any = 0.0
    for delta, counted in zip(deltas, counts, strict=True):
        changed = where(counted, delta, 0.0)
        of_one = total(where(counted & alone, 1.0, 0.0))
        of_several = total(where(counted & ~alone, 1.0, 0.0))
        overlap = of_several / maximum(of_one, maximum(epsilon, _ABOVE_0))
        mixed = mixed + changed
        unique = unique + changed * (1.0 + r * minimum(maximum(overlap, 0.0), alpha))
    result: Tensor = base + where(alone, unique, mixed / maximum(count, 1.0))
    return result
