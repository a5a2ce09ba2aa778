from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from ..functions import on_whole
from ..gram import combine
from ..method import method
from ..opaque_functions import whole
from ..parameters import Bounds, Factor
from ..spectra import sides
from ..subspaces import is_matrix, join, join_bytes, merged, merged_bytes
from ..symbols import Number, Tensor
from ..unchanged import base_if_unchanged

Fraction = Annotated[Number, Bounds(0.0, 1.0)]


def _join_bytes(shape: tuple[int, ...], arguments: int) -> int:
    return join_bytes(shape, common=True)


def _merged_bytes(shape: tuple[int, ...], arguments: int) -> int:
    return merged_bytes(shape)


def _ranks(x: Any, tasks: float, fraction: float) -> tuple[int, int]:
    """(common directions, directions of each task), all that a matrix has together."""
    short, _ = sides(tuple(x.shape))
    count = int(tasks)
    own = min(round((short - int(short * fraction)) / count), short // count)
    return short - own * count, own


@whole(_join_bytes)
def common_subspace(together: Any, tasks: float, fraction: float) -> Sequence[Any]:
    """The factors of the tasks' sum alone."""
    if not is_matrix(together):
        return [together.clone(), together.new_zeros(together.shape)]
    return join(None, together, 0, _ranks(together, tasks, fraction)[0])


@whole(_join_bytes)
def next_task(
    left: Any, right: Any, delta: Any, place: float, tasks: float, fraction: float
) -> Sequence[Any]:
    """The factors joined by those of a task outside the common subspace, the `place`-th from 0."""
    if not is_matrix(delta):
        return [left.clone(), right.clone()]
    common, own = _ranks(delta, tasks, fraction)
    return join((left, right), delta, common + int(place) * own, own, common)


@whole(_merged_bytes)
def all_subspaces(left: Any, right: Any, tasks: float) -> list[Any]:
    """The merged task vector."""
    if not is_matrix(left):
        return [left / tasks]
    return [merged((left, right), sides(tuple(left.shape))[0], uniform=True)]


@method(simplify=base_if_unchanged)
def iso_cts(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    common: Fraction = 0.8,
    lambda_: Factor = 1.0,
) -> Tensor:
    """Iso-C with its weakest directions given to the tasks: common and task-specific subspaces.

    Of T matrices δ_i = x_i - b of r = min(rows, columns): the leading k = ⌊common·r⌋ singular
    triples of Σ δ_i, and of each δ_i without its part in their subspace, δ_i - U_k U_kᵀ δ_i, the
    leading (r - k)/T (k is corrected so that all r directions are given out). U and V of all of
    them are replaced by the nearest matrices with orthonormal columns, and their singular values by
    their mean s: b + λ s U Vᵀ. Vectors: b + λ mean δ_i. A tensor of more dimensions is a matrix of
    its first and all others. The paper picks λ by validation, mostly from 1 to 2.

    Source: Marczak et al., No task left behind: isotropic model merging with common and
    task-specific subspaces, ICML 2025. Sweeps: one for the sum, one a model, one to write; fewer if
    all task vectors fit. Memory, whatever the number of models: five float32 copies of the largest
    matrix, or three and 34 bytes times the square of its short side (float64 eigenvectors) where
    that is more; another copy for a matrix with more rows than columns.
    """
    vectors = [x - base for x in xs]
    count = float(len(xs))
    together = combine(vectors, [1.0] * len(vectors))
    left, right = on_whole(common_subspace, 2, together, count, common)
    for place, delta in enumerate(vectors):
        left, right = on_whole(next_task, 2, left, right, delta, float(place), count, common)
    (task_vector,) = on_whole(all_subspaces, 1, left, right, count)
    result: Tensor = base + task_vector * lambda_
    return result
