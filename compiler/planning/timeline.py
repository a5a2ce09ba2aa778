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

from ...ops.primitives import Role
from ..sweeps.components import Component
from ..sweeps.opaque_calls import scratch_bytes
from ..sweeps.program import Sweep
from .plan import Plan
from .strategies import Strategy, histogram_bytes


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
    known: dict[int, list[int]] = {}
    for usages in _course(plan):
        if id(usages) not in known:
            known[id(usages)] = [usage.nbytes for usage in usages]
        found.fromlist(known[id(usages)])
    return found


def binding_moment(plan: Plan) -> Moment | None:
    """The first moment that needs the most memory; None if nothing is done."""
    best: Moment | None = None
    seen: set[int] = set()
    for number, usages in enumerate(_course(plan)):
        if id(usages) not in seen:
            seen.add(id(usages))
            for sweep, usage in enumerate(usages):
                if best is None or usage.nbytes > best.nbytes:
                    best = Moment(number, sweep, *usage)
    return best


def _course(plan: Plan) -> Iterator[tuple[_Usage, ...]]:
    """The sweeps of each step; steps of one shape share their option, and the same tuple."""
    known: dict[int, tuple[_Usage, ...]] = {}
    for component, option in zip(plan.components, plan.choices, strict=True):
        usages = known.get(id(option))
        if usages is None:
            tiles = option.tile_bytes * plan.threads
            usages = known[id(option)] = tuple(_usages(component, option, tiles))
        yield usages


def _usages(component: Component, option: Strategy, tiles: int) -> Iterator[_Usage]:
    if not option.sweeps:
        yield _Usage(tiles, (), 0, tiles)
        return
    program = component.template.program
    size = component.numel * program.compute.itemsize
    bins = max(map(histogram_bytes, option.sweeps))
    live: set[int] = set()
    for sweep in option.sweeps:
        live |= set(_stored(component, sweep)) - option.spilled
        scratch = sum(scratch_bytes(program, whole, component.shape) for whole in sweep.wholes)
        total = size * len(live) + scratch + bins + tiles
        yield _Usage(total, tuple(sorted(live)), scratch + bins, tiles)
        live -= set(sweep.frees)


def _stored(component: Component, sweep: Sweep) -> Iterator[int]:
    """The values that are whole in memory from this sweep on: stored, or a function's results."""
    yield from sweep.held
    for index, node in enumerate(component.template.program.nodes):
        if node.role is Role.OPAQUE_ITEM and node.args[0] in sweep.wholes:
            yield index
