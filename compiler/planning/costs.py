"""Sweeps of a component -> what each reads, holds, spills, computes and needs: the one cost model.

Plans are chosen by these costs at NOMINAL rates, so that every machine makes the same plan, and
their time is told at the rates of the machine at hand (`estimate`). Sizes are in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from ...ops.primitives import Role
from ..sweeps.components import TILES_AT_ONCE, Component
from ..sweeps.opaque_calls import scratch_bytes, whole_slots
from ..sweeps.program import (
    Program,
    Segment,
    Sweep,
    kept_room,
    most_looks,
    sample_size,
)

ROW_SCRATCH = 8
"""Tiles of scratch that a function of rows may use."""

BIN_BYTES = 8
WORKER_BIN_BYTES = 4
"""Bytes of one bin of a histogram: a job's, and a worker's own for the tiles at hand."""

KEPT_BYTES = 4
"""Bytes of a magnitude that a look keeps: its distance from the least that is kept."""


class Rates(NamedTuple):
    """What a machine does in a second with one processor, and how many processors compute.

    read, write, memory, spill: bytes that are read from cached files, written, stored in memory or
    read back, and moved to or from spill files. step, sum, look: elements of a primitive, a sum,
    one look of a selection. disk: bytes that its disk reads or writes.
    """

    read: float
    write: float
    memory: float
    spill: float
    step: float
    sum: float
    look: float
    disk: float
    workers: int


NOMINAL = Rates(
    read=1.5e9,
    write=1.5e9,
    memory=8.0e9,
    spill=1.0e9,
    step=2.5e10,
    sum=1.5e10,
    look=1.4e9,
    disk=float("inf"),
    workers=1,
)
"""Rates that plans are compared by: constants, whatever the machine."""


class SweepCost(NamedTuple):
    """What one sweep takes.

    read: of sources; fresh: the part of it that no sweep before has read. written: to outputs,
    under all names. moved: held values that are stored in memory or read back. spilled: to and from
    spill files. steps, sums, looks: elements of primitives, sums and looks. live: the values that
    are whole in memory, of `held` bytes together. scratch: of functions of whole tensors. bins: of
    histograms, and of magnitudes that looks keep. tiles: a worker's buffers. seldom: only where a
    sample misleads is the sweep needed. beyond: bytes that looks may read beyond `read`, for
    samples and where these mislead.
    """

    read: int
    fresh: int
    written: int
    moved: int
    spilled: int
    steps: int
    sums: int
    looks: int
    live: tuple[int, ...]
    held: int
    scratch: int
    bins: int
    tiles: int
    seldom: bool = False
    beyond: int = 0

    def busy_seconds(self, rates: Rates) -> float:
        """Seconds of one processor."""
        return (
            self.read / rates.read
            + self.written / rates.write
            + self.moved / rates.memory
            + self.spilled / rates.spill
            + self.steps / rates.step
            + self.sums / rates.sum
            + self.looks / rates.look
        )

    def seconds(self, rates: Rates, missing: float = 0.0) -> float:
        """Seconds that the sweep takes: the disk's or the processors', whichever is longer.

        missing: the share of the sources that the page cache doesn't have. What a sweep before has
        read it has; a spill file is written to the disk, and read back from the cache.
        """
        disk = missing * self.fresh + self.written + self.spilled / 2
        return max(self.busy_seconds(rates) / rates.workers, disk / rates.disk)


def copy_cost(component: Component) -> SweepCost:
    """What it takes to copy a tensor's bytes."""
    tensor = component.loads[0].tensor
    written = tensor.nbytes * sum(map(len, component.targets))
    itemsize = component.template.program.inputs[0].itemsize
    tile = min(component.tile, max(1, component.numel)) * itemsize
    return SweepCost(tensor.cost, tensor.cost, written, 0, 0, 0, 0, 0, (), 0, 0, 0, tile)


def sweep_costs(
    component: Component, sweeps: Iterable[Sweep], spilled: frozenset[int]
) -> Iterator[SweepCost]:
    """The cost of each of a component's sweeps, in their order."""
    program = component.template.program
    size = component.numel * program.compute.itemsize
    read_before: set[int] = set()
    live: set[int] = set()
    for sweep in sweeps:
        live |= {*sweep.held, *_results(program, sweep)} - spilled
        slots = [*sweep.reads, *whole_slots(program, sweep)]
        loads = {slot: component.loads[slot].tensor.cost for slot in slots}
        segments = sweep.segments
        kept = [*sweep.held, *(i for segment in segments for i in segment.fetches)]
        in_files = sum(i in spilled for i in kept)
        yield SweepCost(
            read=sum(loads[slot] for slot in slots),
            fresh=sum(nbytes for slot, nbytes in loads.items() if slot not in read_before),
            written=sum(_written(component, number) for s in segments for number in s.writes),
            moved=size * (len(kept) - in_files),
            spilled=size * in_files,
            steps=component.numel * sum(len(segment.elements) for segment in segments),
            sums=component.numel * sum(len(segment.sums) for segment in segments),
            looks=component.numel * len(sweep.looks),
            live=tuple(sorted(live)),
            held=size * len(live),
            scratch=sum(scratch_bytes(program, i, component.shape) for i in sweep.wholes),
            bins=_look_bytes(component, sweep),
            tiles=_tile_bytes(component, sweep, spilled),
            seldom=sweep.seldom,
            beyond=_beyond(component, sweep, loads),
        )
        read_before.update(slots)
        live -= set(sweep.frees)


def _results(program: Program, sweep: Sweep) -> Iterator[int]:
    """The values that the functions behind a sweep give."""
    if sweep.wholes:
        for index, node in enumerate(program.nodes):
            if node.role is Role.OPAQUE_ITEM and node.args[0] in sweep.wholes:
                yield index


def _written(component: Component, number: int) -> int:
    """Bytes of an output, under all its names."""
    _, dtype = component.template.program.outputs[number]
    return component.numel * dtype.itemsize * len(component.targets[number])


def _tile_bytes(component: Component, sweep: Sweep, spilled: frozenset[int]) -> int:
    """Bytes of one worker's buffers in a sweep.

    Inputs and outputs are read and written some tiles at a time, in the files' own dtypes. Values
    that live as long as a tile (arguments and results of row functions, and those that a file
    holds) have one tile, in the compute dtype.
    """
    program = component.template.program
    numel = max(1, component.numel)
    tile, at_once = min(component.tile, numel), min(component.tile * TILES_AT_ONCE, numel)
    streamed = sum(program.inputs[slot].itemsize for slot in sweep.reads)
    rows = 0
    aside: set[int] = set()
    for segment in sweep.segments:
        streamed += sum(program.outputs[number][1].itemsize for number in segment.writes)
        rows += len(segment.rows)
        passed = {i for i in segment.fetches if program.nodes[i].role is Role.ROW_ITEM}
        arguments = {i for row in segment.rows for i in program.nodes[row].args}
        aside |= passed | (arguments & set(segment.stores))
        aside |= spilled & {*segment.fetches, *segment.stores}
    width = program.compute.itemsize * (ROW_SCRATCH * rows + len(aside))
    return streamed * at_once + width * tile + WORKER_BIN_BYTES * _bins(sweep.segments)


def _look_bytes(component: Component, sweep: Sweep) -> int:
    """Bytes of a sweep's histograms, and of what its first looks keep; one is sorted at a time."""
    own = set(component.template.program.pooled)
    first = sum(not look.number and look.selection not in own for look in sweep.looks)
    kept = KEPT_BYTES * kept_room(component.numel) * (first + 1) if first else 0
    return BIN_BYTES * _bins(sweep.segments) + kept


def _beyond(component: Component, sweep: Sweep, loads: Mapping[int, int]) -> int:
    """Bytes that looks may read beyond what is expected. loads: those of each slot."""
    program, numel = component.template.program, max(1, component.numel)
    own = [look for look in sweep.looks if look.selection not in program.pooled]
    if not own:
        return 0
    once = sum(loads.values())
    if own[0].number:
        planned = 0 if sweep.seldom else 1
        return once * (most_looks(program.compute) - 1 - planned)
    found = once * sample_size(numel, TILES_AT_ONCE * component.tile) / numel
    for look in own:  # the tile that the last equal is in which is kept
        behind = program.slots_behind[program.nodes[look.selection].args[0]]
        needed = sum(n for slot, n in loads.items() if sweep.held or behind >> slot & 1)
        found += needed * min(component.tile, numel) / numel
    return ceil(found)


def _bins(segments: Sequence[Segment]) -> int:
    """Bins of all histograms of a sweep."""
    return sum(rows * width for rows, width in (s.bins for s in segments) if width > 1)
