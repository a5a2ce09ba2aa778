"""The primitives on torch tensors: the reference that compiled sweeps are checked against.

Elementwise primitives keep the dtype of their tensors. Scalars are tensors without dimensions in
float64, which divide as IEEE says where Python would raise. The functions stand in the rows of
`primitives`; torch is imported when one of them needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .named import named_function
from .random_bits import KEEP_BITS, keyed_bits_torch

if TYPE_CHECKING:
    import torch


def where(condition: Any, x: Any, y: Any) -> Any:
    import torch

    if isinstance(condition, torch.Tensor):
        if condition.ndim == 0 and not isinstance(x, torch.Tensor):
            x = torch.tensor(x, dtype=torch.float64)  # of two numbers torch makes a float32
        return torch.where(condition, x, y)
    return x if condition else y


def minimum(x: Any, y: Any) -> Any:
    import torch

    return torch.clamp(x, max=y) if not isinstance(y, torch.Tensor) else torch.clamp(y, max=x)


def maximum(x: Any, y: Any) -> Any:
    import torch

    return torch.clamp(x, min=y) if not isinstance(y, torch.Tensor) else torch.clamp(y, min=x)


def negated(x: torch.Tensor) -> torch.Tensor:
    return x.logical_not()


def sqrt(x: torch.Tensor) -> torch.Tensor:
    return x.sqrt()


def numel(x: torch.Tensor) -> float:
    return float(x.numel())


def dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x.flatten().double().dot(y.flatten().double())


def total(x: torch.Tensor) -> torch.Tensor:
    import torch

    return x.sum(dtype=torch.float64)


def sin(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


def cos(x: torch.Tensor) -> torch.Tensor:
    return x.cos()


def arccos(x: torch.Tensor) -> torch.Tensor:
    return x.arccos()


def floor(x: torch.Tensor) -> torch.Tensor:
    return x.floor()


class EagerSelection(NamedTuple):
    """kept: a boolean tensor of the elements that are. magnitude: the smallest |x| among them."""

    kept: torch.Tensor
    magnitude: float


def largest(x: torch.Tensor, k: float) -> EagerSelection:
    """The k elements of largest magnitude, lowest index first among equals."""
    import torch

    kept = torch.zeros(x.numel(), dtype=torch.bool, device=x.device)
    count = max(0, min(x.numel(), int(k)))
    magnitudes = x.flatten().abs()
    order = torch.argsort(magnitudes, descending=True, stable=True)
    kept[order[:count]] = True
    cut = float(magnitudes[order[count - 1]]) if count else math.inf
    return EagerSelection(kept.reshape(x.shape), cut)


def cut_magnitude(selection: EagerSelection) -> float:
    return selection.magnitude


def selected(x: torch.Tensor, selection: EagerSelection) -> torch.Tensor:
    return selection.kept


def rounded(x: torch.Tensor, dtype: str) -> torch.Tensor:
    import torch

    return x.to(getattr(torch, dtype)).to(x.dtype)


def call_host(*args: Any) -> Any:
    *values, path = args
    return named_function(path)(*(float(value) for value in values))


def call_rows(*args: Any) -> Any:
    import numpy as np
    import torch

    *values, path = args
    shape = max((v.shape for v in values if isinstance(v, torch.Tensor)), key=len)
    columns = shape[-1] if shape else 1

    def array(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.shape == shape:
            return value.float().reshape(-1, columns).cpu().numpy()
        return float(value)

    arrays = [array(value) for value in values]
    results = named_function(path)(*arrays)
    flat = next(array.shape for array in arrays if isinstance(array, np.ndarray))
    return [
        torch.from_numpy(np.broadcast_to(np.asarray(found, np.float32), flat).copy()).reshape(shape)
        for found in results
    ]


def call_whole(*args: Any) -> Any:
    *values, path = args
    return named_function(path)(*values)  # torch tensors, scalars among them


def item(bundle: Sequence[Any], index: int) -> Any:
    return bundle[index]


class EagerRandom:
    """Draws masks on torch tensors: the same bits as the compiled kernels, key by key."""

    def __init__(self, keys: Sequence[int]):
        self._keys = keys

    def bernoulli(self, source: int, probability: Any, like: torch.Tensor) -> torch.Tensor:
        """A boolean tensor of `like`'s shape, true with the given probability (float or tensor)."""
        import torch

        index = torch.arange(like.numel(), dtype=torch.int64, device=like.device)
        bits = keyed_bits_torch(self._keys[source], index).to(torch.float32).reshape(like.shape)
        if isinstance(probability, torch.Tensor):
            return bits < probability.to(torch.float32) * float(1 << KEEP_BITS)
        return bits < float(torch.tensor(probability * (1 << KEEP_BITS), dtype=torch.float32))


def is_finite(x: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return math.isfinite(float(x.abs().max())) if x.numel() else True
