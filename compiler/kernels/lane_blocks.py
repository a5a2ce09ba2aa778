"""What kernels do with a block of staged values: add it up, count magnitudes in it.

Functions that generated kernels call. Each is compiled once in a process, where loops in the text
of a kernel would be compiled again for every sum and every look that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from .arguments import BLOCK, COUNT, GUESS, LANES, OFF
from .intrinsics import stack_float32, stack_float64
from .words import index_of_word, uint32_of_word, word

GROUP = 16
"""Magnitudes that are passed over at once if none of them is in a look's bins."""


def _compiled(function: Callable[..., Any]) -> Any:
    return njit(nogil=True, error_model="numpy")(function)


@_compiled
def clear(total: Any) -> None:
    """Begin a sum: no lane has anything yet."""
    for j in range(np.uint64(LANES)):
        total[j] = 0.0


@_compiled
def fill(values: Any, width: Any, value: Any) -> None:
    """Fill a short block with what changes nothing."""
    for j in range(width, np.uint64(BLOCK)):
        values[j] = value


def _sum(stack: Any) -> Any:
    @_compiled
    def add_sum(total: Any, x: Any) -> None:
        """Add up a block in lanes of its own precision, and those in float64."""
        lanes = stack(LANES)
        for j in range(np.uint64(LANES)):
            lanes[j] = x[j]
        for i in range(np.uint64(LANES), np.uint64(BLOCK), np.uint64(LANES)):
            for j in range(np.uint64(LANES)):
                lanes[j] += x[i + j]
        for j in range(np.uint64(LANES)):
            total[j] += np.float64(lanes[j])

    return add_sum


add_sum, add_sum_wide = _sum(stack_float32), _sum(stack_float64)


@_compiled
def add_dot(total: Any, x: Any, y: Any) -> None:
    """Add up a block's products in float64: angles between near directions need its digits."""
    lanes = stack_float64(LANES)  # of its own, so that they are known to overlap nothing
    for j in range(np.uint64(LANES)):
        lanes[j] = total[j]
    for i in range(np.uint64(0), np.uint64(BLOCK), np.uint64(LANES)):
        for j in range(np.uint64(LANES)):
            lanes[j] += np.float64(x[i + j]) * np.float64(y[i + j])
    for j in range(np.uint64(LANES)):
        total[j] = lanes[j]


@_compiled
def in_order(total: Any) -> Any:
    """The lanes, added from the first to the last."""
    found = 0.0
    for j in range(np.uint64(LANES)):
        found += total[j]
    return found


def _looks(bits: Any, index: Any, stored: Any) -> tuple[Any, Any, Any]:
    """The functions of looks for magnitudes whose patterns are words of one width."""

    @_compiled
    def count_guesses(look: Any, width: Any, cuts: Any, row: Any, sums: Any, place: Any) -> None:
        """Count what is above each guess and what is equal to it; the row's cuts begin at `row`."""
        for g in range(np.int64(cuts[row + COUNT])):
            guess = bits(cuts[row + GUESS + g])
            above = bits(0)
            equal = bits(0)
            for j in range(width):
                above = above + bits(bits(look[j]) > guess)
                equal = equal + bits(bits(look[j]) == guess)
            sums[place + 1 + 2 * g] += np.float64(index(above))
            sums[place + 2 + 2 * g] += np.float64(index(equal))

    @_compiled
    def count_bins(
        look: Any, width: Any, low: Any, shift: Any, bins: Any, first: Any, count: Any
    ) -> None:
        """Count magnitudes in `count` bins from `first` on; others are passed over in groups."""
        if shift >= np.uint64(OFF):
            return
        most = bits(count)
        for j in range(width, np.uint64(BLOCK)):
            look[j] = stored(low - bits(1))
        for i in range(np.uint64(0), width, np.uint64(GROUP)):
            hits = bits(0)
            for j in range(i, i + np.uint64(GROUP)):
                hits = hits | bits(((bits(look[j]) - low) >> bits(shift)) < most)
            if hits != bits(0):
                for j in range(i, i + np.uint64(GROUP)):
                    place = (bits(look[j]) - low) >> bits(shift)
                    if place < most:
                        bins[first + index(place)] += np.uint32(1)

    @_compiled
    def find_wanted(look: Any, width: Any, guess: Any, first: Any, wanted: Any, seen: Any) -> Any:
        """(how many equals were seen by now, the index of the wanted one or -1)."""
        found = -1.0
        for j in range(width):
            if bits(look[j]) == guess:
                seen += 1
                if seen == wanted:
                    found = np.float64(first + np.int64(j))
        return seen, found

    return count_guesses, count_bins, find_wanted


@_compiled
def _same(value: Any) -> Any:
    return value


count_guesses, count_bins, find_wanted = _looks(word, index_of_word, uint32_of_word)
count_guesses_wide, count_bins_wide, find_wanted_wide = _looks(np.uint64, _same, _same)

__all__ = [
    "add_dot",
    "add_sum",
    "add_sum_wide",
    "clear",
    "count_bins",
    "count_bins_wide",
    "count_guesses",
    "count_guesses_wide",
    "fill",
    "find_wanted",
    "find_wanted_wide",
    "in_order",
]
