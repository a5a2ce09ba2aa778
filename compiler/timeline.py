"""Plan -> its memory over time: what is held in each sweep of each step.

A step is a component; its moments are its sweeps, in order:

    core  model.norm    sweep 0  ▃ tiles, core being stored
                        sweep 1  ▃ tiles, core read back
    copy  lm_head       sweep 0  ▁ one tile
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .components import Component
from .options import Option, histogram_bytes
from .plan import Plan
from .program import Sweep
from .whole import scratch_bytes


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
    """A sweep's memory, for any component of the same template and shape."""

    held: tuple[int, ...]
    held_bytes: int
    scratch: int


def timeline(plan: Plan) -> Iterator[Moment]:
    """Every sweep of every step, in the order of the run. Their maximum is `plan.peak_bytes`."""
    known: dict[int, tuple[_Usage, ...]] = {}  # components of one shape share their option
    for number, (component, option) in enumerate(zip(plan.components, plan.choices, strict=True)):
        usages = known.get(id(option))
        if usages is None:
            usages = known[id(option)] = tuple(_usages(component, option))
        tiles = option.tile_bytes * plan.threads
        for sweep, usage in enumerate(usages):
            total = usage.held_bytes + usage.scratch + tiles
            yield Moment(number, sweep, total, usage.held, usage.scratch, tiles)


def most_spilled(plan: Plan) -> list[int]:
    """Most bytes of spill files that lie beside each output at once.

    Components that hold nothing in memory may run side by side, a worker each.
    """
    sizes: list[list[int]] = [[] for _ in plan.bound.outputs]
    for component, option in zip(plan.components, plan.choices, strict=True):
        if option.spilled:
            size = component.numel * component.template.program.compute.itemsize
            sizes[component.targets[0][0].output].append(size * len(option.spilled))
    return [sum(sorted(found)[-plan.threads :]) for found in sizes]


def _usages(component: Component, option: Option) -> Iterator[_Usage]:
    if not option.sweeps:
        yield _Usage((), 0, 0)
        return
    program = component.template.program
    size = component.numel * program.compute.itemsize
    bins = max(map(histogram_bytes, option.sweeps))
    live: set[int] = set()
    for sweep in option.sweeps:
        live |= set(_stored(component, sweep)) - option.spilled
        scratch = sum(scratch_bytes(program, whole, component.shape) for whole in sweep.wholes)
        yield _Usage(tuple(sorted(live)), size * len(live), scratch + bins)
        live -= set(sweep.frees)


def _stored(component: Component, sweep: Sweep) -> Iterator[int]:
    """The values that are whole in memory from this sweep on: stored, or a function's results."""
    yield from sweep.held
    for index, node in enumerate(component.template.program.nodes):
        if node.name == "whole_item" and node.args[0] in sweep.wholes:
            yield index
