from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import on_whole
from ..method import method
from ..opaque_functions import whole
from ..parameters import Factor
from ..spectra import sides
from ..subspaces import is_matrix, join, join_bytes, merged, merged_bytes
from ..symbols import Tensor
from ..unchanged import base_if_unchanged


def _join_bytes(shape: tuple[int, ...], arguments: int) -> int:
    return join_bytes(shape)


def _merged_bytes(shape: tuple[int, ...], arguments: int) -> int:
    return merged_bytes(shape)


def _rank(x: Any, tasks: float) -> int:
    """How many singular triples each task keeps."""
    return int(sides(tuple(x.shape))[0] // int(tasks))


@whole(_join_bytes)
def first_task(delta: Any, tasks: float) -> Sequence[Any]:
    """The factors of one task."""
    if not is_matrix(delta):
        return [delta.clone(), delta.new_zeros(delta.shape)]
    return join(None, delta, 0, _rank(delta, tasks))


@whole(_join_bytes)
def next_task(left: Any, right: Any, delta: Any, place: float, tasks: float) -> Sequence[Any]:
    """The factors joined by those of one more task, the `place`-th from 0."""
    if not is_matrix(delta):
        return [left + delta, right.clone()]
    count = _rank(delta, tasks)
    return join((left, right), delta, int(place) * count, count)


@whole(_merged_bytes)
def all_tasks(left: Any, right: Any, tasks: float) -> list[Any]:
    """The merged task vector."""
    if not is_matrix(left):
        return [left / tasks]
    return [merged((left, right), _rank(left, tasks) * int(tasks), uniform=False)]


@method(simplify=base_if_unchanged)
def tsvm(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    lambda_: Factor = 1.0,
) -> Tensor:
    """Keep each task's leading singular vectors, make them orthogonal to other tasks', add up.

    Of T matrices δ_i = x_i - b of rank r = min(rows, columns), each keeps its ⌊r/T⌋ largest
    singular values: δ_i ≈ U_i S_i V_iᵀ. U = [U_1 … U_T] and V likewise are replaced by the nearest
    matrices with orthonormal columns, U (UᵀU)^(-1/2), which takes the tasks' interference away. The
    result is b + λ U S Vᵀ. Vectors: b + λ mean δ_i. A tensor of more dimensions is a matrix of its
    first and all others. Vectors of several tasks that depend on each other linearly are merged in
    the subspace that they do span.

    Source: Gargiulo et al., Task singular vectors: reducing task interference in model merging,
    CVPR 2025 (TSV-Merge). Sweeps: one a model and one to write, or two if all task vectors fit.
    Memory, whatever the number of models: five float32 copies of the largest matrix, or three and
    34 bytes times the square of its short side (float64 eigenvectors) where that is more.
    """
    count = len(xs)
    left, right = on_whole(first_task, 2, xs[0] - base, float(count))
    for place, x in enumerate(xs[1:], 1):
        left, right = on_whole(next_task, 2, left, right, x - base, float(place), float(count))
    (task_vector,) = on_whole(all_tasks, 1, left, right, float(count))
    merged: Tensor = base + task_vector * lambda_
    return merged
