from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import Random, method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import Rescale, combine_sum, drop, drop_silent_rows, rescale_kept


@method(simplify=partial(drop_silent_rows, consensus=False), yaml={"rescale": "l1"})
def dare_linear(
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
    """Drop task-vector elements at random, rescale the rest, and add them up.

    Each element of δ_i = x_i - b is kept with probability density. `rescale`: `density` multiplies
    the kept by 1/density (the paper), `l1` by Σ|δ_i| / Σ|kept| (mergekit). b + λ Σ w_i δ_i, the sum
    divided by Σ w_i if `normalize`.

    Source: Yu et al., Language models are Super Mario, ICML 2024. Sweeps: one, with `l1` two;
    memory: tiles.
    """
    vectors = []
    for i, (x, w, share) in enumerate(zip(xs, weight, density, strict=True)):
        delta = x - base
        kept = drop(delta, i, share, random)
        vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_sum(base, vectors, weight, lambda_, normalize)
