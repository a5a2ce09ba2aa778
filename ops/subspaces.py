"""Task matrices, one after the other -> a merged matrix in the subspaces that they span.

TSV-Merge and Iso-CTS join singular vectors of several matrices and make them orthonormal again. The
joined factors have rank r in all, r the matrix's short side, so that they fit in two tensors of the
matrix's own shape, and a method hands those from one task to the next: what is in memory doesn't
grow with the number of tasks. `left` holds the short-side vectors in its first columns, `right` the
long-side vectors times their singular values in its first rows (both of the `wide` matrix).
Of a vector `left` is the sum of the tasks' vectors.

    factors = join(None, δ_1, …); factors = join(factors, δ_2, …); …; τ = merged(factors, …)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .spectra import (
    NULL,
    block_bytes,
    eigh_bytes,
    gram,
    gram_of,
    inverse_root,
    product,
    sides,
    spectrum,
    wide,
)

if TYPE_CHECKING:
    import torch


Factors: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""(left, right), each of the matrix's shape."""


def is_matrix(x: torch.Tensor) -> bool:
    """Whether a tensor is merged as a matrix; vectors are averaged."""
    return x.ndim >= 2 and x.numel() > 0


def join(
    factors: Factors | None, delta: torch.Tensor, place: int, count: int, common: int = 0
) -> Factors:
    """The factors with a matrix's leading `count` singular triples at columns `place` and on.

    factors: those joined so far; None begins. common: the triples are those of δ - U Uᵀ δ, U the
    left singular vectors of the first `common` triples.
    """
    rows = wide(delta)
    squares = gram(rows)
    size = squares.trace().sqrt()
    on_long_side = None
    if common and factors is not None and len(rows) < len(delta):
        on_long_side = basis, inside = _on_long_side(rows, wide(factors[1])[:common])
        squares.addmm_(inside, inside.T, alpha=-1.0)
    elif common and factors is not None:
        _remove(squares, wide(factors[0])[:, :common].to(squares.dtype))
    values, vectors = spectrum(squares)
    del squares
    first = len(rows) - count
    leading = vectors[:, first:]
    leading *= values[first:] > NULL * size
    if factors is None:
        left, right = delta.new_zeros(delta.shape), delta.new_zeros(delta.shape)
    else:
        left, right = factors[0].clone(), factors[1].clone()
    wide(left)[:, place : place + count] = leading
    found = wide(right)[place : place + count]
    product(leading.T, rows, found)
    if on_long_side is not None:
        basis, inside = on_long_side
        found.sub_((leading.T @ inside).to(basis.dtype) @ basis)
    return left, right


def _remove(squares: torch.Tensor, basis: torch.Tensor) -> None:
    """Turn the Gram matrix of a matrix into that of its part outside a subspace, in place."""
    across = squares @ basis
    squares.addmm_(across, basis.T, alpha=-1.0)
    across = squares.T @ basis
    squares.addmm_(basis, across.T, alpha=-1.0)


def _on_long_side(rows: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the vectors with length 1, the matrix's inner products with them)."""
    lengths = vectors.norm(dim=1, keepdim=True)
    basis = vectors / lengths.masked_fill(lengths == 0.0, 1.0)
    return basis, gram_of(rows, basis)


def join_bytes(shape: tuple[int, ...], common: bool = False) -> int:
    """Bytes that `join` allocates beside its results, which it makes last."""
    if len(shape) < 2:
        return 0
    short, long = sides(shape)
    square, results = 8 * short * short, 2 * 4 * short * long
    beside = square + 4 * short * long if common and shape[0] > short else 0
    return beside + max(eigh_bytes(short, 1) - results, square + block_bytes(short))


def merged(factors: Factors, rank: int, uniform: bool) -> torch.Tensor:
    """U S Vᵀ of the joined factors, each made orthonormal by the nearest such matrix.

    S are the singular values, or with `uniform` their mean throughout.
    """
    left, right = factors
    if rank == 0:
        return left.new_zeros(left.shape)
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
    result = left.new_empty(left.shape)
    product(core, rows, wide(result))
    return result


def merged_bytes(shape: tuple[int, ...]) -> int:
    """Bytes that `merged` allocates beside its result, which it makes last."""
    if len(shape) < 2:
        return 0
    short, long = sides(shape)
    square = 8 * short * short
    return max(eigh_bytes(short, 2) - 4 * short * long, square + block_bytes(short))
