"""Plan -> its memory over time: what is held in each sweep of each step.

A step is a component; its moments are its sweeps, in order:

    core  model.norm    sweep 0  ▃ tiles, core being stored
                        sweep 1  ▃ tiles, core read back
    copy  lm_head       sweep 0  ▁ one tile
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .plan import Plan
from .strategies import Strategy


class Moment(NamedTuple):
    """Memory during one sweep.

    component: the step's number. nbytes: all that the plan counts: held values, histograms, scratch
    and every worker's tile buffers. held: the program's values that are in memory, with scratch and
    tiles apart.
    """

    component: int
    sweep: int
    nbytes: int
    held: tuple[int, ...]
    scratch: int
    tiles: int


class _Usage(NamedTuple):
    """A sweep's memory, for any component of the same template and shape: a moment's fields."""

    nbytes: int
    held: tuple[int, ...]
    scratch: int
    tiles: int


def timeline(plan: Plan) -> Iterator[Moment]:
    """Every sweep of every step, in the order of the run. Their maximum is `plan.peak_bytes`."""
    for number, usages in enumerate(_course(plan)):
        for sweep, usage in enumerate(usages):
            yield Moment(number, sweep, *usage)


def needs(plan: Plan) -> Sequence[int]:
    """The bytes of every moment of the timeline, of which there may be very many."""
    found = array("q")
    bytes_of = {c: [u.nbytes for u in _usages(c, plan.threads)] for c in set(plan.choices)}
    for choice in plan.choices:
        found.fromlist(bytes_of[choice])
    return found


def binding_moment(plan: Plan) -> Moment | None:
    """The first moment that needs the most memory; None if nothing is done."""
    best: Moment | None = None
    first = {c: number for number, c in reversed(list(enumerate(plan.choices)))}
    for choice, number in sorted(first.items(), key=lambda item: item[1]):
        for sweep, usage in enumerate(_usages(choice, plan.threads)):
            if best is None or usage.nbytes > best.nbytes:
                best = Moment(number, sweep, *usage)
    return best


def _course(plan: Plan) -> Iterator[tuple[_Usage, ...]]:
    """The sweeps of each step; steps of one shape share their strategy, and the same tuple."""
    known = {choice: _usages(choice, plan.threads) for choice in set(plan.choices)}
    return (known[choice] for choice in plan.choices)


def _usages(strategy: Strategy, threads: int) -> tuple[_Usage, ...]:
    tiles, bins = strategy.tile_bytes * threads, strategy.bins
    return tuple(
        _Usage(cost.held + cost.scratch + bins + tiles, cost.live, cost.scratch + bins, tiles)
        for cost in strategy.costs
    )
