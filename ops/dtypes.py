"""The element types of checkpoints: their names, their safetensors codes and sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """An element type. `code` is safetensors' name for it, `name` torch's and the recipe's.

    There is one object of each, told apart by identity.
    """

    name: str
    code: str
    itemsize: int
    is_float: bool

    def __str__(self) -> str:
        return self.name


float64 = DType("float64", "F64", 8, True)
float32 = DType("float32", "F32", 4, True)
float16 = DType("float16", "F16", 2, True)
bfloat16 = DType("bfloat16", "BF16", 2, True)
float8_e4m3fn = DType("float8_e4m3fn", "F8_E4M3", 1, True)
float8_e5m2 = DType("float8_e5m2", "F8_E5M2", 1, True)

DTYPES: tuple[DType, ...] = (
    float64,
    float32,
    float16,
    bfloat16,
    float8_e4m3fn,
    float8_e5m2,
    DType("int64", "I64", 8, False),
    DType("int32", "I32", 4, False),
    DType("int16", "I16", 2, False),
    DType("int8", "I8", 1, False),
    DType("uint64", "U64", 8, False),
    DType("uint32", "U32", 4, False),
    DType("uint16", "U16", 2, False),
    DType("uint8", "U8", 1, False),
    DType("bool", "BOOL", 1, False),
)
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in DTYPES}
BY_CODE: dict[str, DType] = {dtype.code: dtype for dtype in DTYPES}


def promote(left: DType, right: DType) -> DType:
    """The smallest float type that holds both, as torch has it: bfloat16, float16 -> float32."""
    if left == right:
        return left
    if not (left.is_float and right.is_float):
        raise ValueError(f"no common float type of {left} and {right}")
    if left.itemsize == right.itemsize:
        return float32 if left.itemsize > 1 else bfloat16
    return max(left, right, key=lambda dtype: dtype.itemsize)
