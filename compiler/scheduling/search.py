"""Downsets -> an order within bounds, or a proof that there is none: best first, or by beam.

A state is an executed set, closed under safe moves. States are taken by the peak so far, deepest
first among equals. All peaks below the floor count as the floor, so that what fits under it costs
nothing; steps that reach the ceiling are refused, and the smallest refused step is a lower bound
of every order, once all else has been tried.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .downsets import Downsets, State


@dataclass(slots=True)
class Budget:
    """States that may still be expanded."""

    left: int

    def take(self) -> bool:
        """Use one state, if any is left."""
        if not self.left:
            return False
        self.left -= 1
        return True

    def share(self, parts: int) -> Budget:
        """One part of what is left, moved to a budget of its own."""
        share = Budget(self.left // parts)
        self.left -= share.left
        return share


class Found(NamedTuple):
    """What a search came to.

    order   the core's moves, if an order below the ceiling was found: the best one
    bound   no order has a smaller peak, in bytes (a search that was cut short can tell only
            down from its floor: the floor must be a lower bound itself)
    complete  the whole space below the ceiling has been covered
    """

    order: list[int] | None
    bound: int
    complete: bool


def search(space: Downsets, floor: int, ceiling: int, budget: Budget) -> Found:
    """The order of least peak among those with floor <= peak < ceiling (below the floor is as
    good as the floor)."""
    start = space.start(floor)
    best = {space.canonical(start.executed): floor}
    heap = [(floor, -start.executed.bit_count(), start.memory, 0, start)]
    refused: int | None = None
    serial = 0
    while heap:
        peak, _, _, _, state = heapq.heappop(heap)
        if state.executed == space.full:
            return Found(space.moves(state.path), peak, True)
        if best[space.canonical(state.executed)] < peak:
            continue
        if not budget.take():
            return Found(None, peak, False)
        for during, child in _children(space, state, peak, ceiling):
            if child is None:
                refused = during if refused is None else min(refused, during)
                continue
            name = space.canonical(child.executed)
            if best.get(name, ceiling) > during:
                best[name] = during
                serial += 1
                depth = -child.executed.bit_count()
                heapq.heappush(heap, (during, depth, child.memory, serial, child))
    return Found(None, max(ceiling, refused or 0), True)


def beam(space: Downsets, floor: int, ceiling: int, width: int, budget: Budget) -> Found:
    """An order with a peak below the ceiling, keeping only the `width` lowest states a level."""
    level = [(floor, space.start(floor))]
    while level:
        if full := [entry for entry in level if entry[1].executed == space.full]:
            peak, state = min(full, key=lambda entry: entry[0])
            return Found(space.moves(state.path), peak, False)
        following: dict[int, tuple[int, State]] = {}
        for peak, state in level:
            if not budget.take():
                return Found(None, floor, False)
            for during, child in _children(space, state, peak, ceiling):
                if child is None:
                    continue
                name = space.canonical(child.executed)
                if name not in following or following[name][0] > during:
                    following[name] = (during, child)
        level = sorted(following.values(), key=_rank)[:width]
    return Found(None, floor, False)


def _rank(entry: tuple[int, State]) -> tuple[int, int, int, int]:
    peak, state = entry
    return peak, state.memory, -state.executed.bit_count(), state.executed


def _children(
    space: Downsets, state: State, peak: int, ceiling: int
) -> Iterator[tuple[int, State | None]]:
    """The states after each ready move with the peak so far; None where that is refused."""
    ready = state.ready
    tried: set[int] = set()
    while ready:
        low = ready & -ready
        ready ^= low
        move = low.bit_length() - 1
        during, after = space.step(move, state.executed, state.memory)
        during = max(during, peak)
        if during >= ceiling:
            yield during, None
            continue
        if space.twins:
            name = space.canonical(state.executed | low)
            if name in tried:
                continue
            tried.add(name)
        child = space.advance(state, move, after)
        during = max(during, *child.needs)
        latest = move if during == peak else None
        closed = -1
        while closed < during < ceiling:  # what is safe may show that more is needed
            closed = during
            child = space.close(child, closed, latest)
            during = max(closed, *child.needs)
            latest = None
        yield during, child if during < ceiling else None
