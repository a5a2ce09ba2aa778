from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import Random, method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import (
    Rescale,
    combine_sum,
    drop_by_rank,
    drop_silent_rows_by_rank,
    rescale_kept,
)


@method(simplify=partial(drop_silent_rows_by_rank, consensus=False))
def della_linear(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    random: Random,
    weight: Sequence[Weight],
    density: Sequence[Density] = (1.0,),
    epsilon: Sequence[Density] = (0.15,),
    lambda_: Factor = 1.0,
    normalize: bool = False,
    rescale: Rescale = "l1",
) -> Tensor:
    """Drop task-vector elements at random, small ones more, and add up the rest.

    Each element of δ_i = x_i - b is kept with a probability p that grows linearly with the rank of
    its magnitude in its row, from density - epsilon to density + epsilon, which must lie between 0
    and 1; density ≥ 1 keeps all. `rescale`: `l1` multiplies by Σ|δ_i| / Σ|kept| (mergekit),
    `density` divides each element by its own p (the paper). b + λ Σ w_i δ_i, the sum
    divided by Σ w_i if `normalize`.

    Source: Deep et al., DELLA-Merging, 2024. Sweeps: one, with `l1` two; memory: two tiles of whole
    rows per model.
    """
    vectors = []
    for i, (x, w, share, spread) in enumerate(zip(xs, weight, density, epsilon, strict=True)):
        delta = x - base
        kept, probability = drop_by_rank(delta, i, share, spread, random)
        if rescale == "density":
            vectors.append(kept / probability * w)
        else:
            vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_sum(base, vectors, weight, lambda_, normalize)
