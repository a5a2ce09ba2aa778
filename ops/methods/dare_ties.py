from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import Random, method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import Rescale, combine_consensus, drop, drop_silent_rows, rescale_kept


@method(simplify=partial(drop_silent_rows, consensus=True), yaml={"rescale": "l1"})
def dare_ties(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    random: Random,
    weight: Sequence[Weight],
    density: Sequence[Density] = (1.0,),
    lambda_: Factor = 1.0,
    normalize: bool = False,
    rescale: Rescale = "density",
) -> Tensor:
    """Drop task-vector elements at random, rescale the rest, elect a sign, merge what agrees.

    Each element of δ_i = x_i - b is kept with probability density. `rescale`: `density` multiplies
    the kept by 1/density (the paper), `l1` by Σ|δ_i| / Σ|kept| (mergekit). The v_i = w_i δ_i are
    then merged as by `ties`: those of the majority sign are summed, times λ, plus b.

    Source: Yu et al., Language models are Super Mario, ICML 2024; Yadav et al., TIES-Merging,
    NeurIPS 2023. Sweeps: one, with `l1` two; memory: tiles.
    """
    vectors = []
    for i, (x, w, share) in enumerate(zip(xs, weight, density, strict=True)):
        delta = x - base
        kept = drop(delta, i, share, random)
        vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_consensus(base, vectors, weight, lambda_, normalize)
