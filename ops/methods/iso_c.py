from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import on_whole
from ..gram import combine
from ..method import method
from ..opaque_functions import whole
from ..parameters import Factor
from ..spectra import block_bytes, eigh_bytes, gram, inverse_root, product, sides, wide
from ..subspaces import is_matrix
from ..symbols import Tensor
from ..unchanged import base_if_unchanged


def _scratch(shape: tuple[int, ...], arguments: int) -> int:
    if len(shape) < 2:
        return 0
    short, long = sides(shape)
    square = 8 * short * short
    # the result is made last
    return max(eigh_bytes(short, 1) - 4 * short * long, square + block_bytes(short))


@whole(_scratch)
def isotropic(together: Any, tasks: float) -> list[Any]:
    """A matrix with all its singular values set to their mean; of a vector 1/tasks of it."""
    if not is_matrix(together):
        return [together / tasks]
    rows = wide(together)
    values, root = inverse_root(gram(rows))
    root *= values.mean()
    result = together.new_empty(together.shape)
    product(root, rows, wide(result))
    return [result]


@method(simplify=base_if_unchanged)
def iso_c(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    lambda_: Factor = 1.0,
) -> Tensor:
    """Task arithmetic with an even spectrum: every direction that the tasks share counts alike.

    For each matrix Σ (x_i - b) = U S Vᵀ: b + λ s U Vᵀ, with s the mean of all min(rows, columns)
    singular values. Vectors: b + λ mean (x_i - b). A tensor of more dimensions is a matrix of its
    first and all others. Directions with singular values below 1e-6 of the largest stay zero; an
    SVD would fill them arbitrarily. The paper picks λ by validation, mostly from 1 to 2.

    Source: Marczak et al., No task left behind: isotropic model merging with common and
    task-specific subspaces, ICML 2025. Sweeps: one for the sum, one to write. Memory, whatever the
    number of models: two float32 copies of the largest matrix and 8 bytes times the square of its
    short side, or one copy and 34 bytes times that square (float64 eigenvectors) where it is more.
    """
    together = combine([x - base for x in xs], [1.0] * len(xs))
    (task_vector,) = on_whole(isotropic, 1, together, float(len(xs)))
    merged: Tensor = base + task_vector * lambda_
    return merged
