from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import Rescale, combine_sum, drop_silent_rows, rescale_kept, trim_middle


@method(simplify=partial(drop_silent_rows, consensus=False))
def breadcrumbs(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    weight: Sequence[Weight],
    density: Sequence[Density] = (1.0,),
    gamma: Sequence[Density] = (0.01,),
    lambda_: Factor = 1.0,
    normalize: bool = False,
    rescale: Rescale = "none",
) -> Tensor:
    """Trim the largest and the smallest task-vector elements and add up the rest.

    Of δ_i = x_i - b the ⌊gamma·n⌋ elements of largest magnitude are dropped, and of the rest
    all but the ⌊density·n⌋ largest; where fewer are left, the ⌊density·n⌋ smallest of all stay
    (among equals the lowest index counts as the largest). Density ≥ 1 keeps all. b + λ Σ w_i δ_i,
    the sum divided by Σ w_i if `normalize`.

    Source: Davari and Belilovsky, Model Breadcrumbs, ECCV 2024. Sweeps: one or two to find the
    cuts, one to write (one in all at density 1); memory: tiles and two histograms per model.
    """
    vectors = []
    for x, w, share, top in zip(xs, weight, density, gamma, strict=True):
        delta = x - base
        kept = trim_middle(delta, share, top)
        vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_sum(base, vectors, weight, lambda_, normalize)
