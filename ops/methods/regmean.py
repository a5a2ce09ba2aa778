from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from ..functions import on_whole
from ..gram import combine
from ..method import Call, method
from ..opaque_functions import whole
from ..parameters import Bounds, Shaped
from ..spectra import inverse_root
from ..symbols import Number, Tensor, Whole

Share = Annotated[Number, Bounds(0.0, 1.0)]


def _square(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the inputs' Gram matrix of a weight."""
    columns = math.prod(shape[1:])
    return (columns, columns)


Moments = Annotated[Whole, Shaped(_square)] | None


def _scratch(shape: tuple[int, ...], arguments: int) -> int:
    size, columns = math.prod(shape), math.prod(shape[1:])
    grams = arguments // 2 * 4 * columns**2  # these arguments have a shape of their own
    return grams + 4 * size + 2 * 8 * size + 4 * 8 * columns**2


@whole(_scratch)
def least_squares(*arguments: Any) -> list[Any]:
    """The weight whose outputs are nearest to each model's on its own inputs.

    Arguments: the models' weights, their inputs' Gram matrices, and the share α of what is off the
    diagonals.
    """
    import torch

    *tensors, share = arguments
    count = len(tensors) // 2
    weights = [x.reshape(x.shape[0], -1) for x in tensors[:count]]
    mean = weights[0].to(torch.float64, copy=True)
    for matrix in weights[1:]:
        mean += matrix
    mean /= count
    size = mean.shape[1]
    together = mean.new_zeros((size, size))
    pull = mean.new_zeros(mean.shape)
    for matrix, moments in zip(weights, tensors[count:], strict=True):
        scaled = moments.double() * share
        scaled.diagonal().copy_(moments.diagonal())
        together += scaled
        pull.addmm_(matrix - mean, scaled)
    factor, failed = torch.linalg.cholesky_ex(together)
    if int(failed) == 0:
        mean += torch.cholesky_solve(pull.T, factor).T
    else:  # inputs that no model has seen leave the mean as it is
        _, root = inverse_root(together)
        mean += pull @ root @ root
    return [mean.to(tensors[0].dtype).reshape(tensors[0].shape)]


def _simplify(call: Call) -> Call | int:
    return call.sources[0] if len(set(call.sources)) == 1 else call


@method(simplify=_simplify)
def regmean(
    xs: Sequence[Tensor],
    *,
    statistics: Sequence[Moments],
    alpha: Share = 0.9,
) -> Tensor:
    """Average of linear layers such that each model's outputs on its own inputs stay.

    For a weight W_i of (out, in) with the Gram matrix G_i = X_iᵀX_i of model i's inputs to it, of
    (in, in): W = (Σ W_i G̃_i) (Σ G̃_i)⁻¹, which minimises Σ ‖X_i Wᵀ - X_i W_iᵀ‖²; G̃ is G with what
    is off its diagonal times α. The matrices are given as a checkpoint under the weights' names:
    `"m" statistics="./grams-of-m"`. Tensors that any of these checkpoints lacks are averaged. Where
    Σ G̃ is singular, directions that no model's inputs have keep the average.

    Source: Jin et al., Dataless knowledge fusion by merging weights of language models, ICLR 2023.
    Sweeps: one, and one to write. Memory: all models' weights and Gram matrices of the largest
    layer in float32, and in float64 two weights and four Gram matrices.
    """
    if any(moments is None for moments in statistics):
        return combine(xs, [1.0 / len(xs)] * len(xs))
    (merged,) = on_whole(least_squares, 1, *xs, *statistics, alpha)
    result: Tensor = merged
    return result
