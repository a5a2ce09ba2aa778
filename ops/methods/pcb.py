from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from ..exponentials import expm1, tanh
from ..functions import cut_magnitude, floor, largest, maximum, minimum, numel, total, where
from ..gram import combine
from ..method import method
from ..parameters import Bounds, Factor
from ..symbols import Scalar, Tensor
from ..unchanged import base_if_unchanged

Ratio = Annotated[Scalar, Bounds(0.0, 1.0)]
Clip = Annotated[Scalar, Bounds(0.0, 0.5)]


@method(simplify=base_if_unchanged)
def pcb(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    ratio: Ratio = 0.2,  # type: ignore[assignment]
    clip: Clip = 1e-4,  # type: ignore[assignment]
    lambda_: Factor = 1.0,  # type: ignore[assignment]
) -> Tensor:
    """Balance the competition of parameters within and between tasks; merge the winners.

    With δ_i = x_i - b of n elements, T sources: |δ_i| is clamped to its values at positions
    ⌊clip·n⌋ and ⌊(1 - clip)·n⌋ - 1 in ascending order, and s_i is it mapped linearly to [0, 1]. The
    score of an element is exp(T s_i²) (how much it matters to its own task) times tanh(δ_i Σ δ_j)
    (how well the tasks agree on it). Of each task's scores those above position ⌊(1 - ratio)·n⌋
    count, mapped linearly so that this position gives 0 and the highest score 1: shares p_i. The
    result is b + λ Σ p_i δ_i / Σ p_i with the clamped δ_i; b where no task has a share.

    Source: Du et al., Parameter competition balancing for model merging, NeurIPS 2024, with the
    scores as the authors computed their published results. The thresholds are each tensor's.
    Sweeps: one or two to find the clamps, as many the scores' cuts, one to write; memory: tiles and
    five histograms per model.
    """
    vectors: list[Any] = [x - base for x in xs]
    together = combine(vectors, [1.0] * len(vectors))
    size = numel(base)
    merged: Any = 0.0
    weight: Any = 0.0
    for delta in vectors:
        low = _ascending(delta, floor(size * clip), size)
        high = _ascending(delta, maximum(floor(size * (1.0 - clip)) - 1.0, 0.0), size)
        clamped = minimum(maximum(abs(delta), low), high)
        share = (clamped - low) / where(high > low, high - low, 1.0)
        own = 1.0 / (expm1((1.0 - share * share) * float(len(xs))) + 1.0)  # up to a factor
        won = _above_cut(own * tanh(delta * together), ratio, size)
        merged = merged + where(delta < 0.0, -clamped, clamped) * won
        weight = weight + won
    return base + merged / where(weight > 0.0, weight, 1.0) * lambda_  # type: ignore[no-any-return]


def _ascending(x: Tensor, position: Any, size: Any) -> Any:
    """The magnitude at a position in ascending order."""
    return cut_magnitude(largest(x, size - position))


def _above_cut(score: Tensor, ratio: Scalar, size: Any) -> Any:
    """Scores from the ⌊(1 - ratio)·n⌋-th in ascending order on, mapped to [0, 1]; 0 below it."""
    above, below = maximum(score, 0.0), minimum(score, 0.0)
    position = minimum(floor(size * (1.0 - ratio)), size - 1.0)
    negative = total(where(score < 0.0, 1.0, 0.0))
    cut = where(
        position < negative,
        -cut_magnitude(largest(below, position + 1.0)),
        cut_magnitude(largest(above, size - position)),
    )
    top = cut_magnitude(largest(above, 1.0))  # type: ignore[arg-type]
    return maximum(score - cut, 0.0) / where(top > cut, top - cut, 1.0)
