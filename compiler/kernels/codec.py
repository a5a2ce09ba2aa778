"""Element types in kernels: source text that decodes stored bits to float32 and encodes them back.

Each decoder is exact; each encoder rounds once, to nearest with ties to even, as torch converts:
NaN stays NaN, float16 and float8_e5m2 overflow to infinity, and float8_e4m3fn, which has none, to
its largest value (torch before 2.13 gave NaN). The text uses integer operations and exact scalings
only, so that it gives the same bits on any processor and vectorises. Float64 passes through float32
where the arithmetic is float32, and where it is encoded to a small float.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ops.dtypes import BY_NAME, DType

STORAGE: dict[str, str] = {
    "float64": "float64",
    "float32": "float32",
    "float16": "uint16",
    "bfloat16": "uint16",
    "float8_e4m3fn": "uint8",
    "float8_e5m2": "uint8",
}
"""The numpy type that a kernel sees a buffer of each dtype as."""

NONFINITE = {"bfloat16": 0x7F80, "float16": 0x7C00, "float8_e5m2": 0x7C, "float8_e4m3fn": 0x7F}
"""The bits that are all set in a small float that isn't finite: of magnitudes the least such."""


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


_SMALL = {
    "float16": _Small(5, 10, True),
    "float8_e5m2": _Small(5, 2, True),
    "float8_e4m3fn": _Small(4, 3, False),
}


def helper_names(dtype: DType) -> tuple[str, str]:
    """The functions (decode, encode) in a kernel's text; empty where none is needed."""
    if dtype.name in ("float64", "float32"):
        return "", ""
    return f"decode_{dtype.name}", f"encode_{dtype.name}"


def helpers(dtype: DType) -> str:
    """Source text of a dtype's decode and encode functions: stored bits <-> float32."""
    if dtype.name == "bfloat16":
        return _BFLOAT16
    if dtype.name in _SMALL:
        return _small(dtype.name, _SMALL[dtype.name])
    return ""


_BFLOAT16 = """
@njit(inline="always")
def decode_bfloat16(stored):
    return float_of_word(word(stored) << word(16))


@njit(inline="always")
def encode_bfloat16(value):
    bits = word_of_float(value)
    odd = (bits >> word(16)) & word(1)
    rounded = (bits + word(0x7FFF) + odd) >> word(16)
    nan = (bits & word(0x7FFFFFFF)) > word(0x7F800000)
    return uint16_of_word(word(0x7FC0) if nan else rounded)
"""


def _small(name: str, layout: _Small) -> str:
    """Decode: rebias the exponent; subnormals are small integers times a power of two. Encode: add
    half a step in the integer domain; subnormals are rounded by adding a number whose last bit is
    the subnormals' step."""
    shift = 23 - layout.mantissa
    sign_shift = 32 - layout.width
    rebias = (127 - layout.bias) << 23
    top = ((1 << layout.exponent) - 1) << layout.mantissa  # exponent all ones
    magnitude = (1 << (layout.width - 1)) - 1
    least_normal = (128 - layout.bias) << 23  # bits of the smallest normal number
    step = 2.0 ** (1 - layout.bias - layout.mantissa)
    magic = (1 - layout.bias + shift + 127) << 23  # a float32 whose last bit is worth `step`
    if layout.infinite:
        special = f"(body << word({shift})) | word(0x7F800000)"
        is_special = f"body >= word({top})"
        overflow, nan = top, top | (1 << (layout.mantissa - 1))
        limit = ((1 << layout.exponent) - 1 + 127 - layout.bias) << 23  # first exponent too large
        over = f"stepped >= word({limit})"
    else:
        special, is_special = "word(0x7FC00000)", f"body == word({magnitude})"
        overflow, nan = magnitude - 1, magnitude
        largest = (overflow << shift) + rebias  # bits of the largest number
        over = f"body > word({largest})"
    stored = "uint16_of_word" if layout.width == 16 else "uint8_of_word"
    return f"""
@njit(inline="always")
def decode_{name}(stored):
    bits = word(stored)
    sign = (bits << word({sign_shift})) & word(0x80000000)
    body = bits & word({magnitude})
    normal = (body << word({shift})) + word({rebias})
    subnormal = word_of_float(float_from_word(body) * np.float32({step!r}))
    plain = subnormal if body < word({1 << layout.mantissa}) else normal
    found = {special} if {is_special} else plain
    return float_of_word(found | sign)


@njit(inline="always")
def encode_{name}(value):
    bits = word_of_float(value)
    body = bits & word(0x7FFFFFFF)
    sign = (bits ^ body) >> word({sign_shift})
    odd = (body >> word({shift})) & word(1)
    stepped = body + word({(1 << (shift - 1)) - 1}) + odd
    normal = (stepped - word({rebias})) >> word({shift})
    shifted = float_of_word(body) + float_of_word(word({magic}))
    subnormal = word_of_float(shifted) - word({magic})
    plain = subnormal if body < word({least_normal}) else normal
    bounded = word({overflow}) if {over} else plain
    found = word({nan}) if body > word(0x7F800000) else bounded
    return {stored}(found | sign)
"""


def all_helpers(names: set[str]) -> str:
    """Source text of the helpers of several dtypes, in a fixed order."""
    return "\n".join(text for name in sorted(names) if (text := helpers(BY_NAME[name])))
