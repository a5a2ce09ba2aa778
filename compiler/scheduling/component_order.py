"""One component of a graph -> ComponentOrder: an order, its peak, and its distance to the least.

In-trees go to Liu's algorithm. Otherwise the gap between a lower bound and the best order known
is closed from both ends, cheapest means first: bounds and simple orders; a best-first search from
the lower bound up; minimum cuts; then, for what is still open, bisection by beam and search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from .bounds import Reach, cut_bound, forced_needs, step_bound
from .condensed import Core, condense, expand
from .downsets import Downsets
from .liu import merged, profile_of, profiles
from .postorder import postorders
from .problem import Problem
from .search import Budget, beam, search

MOST_SEARCHED = 1_000
"""Moves beyond which executed sets are too long to search."""

MOST_CUT = 150
"""Moves beyond which a minimum cut for each takes too long."""

FULL_BUDGET = 200
"""Moves up to which all of `max_states` may be used. A state of a larger core takes longer, and
there are more of them to an order: the budget falls with the square of the moves."""

BEAM_WIDTH = 32
BEAMS = 6


class Climb(NamedTuple):
    """A stretch of an order up to a hill and down to a valley (bytes): the steps before `end`."""

    hill: int
    valley: int
    end: int


@dataclass(frozen=True, slots=True)
class ComponentOrder:
    """An order of a component.

    order        its nodes
    peak         bytes
    lower_bound  bytes that every order needs
    climbs       the order's profile: falling hills, rising valleys
    composable   no order has a better profile, so that the profile can be merged with others'
    """

    order: list[int]
    peak: int
    lower_bound: int
    climbs: list[Climb]
    composable: bool

    @property
    def residue(self) -> int:
        """Bytes that stay in memory."""
        return self.climbs[-1].valley if self.climbs else 0


def plan(problem: Problem, max_states: int) -> ComponentOrder:
    """The order of least peak, as far as `max_states` expanded states can tell.

    The nodes are numbered inputs first. The same problem gives the same plan on every machine.
    """
    consumers = problem.consumers()
    if all(len(users) <= 1 for users in consumers):
        profile = merged(list(profiles(problem, range(len(problem)), consumers).values()))
        peak = profile[0].hill if profile else 0
        runs = [segment.nodes for segment in profile]
        ends = accumulate(map(len, runs))
        climbs = [Climb(s.hill, s.valley, end) for s, end in zip(profile, ends, strict=True)]
        return ComponentOrder(_flat(runs), peak, peak, climbs, composable=True)
    core = condense(problem, consumers)
    gap = _Gap(core, step_bound(core))
    for moves in postorders(core):
        gap.offer(moves)
    if gap.open and len(core) <= MOST_SEARCHED:
        states = max_states * FULL_BUDGET**2 // max(FULL_BUDGET, len(core)) ** 2
        _close(core, gap, Budget(states))
    runs = expand(problem, core, gap.order)
    steps = zip(accumulate(map(len, runs)), core.steps(gap.order), strict=True)
    profile = profile_of((end, during, after) for end, (_, during, after) in steps)
    climbs = [Climb(s.hill, s.valley, s.nodes[-1]) for s in profile]
    return ComponentOrder(_flat(runs), gap.peak, gap.bound, climbs, composable=False)


def _flat(runs: Iterable[list[int]]) -> list[int]:
    return [node for run in runs for node in run]


class _Gap:
    """The best order known and the best lower bound known."""

    def __init__(self, core: Core, bound: int) -> None:
        self.core = core
        self.bound = bound
        self.order: list[int] = []
        self.peak = -1

    @property
    def open(self) -> bool:
        return self.bound < self.peak

    def offer(self, order: list[int] | None) -> None:
        """Keep an order of moves, if there is one and it is better."""
        if order is None:
            return
        peak = self.core.peak(order)
        if self.peak < 0 or peak < self.peak:
            self.order, self.peak = order, peak

    def raise_bound(self, bound: int) -> None:
        """Keep a bound if it is better; an order that was found is a bound of the bound."""
        self.bound = min(max(self.bound, bound), self.peak)


def _close(core: Core, gap: _Gap, budget: Budget) -> None:
    reach = Reach(core)
    gap.raise_bound(max(forced_needs(core, reach)))
    if not gap.open:
        return
    space = Downsets(core, reach)
    gap.offer(beam(space, gap.bound, gap.peak, 1, Budget(len(core))).order)
    _raise(space, gap, budget.share(20))
    if gap.open and len(core) <= MOST_CUT:
        gap.raise_bound(cut_bound(core, reach, gap.peak))
    _lower(space, gap, budget)
    kept = budget.share(8)
    _prove(space, gap, budget)
    _raise(space, gap, kept)


def _raise(space: Downsets, gap: _Gap, budget: Budget) -> None:
    """Better bounds and perhaps the best order, by searching from the bound up."""
    if gap.open:
        found = search(space, gap.bound, gap.peak, budget)
        gap.offer(found.order)
        gap.raise_bound(found.bound)


def _lower(space: Downsets, gap: _Gap, budget: Budget) -> None:
    """Better orders, by a beam under targets between the bound and the peak."""
    low = gap.bound
    width = max(1, min(BEAM_WIDTH, budget.left // (4 * len(space.order))))
    for _ in range(BEAMS):
        if low >= gap.peak:
            return
        target = (low + gap.peak) // 2
        order = beam(space, target, target + 1, width, budget).order
        gap.offer(order)
        if order is None:
            low = target + 1


def _prove(space: Downsets, gap: _Gap, budget: Budget) -> None:
    """Ask whether anything is better than the best order known, until nothing is."""
    while gap.open:
        found = search(space, gap.peak - 1, gap.peak, budget)
        gap.offer(found.order)
        if found.complete and found.order is None:
            gap.raise_bound(gap.peak)
        elif not found.complete:
            return
