from __future__ import annotations

from typing import Any

from ..functions import on_whole
from ..method import Call, method
from ..opaque_functions import whole
from ..parameters import Factor
from ..spectra import BLOCK, SVD, block_bytes, gram, product, sides, square_roots
from ..subspaces import is_matrix
from ..symbols import Tensor


def _scratch(shape: tuple[int, ...], arguments: int) -> int:
    if len(shape) < 2:
        return 0
    short, long = sides(shape)
    return 2 * 4 * short * long + int((3 + SVD) * 8 * short * short) + block_bytes(short)


def _simplify(call: Call) -> Call | int:
    a, b = call.sources
    return b if a == b or call.settings["alpha"] == 1 else call


@whole(_scratch)
def rotated(a: Any, b: Any) -> list[Any]:
    """a with its rows turned by the orthogonal matrix that brings them nearest to those of b."""
    if not is_matrix(a):
        return [a.clone()]
    result = a.new_empty(a.shape)
    out = result.view(a.shape[0], -1)
    left, centre = _centred(a.reshape(out.shape))
    right, _ = _centred(b.reshape(out.shape))
    if len(out) < out.shape[1]:
        _turn_few(left, right, out)
    else:
        _turn_many(left, right, out)
    out += centre.to(out.dtype)
    return [result]


def _centred(matrix: Any) -> tuple[Any, Any]:
    """(rows minus their mean, the mean in float64)."""
    import torch

    centre = matrix.sum(0, dtype=torch.float64) / len(matrix)
    return matrix - centre.to(matrix.dtype), centre


def _turn_many(left: Any, right: Any, out: Any) -> None:
    """out = left R for at least as many rows as columns: R is the polar factor of leftᵀ right."""
    products = left.new_zeros((left.shape[1], left.shape[1])).double()
    for start in range(0, len(left), BLOCK):
        rows = slice(start, start + BLOCK)
        products.addmm_(left[rows].double().T, right[rows].double())
    product(_polar(products).T, left.T, out.T)


def _turn_few(left: Any, right: Any, out: Any) -> None:
    """The same for fewer rows than columns, where R is known on the space of the rows alone.

    With left = S_a Q_a and right = S_b Q_b (S symmetric, Q of orthonormal rows), left R is
    S_a P Q_b, P the polar factor of S_a S_b: nothing of columns × columns is needed.
    """
    root, _ = square_roots(gram(left))
    other, inverse = square_roots(gram(right))
    core = root @ _polar(root @ other) @ inverse
    product(core, right, out)


def _polar(matrix: Any) -> Any:
    import torch

    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


@method(simplify=_simplify)
def rotate(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Factor = 0.0,
) -> Tensor:
    """Turn a model's neurons so that they lie as near to another's as they can, then blend.

    For each matrix, whose rows are neurons: R is the orthogonal matrix that minimises
    ‖(A - Ā) R - (B - B̄)‖, Ā and B̄ the mean rows (orthogonal Procrustes: R = U Vᵀ of
    (A - Ā)ᵀ (B - B̄) = U S Vᵀ; reflections are allowed). The result is
    (1 - α) ((A - Ā) R + Ā) + α B. α = 0 is all of a, turned; 1 is b. Vectors are blended, not
    turned. A tensor of more dimensions is a matrix of its first and all others.

    Source: Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika
    1966; common usage among mergers of diffusion models. Sweeps: one, and one to write. Memory:
    five float32 copies of the largest matrix, and a singular value decomposition of its short side
    in float64 (77 bytes times its square).
    """
    (turned,) = on_whole(rotated, 1, a, b)
    merged: Tensor = turned * (1.0 - alpha) + b * alpha
    return merged
