"""Task matrices, one after the other -> a merged matrix in the subspaces that they span.

TSV-Merge and Iso-CTS join singular vectors of several matrices and make them orthonormal again. The
joined factors have rank r in all, r the matrix's short side, so that they fit in two tensors of the
matrix's own shape, and a method hands those from one task to the next: what is in memory doesn't
grow with the number of tasks. `left` holds the short-side vectors in its first columns, `right` the
long-side vectors times their singular values in its first rows (both of the `wide` matrix).
Of a vector `left` is the sum of the tasks' vectors.

    left, right = join(left, right, δ_1, …); left, right = join(left, right, δ_2, …); …
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .spectra import (
    EIGH,
    block_bytes,
    gram,
    inverse_root,
    inverse_root_bytes,
    product,
    sides,
    spectrum,
    wide,
)

if TYPE_CHECKING:
    import torch


def is_matrix(x: torch.Tensor) -> bool:
    """Whether a tensor is merged as a matrix; vectors are averaged."""
    return x.ndim >= 2 and x.numel() > 0


def join(
    left: torch.Tensor,
    right: torch.Tensor,
    delta: torch.Tensor,
    place: int,
    count: int,
    common: int = 0,
) -> None:
    """Put the leading `count` singular triples of a matrix at columns `place` and on.

    common: those of the matrix without its part in the subspace of the first columns of `left`.
    """
    if count == 0:
        return
    rows = wide(delta)
    squares = gram(rows)
    if common:
        _remove(squares, wide(left)[:, :common].to(squares.dtype))
    _, vectors = spectrum(squares)
    del squares
    leading = vectors[:, len(rows) - count :]
    wide(left)[:, place : place + count] = leading
    product(leading.T, rows, wide(right)[place : place + count])


def _remove(squares: torch.Tensor, basis: torch.Tensor) -> None:
    """Turn the Gram matrix of a matrix into that of its part outside a subspace, in place."""
    across = squares @ basis
    squares.addmm_(across, basis.T, alpha=-1.0)
    across = squares.T @ basis
    squares.addmm_(basis, across.T, alpha=-1.0)


def join_bytes(shape: tuple[int, ...]) -> int:
    """Bytes that `join` allocates."""
    short, _ = sides(shape)
    return int((1 + EIGH) * 8 * short * short) + block_bytes(short)


def merged(left: torch.Tensor, right: torch.Tensor, rank: int, uniform: bool) -> torch.Tensor:
    """U S Vᵀ of the joined factors, each made orthonormal by the nearest such matrix.

    S are the singular values, or with `uniform` their mean throughout.
    """
    result = left.new_zeros(left.shape)
    if rank == 0:
        return result
    columns, rows = wide(left)[:, :rank], wide(right)[:rank]
    values = gram(rows)
    lengths = values.diagonal().sqrt()
    inverse = lengths.reciprocal().masked_fill_(lengths == 0.0, 0.0)
    values *= inverse
    values *= inverse[:, None]
    _, root = inverse_root(values)  # of the long side's vectors
    del values
    sizes = lengths.mean().expand_as(lengths) if uniform else lengths
    root *= sizes[:, None]
    root *= inverse
    _, other = inverse_root(gram(columns.T))
    core = other @ root
    del other, root
    core = columns.to(core.dtype) @ core
    product(core, rows, wide(result))
    return result


def merged_bytes(shape: tuple[int, ...]) -> int:
    """Bytes that `merged` allocates beside its result."""
    short, _ = sides(shape)
    square = 8 * short * short
    return 2 * square + inverse_root_bytes(short) + block_bytes(short)
