"""Bytes of a floating-point dtype <-> numpy arrays, for the few rows that are computed in views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops.dtypes import DType, bfloat16

if TYPE_CHECKING:
    import numpy as np


def decode(data: bytes | bytearray, dtype: DType) -> np.ndarray[Any, Any]:
    """The numbers of a dtype's bytes, as float32 or wider."""
    import numpy as np

    if dtype is bfloat16:
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dtype.itemsize == 1:
        return _by_torch(np.frombuffer(data, np.uint8), dtype)
    return np.frombuffer(data, dtype.name).astype(np.promote_types(dtype.name, np.float32))


def encode(values: np.ndarray[Any, Any], dtype: DType) -> bytes:
    """The bytes of numbers in a dtype, rounded to nearest, ties to even."""
    import numpy as np

    if dtype is bfloat16:
        bits = values.astype(np.float32).view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return np.where(np.isnan(values), np.uint16(0x7FC0), rounded).tobytes()
    if dtype.itemsize == 1:
        import torch

        return (
            torch.from_numpy(values)
            .to(getattr(torch, dtype.name))
            .view(torch.uint8)
            .numpy()
            .tobytes()
        )
    return values.astype(dtype.name).tobytes()


def _by_torch(data: np.ndarray[Any, Any], dtype: DType) -> np.ndarray[Any, Any]:
    """Eight-bit floats, of which numpy has none."""
    import torch

    bits = torch.from_numpy(data.copy()).view(getattr(torch, dtype.name))
    found: np.ndarray[Any, Any] = bits.to(torch.float32).numpy()
    return found
