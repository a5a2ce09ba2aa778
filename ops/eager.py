"""The primitives on torch tensors: the reference that compiled sweeps are checked against.

Elementwise primitives keep the dtype of their tensors; reductions return Python floats computed in
float64; a selection is a boolean tensor. Importing this module imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .streams import KEEP_BITS, keyed_bits_torch

EAGER: dict[str, Callable[..., Any]] = {}


def _eager(function: Callable[..., Any]) -> Callable[..., Any]:
    EAGER[function.__name__.strip("_")] = function
    return function


@_eager
def where(condition: Any, x: Any, y: Any) -> Any:
    return (
        torch.where(condition, x, y)
        if isinstance(condition, torch.Tensor)
        else x
        if condition
        else y
    )


@_eager
def minimum(x: Any, y: Any) -> Any:
    return torch.clamp(x, max=y) if not isinstance(y, torch.Tensor) else torch.clamp(y, max=x)


@_eager
def maximum(x: Any, y: Any) -> Any:
    return torch.clamp(x, min=y) if not isinstance(y, torch.Tensor) else torch.clamp(y, min=x)


@_eager
def equal(x: Any, y: Any) -> Any:
    return x == y


@_eager
def sqrt(x: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(x)


@_eager
def numel(x: torch.Tensor) -> float:
    return float(x.numel())


@_eager
def dot(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(torch.dot(x.flatten().double(), y.flatten().double()))


@_eager
def _sum(x: torch.Tensor) -> float:
    return float(x.sum(dtype=torch.float64))


@_eager
def largest(x: torch.Tensor, k: float) -> torch.Tensor:
    """A boolean tensor of x's shape: the k elements of largest magnitude, lowest index first."""
    kept = torch.zeros(x.numel(), dtype=torch.bool, device=x.device)
    count = max(0, min(x.numel(), int(k)))
    order = torch.argsort(x.flatten().abs(), descending=True, stable=True)
    kept[order[:count]] = True
    return kept.reshape(x.shape)


@_eager
def selected(x: torch.Tensor, selection: torch.Tensor) -> torch.Tensor:
    return selection


@_eager
def _round(x: torch.Tensor, dtype: str) -> torch.Tensor:
    return x.to(getattr(torch, dtype)).to(x.dtype)


class EagerRandom:
    """Draws masks on torch tensors: the same bits as the compiled kernels, key by key."""

    def __init__(self, keys: Sequence[int]):
        self._keys = keys

    def bernoulli(self, source: int, probability: Any, like: torch.Tensor) -> torch.Tensor:
        """A boolean tensor of `like`'s shape, true with the given probability (float or tensor)."""
        index = torch.arange(like.numel(), dtype=torch.int64, device=like.device)
        bits = keyed_bits_torch(self._keys[source], index).to(torch.float32).reshape(like.shape)
        if isinstance(probability, torch.Tensor):
            return bits < probability.to(torch.float32) * float(1 << KEEP_BITS)
        return bits < float(torch.tensor(probability * (1 << KEEP_BITS), dtype=torch.float32))


def is_finite(x: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return math.isfinite(float(x.abs().max())) if x.numel() else True
