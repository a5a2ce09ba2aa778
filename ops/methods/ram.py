from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import maximum, where
from ..method import method
from ..parameters import Factor
from ..symbols import Tensor
from ..task_vectors import drop_unchanged_rows


@method(simplify=drop_unchanged_rows)
def ram(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    epsilon: Factor = 1e-5,
) -> Tensor:
    """Average task vectors over the models that changed an element, not over all.

    δ_i = x_i - b counts where |δ_i| > epsilon. To b is added the mean of those that count: where
    one model alone has changed an element, all of its change.

    Source: Yuan et al., Reinforced Agent Merging, 2026. Sweeps: one; memory: tiles.
    """
    mixed: Any = 0.0
    count: Any = 0.0
    for x in xs:
        delta = x - base
        counts = abs(delta) > epsilon
        mixed = mixed + where(counts, delta, 0.0)
        count = count + where(counts, 1.0, 0.0)
    result: Tensor = base + mixed / maximum(count, 1.0)
    return result
