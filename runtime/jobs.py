"""A component at work: its sweeps in order, each tile by tile, by any number of workers.

A job hands out chunks of tiles of its current sweep; when the last one is done, the worker that
finished it turns sums and histograms into the scalars of the next sweep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..compiler.components import Component
from ..compiler.kernels.codec import STORAGE
from ..compiler.kernels.source import sum_slots
from ..compiler.options import Option
from ..compiler.plan import CHUNK
from ..compiler.program import DIGIT_BITS, Program, Segment, Sweep
from ..grammar.diagnostics import RunError
from ..ops.errors import MethodError
from .buffers import Buffers, Room
from .files import Files
from .finite import nonfinite_error
from .functions import call_rows, call_whole
from .held import Held, InMemory, Spilled
from .meters import Meter
from .pools import Pools, pooled
from .scalars import Scalars, rank_slots

KernelOf: TypeAlias = Callable[[Program, Segment], Callable[..., None]]
Array: TypeAlias = np.ndarray[Any, Any]


class Place(NamedTuple):
    """Where an output tensor's bytes go."""

    path: Path
    offset: int


class Chunk(NamedTuple):
    """Tiles first up to stop of a job's sweep."""

    job: Job
    first: int
    stop: int


class _Work(NamedTuple):
    """One segment of the current sweep: its kernel, its scalars, and what the tiles have added.

    sums: a row a tile. bins: a row a look, added to under the job's lock.
    """

    segment: Segment
    kernel: Callable[..., None]
    scalars: Array
    sums: Array
    bins: Array


class Job:
    """The state of one component. Methods are called by workers; `lock` guards the state."""

    def __init__(
        self,
        component: Component,
        option: Option,
        sweeps: Sequence[Sweep],
        pools: Pools,
        places: Sequence[Sequence[Place]],
        files: Files,
        kernel_of: KernelOf,
        spill_folder: Path,
        meter: Meter | None = None,
    ) -> None:
        self.meter = meter or Meter()
        self.component = component
        self.option = option
        self._pools = pools
        self._spill_folder = spill_folder
        self.done = False
        self._program = component.template.program
        self._files = files
        self._readers = [files.reader(load) for load in component.loads]
        self._writers = [[files.writer(*place) for place in group] for group in places]
        self._kernel_of = kernel_of
        self._lock = threading.Lock()
        self._tile = component.tile
        self._tiles = max(1, -(-component.numel // self._tile))
        self._held: dict[int, Held] = {}
        self._work: list[_Work] = []
        self._next = self._left = 0
        if component.template.copies:
            self._left = self._tiles
        else:
            self._scalars = Scalars(component, pools)
            self._sweeps = iter(sweeps)
            self._advance()

    def ask_pools(self) -> None:
        """Tell the pools how many elements this component's selections want kept."""
        for index, pool in pooled(self.component):
            self._pools.want(pool, self._scalars.value(self._program.nodes[index].args[1]))

    def take(self) -> Chunk | None:
        """The next chunk of the current sweep, or None while others finish it."""
        with self._lock:
            if self.done or self._next >= self._tiles:
                return None
            first = self._next
            self._next = min(self._tiles, first + CHUNK)
            return Chunk(self, first, self._next)

    def run(self, chunk: Chunk, buffers: Buffers) -> bool:
        """Do a chunk; True if the job can hand out new work, or is done, because of it."""
        started = time.perf_counter()
        try:
            return self._run(chunk, buffers)
        finally:
            self.meter.worked(time.perf_counter() - started)

    def _run(self, chunk: Chunk, buffers: Buffers) -> bool:
        copies = self.component.template.copies
        if copies:
            self._copy(chunk, buffers)
        else:
            self._compute(chunk, buffers)
        with self._lock:
            self._left -= chunk.stop - chunk.first
            if self._left > 0:
                return False
        if copies:
            self.done = True
        else:
            try:
                self._finish_sweep(buffers)
                self._advance()
            except MethodError as error:
                name = self.component.targets[0][0].name
                raise RunError.of("E0609", f"{name} can't be merged: {error}") from None
        return True

    # One chunk ----------------------------------------------------------------------------------

    def _copy(self, chunk: Chunk, buffers: Buffers) -> None:
        (load,) = self.component.loads
        size = load.tensor.dtype.itemsize
        read = 0
        for tile in range(chunk.first, chunk.stop):
            start = tile * self._tile * size
            count = min(self._tile * size, load.tensor.nbytes - start)
            if count <= 0:
                continue
            data = buffers.bytes(0, count).data
            self._readers[0].read(start, data)
            for writer in self._writers[0]:
                writer.write(start, data, aligned=True)
            read += count
        self._moved(read, read * len(self._writers[0]))

    def _compute(self, chunk: Chunk, buffers: Buffers) -> None:
        self._read_ahead(chunk.stop)
        bins = [
            buffers.bins(number, len(work.segment.looks)) for number, work in enumerate(self._work)
        ]
        room: Room | None = None
        for tile in range(chunk.first, chunk.stop):
            count = self._count(tile)
            if room is None or room.count != count:
                room = Room(buffers, self._program, self._sweep, count)
            sums = [work.sums[tile] for work in self._work]
            self._compute_tile(tile, room, self._scalars.cuts, sums, bins)
        with self._lock:
            for work, counted in zip(self._work, bins, strict=True):
                if work.segment.looks:
                    work.bins[:] += counted
        self._count_moved(chunk)

    def _count(self, tile: int) -> int:
        """Elements of a tile."""
        return max(0, min(self._tile, self.component.numel - tile * self._tile))

    def _compute_tile(
        self,
        tile: int,
        room: Room,
        cuts: Array,
        sums: Sequence[Array],
        bins: Sequence[Array],
    ) -> None:
        start, count = tile * self._tile, room.count
        if count <= 0:
            return
        for slot, raw, size in room.raw:
            self._readers[slot].read(start * size, raw)
        values: dict[int, Array] = {}
        keys = self._scalars.keys
        for number, work in enumerate(self._work):
            segment, found = work.segment, sums[number]
            for index in segment.fetches:
                if index not in values:
                    values[index] = self._held_tile(index, room, start, read=True)
            for index in segment.stores:
                if index not in values:
                    values[index] = self._held_tile(index, room, start, read=False)
            work.kernel(
                *room.inputs[number],
                *[values[index] for index in segment.fetches],
                *room.outputs[number],
                *[values[index] for index in segment.stores],
                count,
                start,
                work.scalars,
                keys,
                cuts,
                found,
                bins[number],
            )
            if segment.checks and found[-1]:
                checked = [(self.component.loads[s], room.arrays[s]) for s in segment.checks]
                raise nonfinite_error(checked, start)
            for output, data in zip(segment.writes, room.written[number], strict=True):
                place = start * self._program.outputs[output][1].itemsize
                for writer in self._writers[output]:
                    writer.write(place, data, aligned=True)
            for index in segment.stores:
                if index in self._sweep.held:
                    self._held[index].put(start, values[index])
            for index in segment.rows:
                values |= call_rows(
                    self._program, index, values, self._scalars, self.component.columns
                )

    def _held_tile(self, index: int, room: Room, start: int, read: bool) -> Array:
        """A tile of a held value, or room for one that lives only as long as its tile."""
        held = self._held.get(index)
        if isinstance(held, InMemory):
            return held.tile(start, room.count)
        aside = room.aside(index)
        if held is not None and read:
            held.fill(start, aside)
        return aside

    def _count_moved(self, chunk: Chunk) -> None:
        """Count what the tiles of a chunk have read and written."""
        count = min(chunk.stop * self._tile, self.component.numel) - chunk.first * self._tile
        program = self._program
        read = sum(program.inputs[slot].itemsize for slot in self._sweep.reads)
        written = sum(
            program.outputs[output][1].itemsize * len(self._writers[output])
            for segment in self._sweep.segments
            for output in segment.writes
        )
        self._moved(read * max(0, count), written * max(0, count))

    def _moved(self, read: int, written: int) -> None:
        self._files.count(read, written)
        self.meter.has_read(read)

    def _read_ahead(self, tile: int) -> None:
        """Ask for the next chunk's bytes while this one is computed."""
        start = tile * self._tile
        count = min(CHUNK * self._tile, self.component.numel - start)
        for slot in self._sweep.reads:
            size = self._program.inputs[slot].itemsize
            self._readers[slot].soon(start * size, count * size)

    # From sweep to sweep ------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go on to the next sweep that has something to do."""
        for sweep in self._sweeps:
            self._scalars.prepare()
            if sweep.only_ranks and not any(map(self._scalars.wanted_rank, sweep.looks)):
                continue
            self._sweep = sweep
            for index in sweep.held:
                self._held[index] = self._room(index)
            self._work = [self._prepared(segment) for segment in sweep.segments]
            with self._lock:
                self._left = self._tiles
                self._next = 0
            return
        self._work = []
        self.done = True

    def _room(self, index: int) -> Held:
        """Where a held value goes."""
        real = np.dtype(self._program.compute.name)
        if index in self.option.spilled:
            return Spilled(self._spill_folder, real)
        return InMemory(np.empty(self.component.numel, dtype=real))

    def _prepared(self, segment: Segment) -> _Work:
        return _Work(
            segment,
            self._kernel_of(self._program, segment),
            self._scalars.vector(segment),
            np.zeros((self._tiles, max(1, sum_slots(segment)))),
            np.zeros((max(1, len(segment.looks)), 1 << DIGIT_BITS), dtype=np.int64),
        )

    def _finish_sweep(self, buffers: Buffers) -> None:
        for work in self._work:
            self._scalars.add_up(work.segment, work.sums)
        self._scalars.prepare()
        for number, work in enumerate(self._work):
            ranks = rank_slots(work.segment)
            for place, look in enumerate(work.segment.looks):
                if look.selection in self._program.pooled:
                    slot = int(self._program.nodes[look.selection].attr[0])
                    self._pools.add(self.component.pools[slot], work.bins[place])
                elif look.ranks:
                    self._rank(number, place, ranks[place], buffers)
                else:
                    self._scalars.look(look, work.bins[place])
        for index in self._sweep.wholes:
            arrays = {i: h.array for i, h in self._held.items() if isinstance(h, InMemory)}
            shape = self.component.shape
            found = call_whole(self._program, index, arrays, self._scalars, shape, self._load)
            self._held |= {item: InMemory(array) for item, array in found.items()}
        for index in self._sweep.frees:
            self._held.pop(index).close()

    def _load(self, slot: int) -> Any:
        """A whole input in float32 as a torch tensor of its own shape."""
        import torch

        load = self.component.loads[slot]
        data = np.empty(load.tensor.nbytes, dtype=np.uint8)
        self._readers[slot].read(0, data.data)
        self._moved(len(data), 0)
        found = torch.from_numpy(data).view(getattr(torch, load.tensor.dtype.name))
        whole = found.reshape(load.tensor.shape).to(torch.float32)
        if self._program.refuses_nonfinite and not bool(whole.isfinite().all()):
            raise nonfinite_error([(load, data.view(STORAGE[load.tensor.dtype.name]))], 0)
        return whole

    def _rank(self, number: int, place: int, slot: int, buffers: Buffers) -> None:
        """Find the last equal that is kept: its tile from the counts, then its place in there."""
        work = self._work[number]
        look = work.segment.looks[place]
        wanted = self._scalars.wanted_rank(look)
        if not wanted:
            return
        upto = np.cumsum(work.sums[:, slot])
        tile = int(np.searchsorted(upto, wanted))
        before = int(upto[tile - 1]) if tile else 0
        sums = [np.zeros(w.sums.shape[1]) for w in self._work]
        cuts = self._scalars.cuts_asking(look, wanted - before)
        bins = [buffers.bins(i, len(w.segment.looks)) for i, w in enumerate(self._work)]
        room = Room(buffers, self._program, self._sweep, self._count(tile))
        self._compute_tile(tile, room, cuts, sums, bins)
        self._moved(sum(len(raw) for _, raw, _ in room.raw), 0)
        self._scalars.settle(look, int(sums[number][slot + 1]))
