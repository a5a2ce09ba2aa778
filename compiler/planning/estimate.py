"""Plan + a quick measurement of this machine -> about how long a run takes.

Two rates are measured, in a few hundredths of a second: how fast memory is copied, which is what
reading from the page cache and writing to it cost, and how fast numpy multiplies, which tells how
this processor compares with the one that the costs below were taken on. The disk isn't measured:
how much of the sources is in the page cache is asked of the system, and a rate is assumed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...grammar.diagnostics import CheckpointError
from ..graph.graph import Invoke, Load
from ..sweeps.components import Component
from ..sweeps.opaque_calls import needs_whole
from ..sweeps.program import Segment
from .machine import processor_count
from .plan import Plan
from .strategies import Strategy

DISK_RATE = 1.0e9
"""Bytes a second that disks are assumed to read and write."""

STEP = 1.2e-10
SUM = 2.0e-10
LOOK = 2.2e-9
MULTIPLY = 1.5e-10
"""Seconds an element of a primitive, a sum and a look in kernels, and of numpy's multiplication, on
the processor that these were measured on."""

COPIES = 1.5
"""How often a byte that is read or written is copied, nearly: by the system, and to registers."""

_BLOCK = 1 << 18
_SAMPLES = 256  # places where the page cache is looked into


class Machine(NamedTuple):
    """copied: bytes a second of copying memory. slowness: how much longer arithmetic takes than
    where STEP and the others were measured. cores: those that this process may use."""

    copied: float
    slowness: float
    cores: int


@dataclass(frozen=True)
class Estimate:
    """About how long a run takes, in seconds; `parts` for each component, together `seconds`.

    cached: the share of the sources' bytes that is in the page cache, None where the system doesn't
    tell (all is taken to be on disk then). disk_bound: whether the disk rather than the processor
    decides. uncounted: methods of whole tensors, whose linear algebra isn't in the estimate.
    kernels: that the first run of the recipe compiles, a second or two each; not in it either.
    """

    seconds: float
    cached: float | None
    disk_bound: bool
    uncounted: tuple[str, ...]
    kernels: int
    machine: Machine
    parts: tuple[float, ...]


def estimate(plan: Plan, machine: Machine | None = None) -> Estimate:
    """How long a run of the plan takes on this machine; measured here unless given."""
    machine = machine or measure_machine()
    cached = cached_share(plan)
    costs: dict[int, float] = {}
    busy: list[float] = []
    for component, option in zip(plan.components, plan.choices, strict=True):
        if id(option) not in costs:  # components of one template and shape share their option
            costs[id(option)] = _busy_seconds(component, option, machine)
        busy.append(costs[id(option)])
    computing = sum(busy) / max(1, min(plan.threads, machine.cores))
    missing = 1.0 - (cached or 0.0)
    moved = missing * _distinct_bytes(plan) + plan.bytes_written + plan.bytes_spilled / 2
    seconds = max(computing, moved / DISK_RATE)
    scale = seconds / sum(busy) if any(busy) else 0.0
    return Estimate(
        seconds=seconds,
        cached=cached,
        disk_bound=seconds > computing,
        uncounted=tuple(_uncounted(plan)),
        kernels=len(_segments(plan)),
        machine=machine,
        parts=tuple(part * scale for part in busy),
    )


def at_choices(plan: Plan, choices: Sequence[Strategy], machine: Machine) -> float:
    """Seconds of the same plan with other choices for its components."""
    return estimate(replace(plan, choices=tuple(choices)), machine).seconds


def measure_machine() -> Machine:
    """The rates of this machine, measured in less than 50 milliseconds."""
    import numpy as np

    source = np.ones(1 << 22, dtype=np.uint8)
    target = np.zeros(_BLOCK, dtype=np.uint8)
    numbers = np.ones(1 << 15, dtype=np.float32)
    product = np.empty_like(numbers)

    def copy() -> None:
        for start in range(0, len(source), _BLOCK):
            np.copyto(target, source[start : start + _BLOCK])

    def multiply() -> None:
        for _ in range(8):
            np.multiply(numbers, numbers, out=product)

    copied = len(source) / _quickest(copy, 0.02)
    each = _quickest(multiply, 0.02) / (8 * len(numbers))
    return Machine(copied, each / MULTIPLY, processor_count())


def cached_share(plan: Plan) -> float | None:
    """The share of the sources' bytes that is in memory, from samples; None if unknown.

    Looking may make the system read what isn't there: so each time other places are looked at, and
    the next look isn't misled by this one.
    """
    files = {file.identity: file for c in plan.sources.values() for file in c.files}
    total = max(1, sum(file.size for file in files.values()))
    found = looked = 0
    for file in files.values():
        samples = max(1, round(_SAMPLES * file.size / total))
        places = [random.randrange(file.size) for _ in range(samples)]
        try:
            opened = file.open()
        except CheckpointError:  # it is gone
            return None
        try:
            there = opened.in_memory(places)
        finally:
            opened.close()
        if there is None:
            return None
        found += there
        looked += samples
    return found / looked if looked else None


def _quickest(action: object, budget: float) -> float:
    """Seconds of the quickest call within a budget: what else the machine does only slows."""
    assert callable(action)
    action()
    end = time.perf_counter() + budget
    best = float("inf")
    while (started := time.perf_counter()) < end or best == float("inf"):
        action()
        best = min(best, time.perf_counter() - started)
    return best


def _busy_seconds(component: Component, option: Strategy, machine: Machine) -> float:
    """Processor seconds of a component."""
    written = sum(
        len(names) * component.numel * dtype.itemsize
        for names, (_, dtype) in zip(
            component.targets, component.template.program.outputs, strict=True
        )
    )
    size = component.numel * component.template.program.compute.itemsize
    moved = option.read + written
    arithmetic = 0.0
    for sweep in option.sweeps:
        if sweep.seldom:
            continue
        for segment in sweep.segments:
            moved += size * (len(segment.fetches) + len(segment.stores))
            arithmetic += component.numel * _per_element(segment)
    return COPIES * moved / machine.copied + machine.slowness * arithmetic


def _per_element(segment: Segment) -> float:
    return (
        STEP * (len(segment.elements) + len(segment.reads) + len(segment.writes))
        + SUM * len(segment.sums)
        + LOOK * len(segment.looks)
    )


def _distinct_bytes(plan: Plan) -> int:
    """Bytes of the source tensors that are read, each once."""
    loads = (node.op for node in plan.optimised.nodes if isinstance(node.op, Load))
    return sum(load.tensor.cost for load in loads)


def _uncounted(plan: Plan) -> dict[str, None]:
    """The methods in which functions of whole tensors are called."""
    first = {id(c.template): c for c in plan.components}
    ops = [plan.optimised.nodes[i].op for c in first.values() for i in c.nodes]
    calls = [op.invocation for op in ops if isinstance(op, Invoke)]
    return {call.method.name: None for call in calls if needs_whole(call)}


def _segments(plan: Plan) -> set[tuple[int, Segment]]:
    """What kernels are generated from."""
    ways = {id(o): (c, o) for c, o in zip(plan.components, plan.choices, strict=True)}
    return {
        (id(component.template), segment)
        for component, option in ways.values()
        for sweep in option.sweeps
        for segment in sweep.segments
    }
