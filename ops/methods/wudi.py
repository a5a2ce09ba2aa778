from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from ..functions import on_whole
from ..method import method
from ..opaque_functions import whole
from ..parameters import Bounds, Factor
from ..symbols import Number, Tensor
from ..unchanged import base_if_unchanged

Steps = Annotated[int, Bounds(0, None)]
Rate = Annotated[Number, Bounds(0.0, None)]

_BETAS = 0.9, 0.999
_EPS = 1e-8


def _scratch(shape: tuple[int, ...], arguments: int) -> int:
    if len(shape) < 2:
        return 0
    size, columns = math.prod(shape), math.prod(shape[1:])
    # the moments, the gradient, its denominator and the tasks' pull, beside the result; the Grams
    return 4 * (5 * size + 2 * columns * columns)


@whole(_scratch)
def least_interference(*arguments: Any) -> list[Any]:
    """The merged task vector of the tasks' vectors; then Adam's steps and learning rate."""
    *deltas, steps, rate = arguments
    result = deltas[0].clone()
    for delta in deltas[1:]:
        result += delta
    if result.ndim < 2:
        return [result / len(deltas)]
    tau = result.view(result.shape[0], math.prod(result.shape[1:]))
    weight = tau.new_zeros((tau.shape[1], tau.shape[1]))
    pull = tau.new_zeros(tau.shape)
    for delta in deltas:
        matrix = delta.reshape(tau.shape)
        square = sum(float(row.double().square().sum()) for row in matrix)
        if square > 0.0:
            products = matrix.T @ matrix
            products /= square
            weight += products
            pull.addmm_(matrix, products)
            del products
    first, second = tau.new_zeros(tau.shape), tau.new_zeros(tau.shape)
    gradient, root = tau.new_empty(tau.shape), tau.new_empty(tau.shape)
    import torch

    for step in range(1, int(steps) + 1):
        torch.mm(tau, weight, out=gradient)
        gradient.sub_(pull).mul_(2.0)
        first.lerp_(gradient, 1.0 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1.0 - _BETAS[1])
        torch.sqrt(second, out=root)
        root.div_(math.sqrt(1.0 - _BETAS[1] ** step)).add_(_EPS)
        tau.addcdiv_(first, root, value=-rate / (1.0 - _BETAS[0] ** step))
    return [result]


@method(simplify=base_if_unchanged)
def wudi(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    steps: Steps = 300,
    rate: Rate = 1e-5,
    lambda_: Factor = 1.0,
) -> Tensor:
    """The merged task vector that interferes least with each task in that task's own subspace.

    For each matrix, with δ_i = x_i - b: minimise Σ ‖(τ - δ_i) δ_iᵀ‖² / ‖δ_i‖² over τ, from
    τ = Σ δ_i on, by `steps` steps of Adam with learning rate `rate`; b + λ τ. A task vector's rows
    stand for the inputs that its layer has seen. Vectors: b + λ mean δ_i. A tensor of more
    dimensions is a matrix of its first and all others. The gradient is 2 (τ A - B), with
    A = Σ δ_iᵀδ_i / ‖δ_i‖² and B = Σ δ_i δ_iᵀδ_i / ‖δ_i‖², which don't grow with the number of
    models. Adam divides by the gradient's size, so that rounding can move an element by up to
    `rate`.

    Source: Cheng et al., Whoever started the interference should end it: guiding data-free model
    merging via task vectors, ICML 2025 (WUDI-Merging). Sweeps: one, and one to write. Memory: the
    models' deltas of the largest matrix, six more float32 copies of it and two squares of its
    columns. Time: `steps` products of rows × columns × columns for each matrix.
    """
    vectors = [x - base for x in xs]
    (task_vector,) = on_whole(least_interference, 1, *vectors, float(steps), rate)
    merged: Tensor = base + task_vector * lambda_
    return merged
