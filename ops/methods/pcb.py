from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from ..exponentials import expm1, tanh
from ..functions import floor, in_order, kth_magnitude, maximum, minimum, where
from ..gram import combine
from ..method import method
from ..parameters import Bounds, Factor
from ..symbols import Number, Tensor
from ..task_vectors import Scope
from ..unchanged import base_if_unchanged

Ratio = Annotated[Number, Bounds(0.0, 1.0)]
Clip = Annotated[Number, Bounds(0.0, 0.5)]


@method(simplify=base_if_unchanged)
def pcb(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    ratio: Ratio = 0.2,
    clip: Clip = 1e-4,
    lambda_: Factor = 1.0,
    scope: Scope = "tensor",
) -> Tensor:
    """Balance the competition of parameters within and between tasks; merge the winners.

    With δ_i = x_i - b of n elements, T sources: |δ_i| is clamped to its values at positions
    ⌊clip·n⌋ and ⌊(1 - clip)·n⌋ - 1 in ascending order, and s_i is it mapped linearly to [0, 1]. The
    score of an element is exp(T s_i²) (how much it matters to its own task) times tanh(δ_i Σ δ_j)
    (how well the tasks agree on it). Of each task's scores those above position ⌊(1 - ratio)·n⌋
    count, mapped linearly so that this position gives 0 and the highest score 1: shares p_i. The
    result is b + λ Σ p_i δ_i / Σ p_i with the clamped δ_i; b where no task has a share. With `scope
    = model`, as published, n and the positions count all tensors of a model.

    Source: Du et al., Parameter competition balancing for model merging, NeurIPS 2024, with the
    scores as the authors computed their published results.
    Sweeps: one or two to find the clamps, as many the scores' cuts, one to write; memory: tiles and
    five histograms per model.
    """
    numbers = iter(range(5 * len(xs)))

    def pool() -> int | None:
        """A number for one more threshold, where thresholds are the model's."""
        return next(numbers) if scope == "model" else None

    def place(n: Any) -> Any:
        return minimum(floor(n * (1.0 - ratio)), n - 1.0)

    vectors: list[Any] = [x - base for x in xs]
    together = combine(vectors, [1.0] * len(vectors))
    merged: Any = 0.0
    weight: Any = 0.0
    for delta in vectors:
        low = kth_magnitude(delta, lambda n: n - floor(n * clip), pool())
        high = kth_magnitude(
            delta, lambda n: n - maximum(floor(n * (1.0 - clip)) - 1.0, 0.0), pool()
        )
        clamped = minimum(maximum(abs(delta), low), high)
        share = (clamped - low) / where(high > low, high - low, 1.0)
        own = 1.0 / (expm1((1.0 - share * share) * float(len(xs))) + 1.0)  # up to a factor
        score = own * tanh(delta * together)
        cut = in_order(score, place, (pool(), pool()))
        top = kth_magnitude(maximum(score, 0.0), lambda n: 1.0, pool())
        won = maximum(score - cut, 0.0) / where(top > cut, top - cut, 1.0)
        merged = merged + where(delta < 0.0, -clamped, clamped) * won
        weight = weight + won
    moved: Tensor = base + merged / where(weight > 0.0, weight, 1.0) * lambda_
    return moved
