from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import method
from ..parameters import Density, Factor, Weight
from ..symbols import Tensor
from ..task_vectors import Rescale, Scope, combine_consensus, drop_silent_rows, rescale_kept, trim


@method(simplify=partial(drop_silent_rows, consensus=True))
def ties(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    weight: Sequence[Weight],
    density: Sequence[Density] = (1.0,),
    lambda_: Factor = 1.0,
    normalize: bool = True,
    rescale: Rescale = "none",
    scope: Scope = "tensor",
) -> Tensor:
    """Trim each task vector to its largest magnitudes, elect a sign, merge what agrees.

    Of δ_i = x_i - b the k = max(1, ⌊density·n⌋) largest magnitudes stay (among equals the lowest
    index first); v_i = w_i δ_i. The majority sign is that of Σ v_i (+ at 0); the v_i of that sign
    are summed, divided by the sum of their weights if `normalize`, times λ, plus b. With `scope =
    model`, as published, n and k count all tensors of a model, whose equals at the cut all stay.

    Source: Yadav et al., TIES-Merging, NeurIPS 2023. Sweeps: one or two to find the cuts, one to
    write (one in all at density 1); memory: tiles and a histogram per model.
    """
    vectors = []
    for i, (x, w, share) in enumerate(zip(xs, weight, density, strict=True)):
        delta = x - base
        kept = trim(delta, i, share, scope)
        vectors.append(rescale_kept(kept, delta, share, rescale) * w)
    return combine_consensus(base, vectors, weight, lambda_, normalize)
