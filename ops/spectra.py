"""Matrices -> their leading singular triples and orthonormal factors, by Gram matrices.

Everything is computed on a matrix's short side (r rows of n ≥ r elements): its Gram matrix A Aᵀ is
added up in float64 from float32 elements, and its eigenvectors are A's left singular vectors. That
takes r² doubles where a singular value decomposition takes several copies of A. Squaring halves the
digits, of which float64 has twice those of the data: a singular value is right to float32 rounding
down to about 1e-5 of the largest. Singular values below `NULL` of the
largest have directions that the data doesn't know: they count as zero, where an SVD would give back
arbitrary ones.

Matrices are float32 torch tensors; a Gram matrix and what is made of it are float64.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 256
"""Columns that are converted to float64 at once."""

EIGH = 3.2
"""Memory of a symmetric eigendecomposition with its eigenvectors, in matrices, as measured."""

SVD = 6.6
"""Memory of a square singular value decomposition with its factors, in matrices, as measured."""

NULL = 1e-6
"""Singular values below this part of the largest count as zero."""


def wide(x: torch.Tensor) -> torch.Tensor:
    """x as a matrix with its short side first, a view where x is contiguous.

    More than two dimensions are one of rows and the rest, as in a convolution's kernel.
    """
    matrix = x.reshape(x.shape[0], -1)
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """(short, long) side of the matrix that `wide` makes of a shape of two or more dimensions."""
    count = prod(shape[1:])
    return min(shape[0], count), max(shape[0], count)


def block_bytes(short: int) -> int:
    """Bytes of a block of columns and a block of results in float64, and of products' buffers."""
    return 2 * 8 * short * BLOCK + kept_bytes(short)


def kept_bytes(short: int) -> int:
    """Bytes that the linear algebra library keeps for itself after large products, as measured."""
    return min(64 * 2**20, 4 * short * short)


def eigh_bytes(short: int, others: int) -> int:
    """Bytes of an eigendecomposition beside `others` float64 matrices, its argument among them."""
    return int((others + EIGH) * 8 * short * short) + kept_bytes(short)


def gram(rows: torch.Tensor) -> torch.Tensor:
    """A Aᵀ in float64, block by block."""
    return gram_of(rows, rows)


def gram_of(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """A Bᵀ in float64, block by block."""
    result = rows.new_zeros((len(rows), len(others)), dtype=_double())
    for start in range(0, rows.shape[1], BLOCK):
        block = rows[:, start : start + BLOCK].to(_double())
        other = block if others is rows else others[:, start : start + BLOCK].to(_double())
        result.addmm_(block, other.T)
    return result


def product(left: torch.Tensor, rows: torch.Tensor, out: torch.Tensor) -> None:
    """out = left · rows, of a float64 and a float32 matrix, rounded once, block by block."""
    for start in range(0, rows.shape[1], BLOCK):
        block = rows[:, start : start + BLOCK].to(_double())
        out[:, start : start + BLOCK] = left @ block


def spectrum(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(singular values, left singular vectors) from a Gram matrix, the largest last."""
    import torch

    squares, vectors = torch.linalg.eigh(matrix)
    return squares.clamp(min=0.0).sqrt(), vectors


def inverse_root(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(singular values, G^(-1/2)) of a Gram matrix, without its null space."""
    values, vectors = spectrum(matrix)
    known = values > NULL * values[-1]
    inverse = known.to(values.dtype) / values.masked_fill(~known, 1.0)
    scaled = vectors * inverse.sqrt()
    return values, scaled @ scaled.T


def square_roots(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(G^(1/2), G^(-1/2)) of a Gram matrix, the latter without its null space."""
    values, vectors = spectrum(matrix)
    known = values > NULL * values[-1]
    inverse = known.to(values.dtype) / values.masked_fill(~known, 1.0)
    return (vectors * values) @ vectors.T, (vectors * inverse) @ vectors.T


def _double() -> torch.dtype:
    import torch

    return torch.float64
