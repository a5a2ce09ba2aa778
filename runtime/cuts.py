"""Counts of magnitudes -> the exact cut of a selection: the bits of its wanted-th largest.

A search keeps the range of bit patterns that the cut is in. What it asks of the next walk over the
data is a `Query`: bins over that range, or a few guesses that are counted exactly. After a good
sample one walk is enough: inputs of few digits have so few different magnitudes near the cut that
all of them can be guessed; among others the walk counts what is above a narrow range and keeps what
lies in it, of which the cut is an order statistic (Floyd and Rivest, 1975). Where a sample
misleads, bins narrow the range down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..compiler.kernels.arguments import (
    COUNT,
    CUT,
    GUESS,
    KEEP,
    LOW,
    MOST_GUESSES,
    OFF,
    SHIFT,
    SPAN,
    UNTIL,
    WANTED,
)
from ..compiler.sweeps.program import kept_room

BracketCounts: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
Counts: TypeAlias = Sequence[tuple[int, int]]
"""For each guess how many magnitudes are above it, and how many are equal to it."""

ALL_EQUALS = (1 << 63) - 1
"""An index that no element has: every element equal to the cut is kept."""

NOTHING = (1 << 64) - 1
"""Bits that no magnitude is above or equal to."""

_MASK = (1 << 64) - 1
_DEVIATIONS = 5.0
_UNEVEN = 0.005
"""How far the cut's rank in a sample may be off: so many standard deviations of a random sample,
and this share of the sample, because stripes are not a random sample."""

_FEW = 5
"""With more elements of a sample above (below) the cut it is hardly above (below) all of them."""


class Query(NamedTuple):
    """What is counted: bins of 2 ** shift patterns, `top` in the last (none if OFF); guesses.

    If shift is KEEP, what lies from `low` up to `top` is kept.
    """

    top: int
    shift: int
    guesses: tuple[int, ...]
    low: int = 0


class Search:
    """The search for one cut.

    numel: elements that are selected from; bits: of a pattern; bin_bits: a look has 2 ** so many
    bins; ranked: whether it matters which of the elements equal to the cut are kept. keeps: whether
    what a walk finds near the cut may be kept, so that one is enough.
    """

    def __init__(
        self, numel: int, bits: int, bin_bits: int, ranked: bool, keeps: bool = False
    ) -> None:
        self._numel = numel
        self._bins = 1 << bin_bits
        self._bin_bits = bin_bits
        self._ranked = ranked
        self._keeps = keeps
        self._wanted: int | None = None
        self._low, self._high = 0, (1 << bits) - 1
        self._above = 0  # magnitudes above `high`
        self._inside: int | None = None  # magnitudes from `low` to `high`, where bins told
        self._plan: Query | None = None
        self._begun = False
        self.cut: int | None = None
        self.until: int | None = None
        self.unranked: int | None = None
        """While the place of the last equal that is kept is all that isn't known: how many are
        kept."""

    def want(self, count: float) -> None:
        """How many of the largest are kept; fewer than none are none."""
        if self._wanted is None:
            self._wanted = max(0, min(self._numel, int(count)))
            if self._wanted == 0:
                self.cut, self.until = NOTHING, ALL_EQUALS

    @property
    def settled(self) -> bool:
        return self.until is not None

    @property
    def is_blank(self) -> bool:
        """Whether a sample would help: the count is known, and nothing else."""
        return self._wanted is not None and not self.settled and not self._begun

    def query(self) -> Query:
        """What the next walk shall count."""
        if self.settled:
            return Query(0, OFF, ())
        if self.cut is not None:
            return Query(0, OFF, (self.cut,))
        if self._plan is not None:
            return self._plan
        inside = self._numel if not self._begun else self._inside
        room = kept_room(self._numel) if self._begun else self._bins
        if inside is not None and inside <= room and self._may_keep(self._low, self._high):
            return Query(self._high, KEEP, (self._high,), self._low)
        # numbers of few digits are the lowest of their bin, and a guess is counted tile by tile
        guessed = self._ranked if self._begun else self._keeps
        guesses = (self._low,) if guessed else ()
        return Query(self._high, self._shift(self._low, self._high), guesses)

    def counted(
        self,
        query: Query,
        bins: Sequence[int] | Any,
        guesses: Counts,
        kept: np.ndarray[Any, Any] | None = None,
        inside: int = 0,
    ) -> None:
        """Take in what a walk over all of the data has counted, and kept if all of it had room.

        inside: how many there were to keep.
        """
        if self.settled:
            return
        self._plan, self._begun = None, True
        above_top = self._above_top(query, guesses)
        if self._guessed(query, guesses):
            return
        self._inside = None
        if query.shift == KEEP and kept is None:
            self._overflowed(query, above_top, inside)
        elif query.shift == KEEP:
            assert kept is not None
            self._rank(query, kept, above_top)
        elif query.shift != OFF:
            self._narrow(query, bins, above_top)
        if self.cut is None and self._low == self._high:  # no other pattern is left
            self.cut = self._low
            self.until = None if self._ranked else ALL_EQUALS

    def _may_keep(self, low: int, high: int) -> bool:
        """Whether what lies in a range may be kept: distances from its lower end take 32 bits."""
        return self._keeps and high - low < 1 << 32

    def settle(self, index: int) -> None:
        """The last equal that is kept has this index."""
        self.until, self.unranked = index + 1, None

    def fill(self, row: BracketCounts, query: Query) -> None:
        """Write what a kernel needs to know of this search."""
        row[CUT] = 0 if self.cut is None else self.cut
        row[UNTIL] = 0 if self.until is None else self.until
        row[SHIFT] = query.shift
        row[LOW] = row[SPAN] = 0
        if query.shift == KEEP:
            row[LOW], row[SPAN] = query.low, query.top - query.low
        elif query.shift != OFF:
            row[LOW] = self._bottom(query) & _MASK
        row[WANTED] = 0
        row[COUNT] = len(query.guesses)
        row[GUESS : GUESS + len(query.guesses)] = query.guesses

    def _shift(self, low: int, high: int) -> int:
        return max(0, (high - low).bit_length() - self._bin_bits)

    def _bottom(self, query: Query) -> int:
        """The lowest pattern in the bins; below zero where there are more bins than patterns."""
        return query.top + 1 - (self._bins << query.shift)

    def _found(self, cut: int, left: int, equal: int, by_tile: bool) -> None:
        """The cut is known, and that `left` of `equal` elements are kept; by_tile: of each tile."""
        self.cut = cut
        if left == equal or not self._ranked:
            self.until = ALL_EQUALS
        elif by_tile:
            self.unranked = left

    def _above_top(self, query: Query, guesses: Counts) -> int:
        """How many magnitudes are above a query's range: counted, if its top was also guessed."""
        counted = dict(zip(query.guesses, guesses, strict=True)).get(query.top)
        return self._above if counted is None else counted[0]

    def _guessed(self, query: Query, guesses: Counts) -> bool:
        """Narrow the range down to the side of each guess that the cut is on; whether one is it."""
        assert self._wanted is not None
        for guess, (above, equal) in zip(query.guesses, guesses, strict=True):
            if above < self._wanted <= above + equal:
                self._found(guess, self._wanted - above, equal, by_tile=True)
                return True
            if above >= self._wanted:
                self._low = max(self._low, guess + 1)
            elif guess <= self._high:
                self._high, self._above = guess - 1, above + equal
        return False

    def _overflowed(self, query: Query, above: int, inside: int) -> None:
        """There was no room for what was to be kept; still the counts tell where the cut is."""
        assert self._wanted is not None
        self._keeps = False  # that isn't tried twice
        if above < self._wanted <= above + inside:
            self._low = max(self._low, query.low)
        elif self._wanted > above + inside:
            self._high, self._above = query.low - 1, above + inside

    def _rank(self, query: Query, kept: np.ndarray[Any, Any], above: int) -> None:
        """Find the cut among what was kept, below `above` magnitudes that are larger."""
        assert self._wanted is not None
        rank = self._wanted - above
        if rank <= 0:  # the cut is above the range
            return
        if rank > len(kept):  # it is below
            self._high, self._above = query.low - 1, above + len(kept)
            return
        place = len(kept) - rank
        distance = int(np.partition(kept, place)[place])
        larger = int(np.count_nonzero(kept > distance))
        equal = int(np.count_nonzero(kept == distance))
        self._found(query.low + distance, rank - larger, equal, by_tile=True)

    def _narrow(self, query: Query, bins: Any, above: int) -> None:
        """Look at the bins, which begin below `above` magnitudes that are larger."""
        assert self._wanted is not None
        if above >= self._wanted:  # the cut is above the bins
            return
        from_top = above + np.cumsum(bins[::-1])
        place = int(np.searchsorted(from_top, self._wanted))
        if place == len(from_top):  # it is below them
            self._high, self._above = self._bottom(query) - 1, int(from_top[-1])
            return
        # it is in the bin that is the place-th from the top, which is the range from now on
        bottom = self._bottom(query) + ((len(from_top) - 1 - place) << query.shift)
        self._low, self._high = max(0, bottom), bottom + (1 << query.shift) - 1
        self._above = int(from_top[place - 1]) if place else above
        self._inside = int(from_top[place]) - self._above
        if self._low == self._high:
            self._found(self._low, self._wanted - self._above, self._inside, by_tile=False)

    # Samples ------------------------------------------------------------------------------------

    def sample(self, size: int) -> Sample:
        """The search's view of a sample of so many elements."""
        assert self._wanted is not None
        share = self._wanted / self._numel
        spread = _DEVIATIONS * math.sqrt(share * (1 - share) * size) + _UNEVEN * size + 1
        rank = share * size
        first, last = math.floor(rank - spread), math.ceil(rank + spread)
        if first < 1 and rank > _FEW:
            first = 1
        if last > size and size - rank > _FEW:
            last = size
        return Sample(self, first, last)

    def ask(self, sample: Sample) -> None:
        """Ask of the first walk what a sample suggests."""
        if len(sample.different) <= MOST_GUESSES:
            self._plan = Query(0, OFF, tuple(sample.different))
        elif self._may_keep(sample.low, sample.high):
            self._plan = Query(sample.high, KEEP, (sample.high,), sample.low)
        else:
            self._plan = Query(sample.high, self._shift(sample.low, sample.high), (sample.high,))


class Sample:
    """The range of patterns between two ranks of a sample, narrowed by counts in bins.

    low, high: the range; different: the patterns in it that occur, as exactly as bins tell.
    """

    def __init__(self, search: Search, first: int, last: int) -> None:
        self._search = search
        self._first, self._last = first, last
        self.low, self.high = search._low, search._high
        self._above = 0
        self.different: list[int] = []

    def query(self) -> Query:
        """What is counted in the sample next."""
        return Query(self.high, self._search._shift(self.low, self.high), ())

    def counted(self, query: Query, bins: Any) -> None:
        """Take in the sample's bins; the range becomes that of the bins of the two ranks."""
        highest = len(bins) - 1  # places count from the top, bins from the bottom
        bottom = self._search._bottom(query)

        def lowest_of(place: int) -> int:
            return bottom + ((highest - place) << query.shift)

        from_top = self._above + np.cumsum(bins[::-1])
        first = int(np.searchsorted(from_top, self._first))
        last = min(int(np.searchsorted(from_top, self._last)), highest)
        occurring = [place for place in range(first, last + 1) if bins[highest - place]]
        self.different = [max(0, lowest_of(place)) for place in occurring[: MOST_GUESSES + 1]]
        self._above = int(from_top[first - 1]) if first else self._above
        self.low, self.high = max(0, lowest_of(last)), lowest_of(first - 1) - 1
