"""Element types in kernels: stored bits -> float32, and back, as vectors of 32-bit integers.

Each decoder is exact; each encoder rounds once, to nearest with ties to even, as torch converts:
NaN stays NaN, float16 and float8_e5m2 overflow to infinity, and float8_e4m3fn, which has none, to
its largest value (torch before 2.13 gave NaN). Integer operations and exact scalings only, so that
the bits are the same on any processor. Float64 passes through float32 where the arithmetic is
float32, and where it is encoded to a small float.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ...machine_code.writing import F32, F64, I8, I16, I32, CodeWriter, Value
from ...ops.dtypes import DType
from .arguments import STORAGE

_ELEMENTS: dict[str, Value] = {"float64": F64, "float32": F32, "uint16": I16, "uint8": I8}
"""LLVM's types of what buffers hold."""

_SIGN, _MAGNITUDE = 0x80000000, 0x7FFFFFFF
_INFINITY, _NAN = 0x7F800000, 0x7FC00000


@dataclass(frozen=True)
class _Small:
    """A float narrower than float32: its field widths, and whether it has infinities."""

    exponent: int
    mantissa: int
    infinite: bool

    @property
    def bias(self) -> int:
        return (1 << (self.exponent - 1)) - 1

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def shift(self) -> int:
        """How far its mantissa is from where float32 has it."""
        return 23 - self.mantissa

    @property
    def rebias(self) -> int:
        return (127 - self.bias) << 23

    @property
    def magnitude(self) -> int:
        """All bits but the sign."""
        return (1 << (self.width - 1)) - 1

    @property
    def top(self) -> int:
        """The exponent's bits."""
        return ((1 << self.exponent) - 1) << self.mantissa


_SMALL = {
    "float16": _Small(5, 10, True),
    "float8_e5m2": _Small(5, 2, True),
    "float8_e4m3fn": _Small(4, 3, False),
}


def element(dtype: DType) -> Value:
    """LLVM's type of a dtype's stored elements."""
    return _ELEMENTS[STORAGE[dtype.name]]


def decode(writer: CodeWriter, stored: Value, dtype: DType, real: Value) -> Value:
    """A vector of stored bits as numbers of the arithmetic's type."""
    if dtype.name == "bfloat16":
        wide = writer.builder.zext(stored, writer.vector(I32))
        shifted = writer.builder.shl(wide, writer.constant(I32, 16))
        return convert(writer, writer.builder.bitcast(shifted, writer.vector(F32)), real)
    if dtype.name in _SMALL:
        return convert(writer, _decode_small(writer, stored, _SMALL[dtype.name]), real)
    return convert(writer, stored, real)


def encode(writer: CodeWriter, value: Value, dtype: DType) -> Value:
    """A vector of numbers rounded to a dtype, as its bits."""
    if dtype.name == "bfloat16":
        return _encode_bfloat16(writer, convert(writer, value, F32))
    if dtype.name in _SMALL:
        return _encode_small(writer, convert(writer, value, F32), _SMALL[dtype.name])
    return convert(writer, value, element(dtype))


def convert(writer: CodeWriter, value: Value, real: Value) -> Value:
    """The same numbers in another width, rounded if it is narrower."""
    if value.type.element == real:
        return value
    convert = writer.builder.fpext if real == F64 else writer.builder.fptrunc
    return convert(value, writer.vector(real))


def _encode_bfloat16(writer: CodeWriter, value: Value) -> Value:
    b, word = writer.builder, partial(writer.constant, I32)
    bits = b.bitcast(value, writer.vector(I32))
    odd = b.and_(b.lshr(bits, word(16)), word(1))
    rounded = b.lshr(b.add(b.add(bits, word(0x7FFF)), odd), word(16))
    nan = b.icmp_unsigned(">", b.and_(bits, word(_MAGNITUDE)), word(_INFINITY))
    return b.trunc(b.select(nan, word(_NAN >> 16), rounded), writer.vector(I16))


def _decode_small(writer: CodeWriter, stored: Value, small: _Small) -> Value:
    """Rebias the exponent; subnormals are small integers times a power of two."""
    b, word = writer.builder, partial(writer.constant, I32)
    bits = b.zext(stored, writer.vector(I32))
    sign = b.and_(b.shl(bits, word(32 - small.width)), word(_SIGN))
    body = b.and_(bits, word(small.magnitude))
    shifted = b.shl(body, word(small.shift))
    normal = b.add(shifted, word(small.rebias))
    step = writer.constant(F32, 2.0 ** (1 - small.bias - small.mantissa))
    scaled = b.fmul(b.sitofp(body, writer.vector(F32)), step)
    subnormal = b.bitcast(scaled, writer.vector(I32))
    is_subnormal = b.icmp_unsigned("<", body, word(1 << small.mantissa))
    plain = b.select(is_subnormal, subnormal, normal)
    if small.infinite:
        special = b.or_(shifted, word(_INFINITY))
        is_special = b.icmp_unsigned(">=", body, word(small.top))
    else:
        special, is_special = word(_NAN), b.icmp_unsigned("==", body, word(small.magnitude))
    found = b.or_(b.select(is_special, special, plain), sign)
    return b.bitcast(found, writer.vector(F32))


def _encode_small(writer: CodeWriter, value: Value, small: _Small) -> Value:
    """Add half a step in the integer domain; subnormals are rounded by adding a number whose last
    bit is the subnormals' step."""
    b, word = writer.builder, partial(writer.constant, I32)
    bits = b.bitcast(value, writer.vector(I32))
    body = b.and_(bits, word(_MAGNITUDE))
    sign = b.lshr(b.xor(bits, body), word(32 - small.width))
    odd = b.and_(b.lshr(body, word(small.shift)), word(1))
    stepped = b.add(b.add(body, word((1 << (small.shift - 1)) - 1)), odd)
    normal = b.lshr(b.sub(stepped, word(small.rebias)), word(small.shift))
    magic = (1 - small.bias + small.shift + 127) << 23  # its last bit is worth a subnormal's step
    floats = writer.vector(F32)
    raised = b.fadd(b.bitcast(body, floats), b.bitcast(word(magic), floats))
    subnormal = b.sub(b.bitcast(raised, writer.vector(I32)), word(magic))
    least_normal = word((128 - small.bias) << 23)
    plain = b.select(b.icmp_unsigned("<", body, least_normal), subnormal, normal)
    if small.infinite:
        overflow, nan = small.top, small.top | (1 << (small.mantissa - 1))
        first = ((1 << small.exponent) - 1 + 127 - small.bias) << 23  # exponent that is too large
        over = b.icmp_unsigned(">=", stepped, word(first))
    else:
        overflow, nan = small.magnitude - 1, small.magnitude
        largest = (overflow << small.shift) + small.rebias
        over = b.icmp_unsigned(">", body, word(largest))
    bounded = b.select(over, word(overflow), plain)
    is_nan = b.icmp_unsigned(">", body, word(_INFINITY))
    found = b.or_(b.select(is_nan, word(nan), bounded), sign)
    return b.trunc(found, writer.vector(I16 if small.width == 16 else I8))
