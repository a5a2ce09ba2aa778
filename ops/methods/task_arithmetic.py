from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..method import method
from ..parameters import Factor, Weight
from ..symbols import Tensor
from ..task_vectors import combine_sum, drop_silent_rows


@method(simplify=partial(drop_silent_rows, consensus=False))
def task_arithmetic(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    weight: Sequence[Weight],
    lambda_: Factor = 1.0,
    normalize: bool = False,
) -> Tensor:
    """The base plus a weighted sum of task vectors.

    b + λ Σ w_i (x_i - b), the sum divided by Σ w_i if `normalize` (|Σ w_i| < 1e-8 counts as 1).

    Source: Ilharco et al., Editing models with task arithmetic, ICLR 2023. Sweeps: one; memory:
    tiles.
    """
    vectors = [(x - base) * w for x, w in zip(xs, weight, strict=True)]
    return combine_sum(base, vectors, weight, lambda_, normalize)
