"""Plan + a quick measurement of this machine -> about how long a run takes.

What the plan's sweeps take is on its strategies (`costs`); here are this machine's rates. Two are
measured, in a few hundredths of a second: how fast memory is copied, which is what reading from the
page cache and writing to it cost, and how fast numpy multiplies, which tells how this processor
compares with the one that the rates below were taken on. The disk isn't measured: how much of the
sources is in the page cache is asked of the system, and a rate is assumed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple

from ...grammar.diagnostics import CheckpointError
from ..graph.graph import Invoke
from ..kernels.mathematics import mathematics
from ..sweeps.opaque_calls import needs_whole
from .costs import Rates
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

START = 0.15
COMPILE = 0.04
HANDLE = 8e-5
"""Seconds to load what runs kernels, to compile one, and for the interpreter to handle one sweep
over one tensor, which workers do one at a time."""

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

    def rates(self, threads: int) -> Rates:
        """What it does in a second, for so many workers."""
        moved = self.copied / COPIES
        return Rates(
            read=moved,
            write=moved,
            memory=self.copied,
            spill=moved,
            step=1 / (STEP * self.slowness),
            sum=1 / (SUM * self.slowness),
            look=1 / (LOOK * self.slowness),
            disk=DISK_RATE,
            workers=max(1, min(threads, self.cores)),
        )


@dataclass(frozen=True)
class Estimate:
    """About how long a run takes, in seconds; `parts` for each component, together `seconds`.

    handling: what comes on top: loading, compiling, and the interpreter's part in every step.
    cached: the share of the sources' bytes that is in the page cache, None where the system doesn't
    tell (all is taken to be on disk then). disk_bound: whether the disk rather than the processor
    decides. uncounted: methods of whole tensors, whose linear algebra isn't in the estimate.
    kernels: those that have to be compiled first.
    """

    seconds: float
    handling: float
    cached: float | None
    disk_bound: bool
    uncounted: tuple[str, ...]
    kernels: int
    machine: Machine
    parts: tuple[float, ...]

    @property
    def total(self) -> float:
        """All of it."""
        return self.seconds + self.handling


def estimate(plan: Plan, machine: Machine | None = None) -> Estimate:
    """How long a run of the plan takes on this machine; measured here unless given."""
    machine = machine or measure_machine()
    cached = cached_share(plan)
    rates = machine.rates(plan.threads)
    parts = _times(plan.choices, rates, cached)
    busy = sum(_times(plan.choices, rates._replace(disk=float("inf")), cached))
    seconds = sum(parts)
    kernels = len(_to_compile(plan))
    steps = sum(len(strategy.sweeps) for strategy in plan.choices)
    return Estimate(
        seconds=seconds,
        handling=START + COMPILE * kernels + HANDLE * steps,
        cached=cached,
        disk_bound=seconds > 1.5 * busy,
        uncounted=tuple(_uncounted(plan)),
        kernels=kernels,
        machine=machine,
        parts=parts,
    )


def seconds_of(plan: Plan, choices: Sequence[Strategy], made: Estimate) -> float:
    """Seconds of the same plan with other strategies for its components, by the same estimate."""
    return sum(_times(choices, made.machine.rates(plan.threads), made.cached))


def _times(choices: Sequence[Strategy], rates: Rates, cached: float | None) -> tuple[float, ...]:
    """The seconds of each component; those of one template and shape share their strategy."""
    missing = 1.0 - (cached or 0.0)
    times = {strategy: strategy.seconds(rates, missing) for strategy in set(choices)}
    return tuple(times[strategy] for strategy in choices)


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


def _uncounted(plan: Plan) -> dict[str, None]:
    """The methods in which functions of whole tensors are called."""
    first = {component.template: component for component in plan.components}
    ops = [plan.optimised.nodes[i].op for c in first.values() for i in c.nodes]
    calls = [op.invocation for op in ops if isinstance(op, Invoke)]
    return {call.method.name: None for call in calls if needs_whole(call)}


def _to_compile(plan: Plan) -> set[str]:
    """The kernels that aren't in the cache, by their text."""
    from ..kernels.compiled import is_cached

    ways = dict(zip(plan.choices, plan.components, strict=True))
    found = {
        (component.template.program, segment)
        for strategy, component in ways.items()
        for sweep in strategy.sweeps
        for segment in sweep.segments
    }
    kernels = {kernel.text: kernel for kernel in starmap(mathematics, found)}
    return {text for text, kernel in kernels.items() if not is_cached(kernel)}
