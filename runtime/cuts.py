"""Histograms of magnitudes -> the exact cut of a selection, digit by digit from the highest."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..compiler.program import digit_shift, digit_width
from ..ops.dtypes import DType

Bins: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

ALL_EQUALS = (1 << 63) - 1
"""An index that no element has: every element equal to the cut is kept."""

NOTHING = (1 << 64) - 1
"""Bits that no magnitude is above or equal to."""


class Narrowed(NamedTuple):
    """bits: the digit in its place. left: how many are kept of the elements that share it.
    equals: how many share it."""

    bits: int
    left: int
    equals: int


def narrow(bins: Bins, left: int, digit: int, compute: DType) -> Narrowed:
    """The digit of the `left`-th largest of the counted elements."""
    from_top = np.cumsum(bins[: 1 << digit_width(compute, digit)][::-1])
    place = int(np.searchsorted(from_top, left))
    before = int(from_top[place - 1]) if place else 0
    found = len(from_top) - 1 - place
    return Narrowed(found << digit_shift(compute, digit), left - before, int(bins[found]))
