"""Exponentials of elements, from sums, products and quotients: the same on every processor.

The kernels have no transcendental functions of elements, whose last digits differ between
libraries. eˣ - 1 is a series on x/256, doubled eight times by e^2y - 1 = (e^y - 1)(e^y + 1), which
loses no digits where x is small: right to 7e-7 up to 1, 4e-6 up to 10 and 3e-5 up to 88.
"""

from __future__ import annotations

from typing import Any

from .functions import minimum, where

_DOUBLINGS = 8
_TERMS = 8
_FAR = 10.0
"""tanh is 1 in float32 from here on."""


def expm1(x: Any) -> Any:
    """eˣ - 1 of each element, 0 ≤ x ≤ 88."""
    y = x * (1.0 / (1 << _DOUBLINGS))
    result: Any = 1.0
    for term in range(_TERMS, 1, -1):
        result = result * y * (1.0 / term) + 1.0
    result = result * y
    for _ in range(_DOUBLINGS):
        result = result * (result + 2.0)
    return result


def tanh(x: Any) -> Any:
    """The hyperbolic tangent of each element."""
    grown = expm1(minimum(abs(x), _FAR) * 2.0)
    size = grown / (grown + 2.0)
    return where(x < 0.0, -size, size)
