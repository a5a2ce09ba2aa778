"""Bytes of a source tensor -> numbers in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops.dtypes import DType
from .source_tensors import SourceTensor, TensorReader

if TYPE_CHECKING:
    import numpy as np

_FLOAT8 = {"float8_e4m3fn": (4, 7, True), "float8_e5m2": (5, 15, False)}
"""Bits of the exponent, its bias, whether there is no infinity."""

_PLAIN = {"float32": "<f4", "float64": "<f8", "float16": "<f2"}


def read_floats(
    tensor: SourceTensor, reader: TensorReader, first: int, count: int
) -> np.ndarray[Any, Any]:
    """Elements `first` to `first + count` of a tensor of floats, in float32."""
    import numpy as np

    size = tensor.dtype.itemsize
    raw = np.empty(count * size, dtype=np.uint8)
    if count:
        reader.read(first * size, raw.data)
    return as_floats(raw, tensor.dtype)


def as_floats(raw: np.ndarray[Any, Any], dtype: DType) -> np.ndarray[Any, Any]:
    """Bytes of a dtype of floats as float32; float64 is rounded."""
    import numpy as np

    if dtype.name == "bfloat16":
        wide: np.ndarray[Any, Any] = raw.view("<u2").astype(np.uint32) << 16
        return wide.view(np.float32)
    if (plain := _PLAIN.get(dtype.name)) is not None:
        return raw.view(plain).astype(np.float32, copy=False)
    values: np.ndarray[Any, Any] = float8_values(dtype.name)[raw]
    return values


def float8_values(name: str) -> np.ndarray[Any, Any]:
    """The 256 values of an 8-bit float, in float32, by its bits."""
    import numpy as np

    exponent_bits, bias, finite = {"float8_e4m3fn": (4, 7, True), "float8_e5m2": (5, 15, False)}[
        name
    ]
    fraction_bits = 7 - exponent_bits
    bits = np.arange(256)
    exponent = (bits >> fraction_bits) & (2**exponent_bits - 1)
    fraction = bits & (2**fraction_bits - 1)
    scale = np.ldexp(1.0, np.maximum(exponent, 1) - bias - fraction_bits)
    values = (fraction + np.where(exponent > 0, 2**fraction_bits, 0)) * scale
    top = 2**exponent_bits - 1
    if finite:
        values[(exponent == top) & (fraction == 2**fraction_bits - 1)] = np.nan
    else:
        values[exponent == top] = np.where(fraction[exponent == top] == 0, np.inf, np.nan)
    signed: np.ndarray[Any, Any] = np.where(bits >= 128, -values, values).astype(np.float32)
    return signed
