"""Template -> Options: the ways to run a component, from fastest to smallest.

A value that several sweeps need can be computed again in each, held in memory, or spilled to a
file. For every such choice the pieces of work are ordered for the least peak by the scheduler, and
also joined into the fewest sweeps; what is neither faster nor smaller than another way is dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...ops.primitives import Role
from ..scheduling.schedule import Problem, order_problem
from ..scheduling.simulate import check_peak
from ..sweeps.components import TILES_AT_ONCE, Component, Template
from ..sweeps.model_thresholds import ModelScan
from ..sweeps.opaque_calls import scratch_bytes, whole_slots
from ..sweeps.program import ELEMENT_KINDS, Program, Segment, Sweep
from ..sweeps.sweeps import build_sweeps, earliest
from ..sweeps.work_units import Unit, closure, units

READ_RATE = 1.5e9
SPILL_RATE = 1.0e9
HELD_RATE = 8.0e9
"""Bytes a second that plans are compared by. Nominal, so that every machine makes the same plan."""

STEP_SECONDS = 4e-11
"""Seconds that one primitive takes for one element, nominal."""

MOST_CHOICES = 3
"""Values whose every combination of choices is tried."""

MOST_ALONE = 8
"""With more values all are treated alike, but for one; this many are tried as that one."""

ROW_SCRATCH = 8
"""Tiles of scratch that a function of rows may use."""

BIN_BYTES = 8
WORKER_BIN_BYTES = 4
"""Bytes of one bin of a histogram: a job's, and a worker's own for the tiles at hand."""


@dataclass(frozen=True, eq=False)
class Strategy:
    """One way to run a component.

    held: values kept in memory, or in a file if they are in `spilled`. peak: most bytes of whole
    tensors, histograms and scratch at once; lower_bound: least of any order with these choices;
    optimal: whether the peak is that. tile_bytes: a worker's buffers. read, spilled_bytes: bytes of
    sources read, and of values written to and read from spill files. seconds: nominal time. passes:
    walks before all others, which find thresholds of whole models. seldom_read: bytes that sweeps
    read which inputs of few digits hardly ever need.
    """

    held: tuple[int, ...]
    spilled: frozenset[int]
    sweeps: tuple[Sweep, ...]
    peak: int
    lower_bound: int
    tile_bytes: int
    read: int
    spilled_bytes: int
    seconds: float
    passes: tuple[ModelScan, ...] = ()
    seldom_read: int = 0

    @property
    def optimal(self) -> bool:
        return self.peak <= self.lower_bound


def options(component: Component, passes: tuple[ModelScan, ...] = ()) -> tuple[Strategy, ...]:
    """The Pareto front of time and memory, fastest first; all take these passes."""
    if component.template.copies:
        return (_copy(component),)
    found = [
        option
        for held, spilled in _choices(component.template)
        for option in _ordered(component, passes, held, spilled)
    ]
    front: list[Strategy] = []
    for option in sorted(found, key=lambda o: (o.seconds, o.peak, len(o.held))):
        if not front or option.peak < front[-1].peak:
            front.append(option)
    return tuple(front)


def _copy(component: Component) -> Strategy:
    nbytes = component.loads[0].tensor.nbytes
    itemsize = component.template.program.inputs[0].itemsize
    tile = min(component.tile, max(1, component.numel)) * itemsize
    return Strategy((), frozenset(), (), 0, 0, tile, nbytes, 0, nbytes / READ_RATE)


# Choices ----------------------------------------------------------------------------------------


def _choices(template: Template) -> Iterator[tuple[tuple[int, ...], frozenset[int]]]:
    """(values to hold, those of them to spill) of each choice to be tried."""
    values = worth_holding(template)
    ways = ("again", "hold", "spill")
    combinations: Iterable[tuple[str, ...]]
    if len(values) <= MOST_CHOICES:
        combinations = itertools.product(ways, repeat=len(values))
    else:
        same = [(way,) * len(values) for way in ways]
        alone = [
            (*around[:i], way, *around[i + 1 :])
            for around, way in ((same[0], "hold"), (same[1], "spill"))
            for i in range(min(len(values), MOST_ALONE))
        ]
        combinations = dict.fromkeys([*same, *alone])
    for combination in combinations:
        kept = [(v, way) for v, way in zip(values, combination, strict=True) if way != "again"]
        held = tuple(v for v, _ in kept)
        yield held, frozenset(v for v, way in kept if way == "spill")


def worth_holding(template: Template) -> tuple[int, ...]:
    """Values of graph nodes that more than one sweep computes, from more bytes than they have."""
    program = template.program
    found = units(program, ())
    grouping = earliest(found)
    computed: dict[int, int] = {}
    for group in grouping:
        wanted = [i for number in group for job in found[number].jobs for i in job.wanted]
        elements, _ = closure(program.nodes, wanted, ())
        for index in elements:
            computed[index] = computed.get(index, 0) + 1
    kept = {node for node, _ in program.outputs}
    for node in program.nodes:
        if node.role in (Role.OPAQUE_FUNCTION, Role.OPAQUE_ITEM):
            kept.update(node.args)  # held anyway
    return tuple(
        dict.fromkeys(
            value
            for _, _, value in template.values
            if computed.get(value, 0) > 1
            and value not in kept
            and program.nodes[value].kind in ELEMENT_KINDS
            and _input_bytes(program, value) > program.compute.itemsize
        )
    )


def _input_bytes(program: Program, value: int) -> int:
    """Bytes of input that one element of a value is computed from."""
    elements, _ = closure(program.nodes, [value], ())
    slots = {int(program.nodes[i].attr[0]) for i in elements if program.nodes[i].role is Role.INPUT}
    return sum(program.inputs[slot].itemsize for slot in slots)


# Orders -----------------------------------------------------------------------------------------


def _ordered(
    component: Component,
    passes: tuple[ModelScan, ...],
    held: tuple[int, ...],
    spilled: frozenset[int],
) -> Iterator[Strategy]:
    """The fewest sweeps; and, if that needs more memory than must be, sweeps of the least peak."""
    program = component.template.program
    found = units(program, held)
    size = component.numel * program.compute.itemsize
    sizes = {i: 0 if i in spilled else size for unit in found for i in unit.gives}
    scratch = [
        0 if unit.whole is None else scratch_bytes(program, unit.whole, component.shape)
        for unit in found
    ]
    problem = _problem(found, sizes, scratch)
    schedule = order_problem(problem)
    check_peak(problem, schedule.order, schedule.peak)
    joined = earliest(found)
    peak = grouping_peak(found, joined, sizes, scratch)
    yield _option(component, passes, held, spilled, found, joined, peak, schedule.lower_bound)
    if peak > schedule.peak:
        parted = join_in_order(found, schedule.order, sizes, scratch, schedule.peak)
        least = grouping_peak(found, parted, sizes, scratch)
        yield _option(component, passes, held, spilled, found, parted, least, schedule.lower_bound)


def _problem(found: Sequence[Unit], sizes: dict[int, int], scratch: Sequence[int]) -> Problem:
    """The units as the scheduler sees them: a node's value is what the unit keeps in memory."""
    count = len(found)
    return Problem(
        [sum(sizes[i] for i in unit.gives) for unit in found],
        list(scratch),
        [False] * count,
        [False] * count,
        [sorted(unit.before | unit.along) for unit in found],
    )


def grouping_peak(
    found: Sequence[Unit],
    grouping: Sequence[Sequence[int]],
    sizes: dict[int, int],
    scratch: Sequence[int],
) -> int:
    """Most bytes that are held at once when units are grouped in sweeps like this.

    What units that aren't grouped yet will read back is held to the end.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    grouped = {i for group in grouping for i in group}
    waiting = {v for i, unit in enumerate(found) if i not in grouped for v in unit.takes}
    for number, group in enumerate(grouping):
        for i in group:
            for value in found[i].gives:
                first[value] = number
                last.setdefault(value, number)
            for value in found[i].takes:
                last[value] = number
    last |= {value: len(grouping) for value in waiting if value in first}
    return max(
        (
            sum(sizes[v] for v in first if first[v] <= number <= last[v])
            + sum(scratch[i] for i in group)
            for number, group in enumerate(grouping)
        ),
        default=0,
    )


def join_in_order(
    found: Sequence[Unit],
    order: Sequence[int],
    sizes: dict[int, int],
    scratch: Sequence[int],
    limit: int,
) -> list[list[int]]:
    """Sweeps for units in an order, each unit in the first sweep that keeps within the limit."""
    grouping: list[list[int]] = []
    sweep_of: dict[int, int] = {}
    for i in order:
        unit = found[i]
        first = max((sweep_of[j] + 1 for j in unit.before), default=0)
        first = max([first, *(sweep_of[j] for j in unit.along)])
        for number in range(first, len(grouping) + 1):
            trial = [list(group) for group in grouping] + [[]]
            trial[number].append(i)
            if number == len(grouping) or grouping_peak(found, trial, sizes, scratch) <= limit:
                if number == len(grouping):
                    grouping.append([])
                grouping[number].append(i)
                sweep_of[i] = number
                break
    return grouping


# Costs ------------------------------------------------------------------------------------------


def _option(
    component: Component,
    passes: tuple[ModelScan, ...],
    held: tuple[int, ...],
    spilled: frozenset[int],
    found: Sequence[Unit],
    grouping: Sequence[Sequence[int]],
    peak: int,
    lower_bound: int,
) -> Strategy:
    program = component.template.program
    built = build_sweeps(program, found, grouping)
    looking = [sweep for _, sweep in passes]
    counted = [*looking, *(sweep for sweep in built if not sweep.seldom)]
    slots = [slot for sweep in counted for slot in (*sweep.reads, *whole_slots(program, sweep))]
    read = sum(component.loads[slot].tensor.nbytes for slot in slots)
    size = component.numel * program.compute.itemsize
    stored = [i for sweep in counted for i in sweep.held]
    fetched = [i for sweep in counted for segment in sweep.segments for i in segment.fetches]
    moved = size * (len(stored) + len(fetched))
    spill = size * sum(i in spilled for i in [*stored, *fetched])
    steps = sum(len(segment.elements) for sweep in counted for segment in sweep.segments)
    bins = max((histogram_bytes(sweep) for sweep in [*looking, *built]), default=0)
    return Strategy(
        held=held,
        spilled=spilled,
        sweeps=built,
        peak=peak + bins,
        lower_bound=lower_bound + bins,
        tile_bytes=max(tile_bytes(component, sweep, spilled) for sweep in [*looking, *built]),
        read=read,
        spilled_bytes=spill,
        seconds=read / READ_RATE
        + spill / SPILL_RATE
        + (moved - spill) / HELD_RATE
        + steps * component.numel * STEP_SECONDS,
        passes=passes,
        seldom_read=sum(
            component.loads[slot].tensor.nbytes for s in built if s.seldom for slot in s.reads
        ),
    )


def tile_bytes(component: Component, sweep: Sweep, spilled: frozenset[int]) -> int:
    """Bytes of one worker's buffers in a sweep: tiles of all that it touches, and histograms."""
    program = component.template.program
    numel = max(1, component.numel)
    tile, at_once = min(component.tile, numel), min(component.tile * TILES_AT_ONCE, numel)
    streamed = sum(program.inputs[slot].itemsize for slot in sweep.reads)
    width = 0
    aside: set[int] = set()
    for segment in sweep.segments:
        streamed += sum(program.outputs[number][1].itemsize for number in segment.writes)
        width += ROW_SCRATCH * program.compute.itemsize * len(segment.rows)
        passed = {i for i in segment.fetches if program.nodes[i].role is Role.ROW_ITEM}
        arguments = {i for row in segment.rows for i in program.nodes[row].args}
        aside |= passed | (arguments & set(segment.stores))
        aside |= spilled & {*segment.fetches, *segment.stores}
    width += program.compute.itemsize * len(aside)
    return streamed * at_once + width * tile + WORKER_BIN_BYTES * _bins(sweep.segments)


def histogram_bytes(sweep: Sweep) -> int:
    """Bytes of the histograms that a job adds up in a sweep."""
    return BIN_BYTES * _bins(sweep.segments)


def _bins(segments: Sequence[Segment]) -> int:
    return sum(rows * width for rows, width in (s.bins for s in segments) if width > 1)
