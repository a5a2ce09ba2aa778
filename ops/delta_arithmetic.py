"""The operators of the language as methods of their own: what `-`, `*`, `+` and `cast` compute."""

from __future__ import annotations

from typing import Literal

from .functions import rounded
from .method import ZERO, Call, method
from .parameters import Factor
from .symbols import Tensor


def _simplify_difference(call: Call) -> Call | int:
    a, b = call.sources
    return ZERO if a == b else call


@method(simplify=_simplify_difference, gives_delta=True)
def difference(a: Tensor, b: Tensor) -> Tensor:
    """The delta a - b."""
    return a - b


def _simplify_combination(call: Call) -> Call | int:
    a, b = call.sources
    scale = call.settings["scale"]
    if b == ZERO or scale == 0:
        return a
    return b if a == ZERO and scale == 1 else call


@method(simplify=_simplify_combination)
def combination(a: Tensor, b: Tensor, *, scale: Factor) -> Tensor:
    """a + scale · b: a model or a delta plus a delta."""
    return a + b * scale


def _simplify_scaled(call: Call) -> Call | int:
    scale = call.settings["scale"]
    if scale == 0:
        return ZERO
    return call.sources[0] if scale == 1 or call.sources[0] == ZERO else call


@method(simplify=_simplify_scaled)
def scaled(x: Tensor, *, scale: Factor) -> Tensor:
    """x times a number."""
    return x * scale


def _simplify_cast(call: Call) -> Call | int:
    return call.sources[0] if call.rounded[0] == call.settings["dtype"] else call


@method(simplify=_simplify_cast, rounds_to="dtype")
def cast(
    x: Tensor,
    *,
    dtype: Literal["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"],
) -> Tensor:
    """x with every element rounded to a dtype, ties to even."""
    return rounded(x, dtype)
