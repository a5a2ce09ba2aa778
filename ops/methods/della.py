from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import Random, method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import (
    Rescale,
    combine_consensus,
    drop_by_rank,
    drop_silent_rows_by_rank,
    rescale_kept,
)


@method(simplify=partial(drop_silent_rows_by_rank, consensus=True))
def della(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    random: Random,
    weight: Sequence[Weight],
    density: Sequence[Density] = (1.0,),
    epsilon: Sequence[Density] = (0.15,),
    lambda_: Factor = 1.0,
    normalize: bool = True,
    rescale: Rescale = "l1",
) -> Tensor:
    """Drop task-vector elements at random, small ones more, elect a sign, merge what agrees.

    Each element of δ_i = x_i - b is kept with a probability p that grows linearly with the rank of
    its magnitude in its row, from density - epsilon to density + epsilon, which must lie between 0
    and 1; density ≥ 1 keeps all. `rescale`: `l1` multiplies by Σ|δ_i| / Σ|kept| (mergekit),
    `density` divides each element by its own p (the paper). The v_i = w_i δ_i are then
    merged as by `ties`: those of the majority sign are summed, divided by the sum of their weights
    if `normalize`, times λ, plus b.

    Source: Deep et al., DELLA-Merging, 2024; Yadav et al., TIES-Merging, NeurIPS 2023. Sweeps: one,
    with `l1` two; memory: two tiles of whole rows per model.
    """
    vectors = []
    for i, (x, w, share, spread) in enumerate(zip(xs, weight, density, epsilon, strict=True)):
        delta = x - base
        kept, probability = drop_by_rank(delta, i, share, spread, random)
        if rescale == "density":
            vectors.append(kept / probability * w)
        else:
            vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_consensus(base, vectors, weight, lambda_, normalize)
