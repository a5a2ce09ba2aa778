"""A component at work: its sweeps in order, each tile by tile, by any number of workers.

A job hands out chunks of tiles of its current sweep; when the last one is done, the worker that
finished it turns sums and histograms into the scalars of the next sweep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..compiler.components import Component
from ..compiler.kernels.source import sum_slots
from ..compiler.plan import CHUNK, TILE
from ..compiler.program import DIGIT_BITS, Program, Sweep
from .buffers import Buffers
from .files import Files
from .scalars import Scalars, rank_slots

KernelOf: TypeAlias = Callable[[Program, Sweep], Callable[..., None]]


class Place(NamedTuple):
    """Where an output tensor's bytes go."""

    path: Path
    offset: int


class Chunk(NamedTuple):
    """Tiles first up to stop of a job's sweep."""

    job: Job
    first: int
    stop: int


class Job:
    """The state of one component. Methods are called by workers; `lock` guards the state."""

    def __init__(
        self,
        component: Component,
        places: Sequence[Sequence[Place]],
        files: Files,
        kernel_of: KernelOf,
    ) -> None:
        self.component = component
        self._places = places
        self._files = files
        self._kernel_of = kernel_of
        self._lock = threading.Lock()
        self._tiles = max(1, -(-component.numel // TILE))
        self._held: dict[int, np.ndarray[Any, Any]] = {}
        self._number = -1
        self._next = 0
        self._left = 0
        self.done = False
        if component.template.copies:
            self._sweeps: tuple[Sweep, ...] = ()
            self._next, self._left = 0, self._tiles
        else:
            program = component.template.program
            self._sweeps = component.template.sweeps
            self._scalars = Scalars(program, component.params, component.keys, component.numel)
            self._advance(Buffers())

    def take(self) -> Chunk | None:
        """The next chunk of the current sweep, or None while others finish it."""
        with self._lock:
            if self.done or self._next >= self._tiles:
                return None
            first = self._next
            self._next = min(self._tiles, first + CHUNK)
            return Chunk(self, first, self._next)

    def run(self, chunk: Chunk, buffers: Buffers) -> bool:
        """Do a chunk; True if the job can hand out new work or is done because of it."""
        if self.component.template.copies:
            self._copy(chunk, buffers)
        else:
            self._sweep(chunk, buffers)
        with self._lock:
            self._left -= chunk.stop - chunk.first
            if self._left > 0:
                return False
        if self.component.template.copies:
            self.done = True
        else:
            self._finish_sweep(buffers)
            self._advance(buffers)
        return True

    # One chunk ----------------------------------------------------------------------------------

    def _copy(self, chunk: Chunk, buffers: Buffers) -> None:
        (load,) = self.component.loads
        size = load.tensor.dtype.itemsize
        for tile in range(chunk.first, chunk.stop):
            start = tile * TILE * size
            count = min(TILE * size, load.tensor.nbytes - start)
            if count <= 0:
                continue
            data = buffers.bytes(0, count)
            self._files.read(load, start, data.data)
            for target in self._places[0]:
                self._files.write(target.path, target.offset + start, data)

    def _sweep(self, chunk: Chunk, buffers: Buffers) -> None:
        sweep = self._current
        self._read_ahead(sweep, chunk.stop)
        bins = buffers.bins(len(sweep.looks))
        for tile in range(chunk.first, chunk.stop):
            sums = self._sums[tile]
            self._tile(sweep, tile, buffers, self._scalars.cuts, sums, bins)
        if sweep.looks:
            with self._lock:
                self._bins += bins

    def _tile(
        self,
        sweep: Sweep,
        tile: int,
        buffers: Buffers,
        cuts: np.ndarray[Any, Any],
        sums: np.ndarray[Any, Any],
        bins: np.ndarray[Any, Any],
    ) -> None:
        program = self.component.template.program
        start = tile * TILE
        count = min(TILE, self.component.numel - start)
        arguments: list[np.ndarray[Any, Any]] = []
        for slot in sweep.reads:
            dtype = program.inputs[slot]
            data = buffers.bytes(len(arguments), count * dtype.itemsize)
            self._files.read(self.component.loads[slot], start * dtype.itemsize, data.data)
            arguments.append(data.view(buffers.storage(dtype)))
        arguments += [self._held[index][start : start + count] for index in sweep.fetches]
        outputs = []
        for number in sweep.writes:
            dtype = program.outputs[number][1]
            data = buffers.bytes(len(arguments), count * dtype.itemsize)
            outputs.append((number, start * dtype.itemsize, data))
            arguments.append(data.view(buffers.storage(dtype)))
        arguments += [self._held[index][start : start + count] for index in sweep.stores]
        self._kernel(*arguments, count, start, self._vector, self._scalars.keys, cuts, sums, bins)
        for number, offset, data in outputs:
            for target in self._places[number]:
                self._files.write(target.path, target.offset + offset, data)

    def _read_ahead(self, sweep: Sweep, tile: int) -> None:
        """Ask for the next chunk's bytes while this one is computed."""
        start = tile * TILE
        count = min(CHUNK * TILE, self.component.numel - start)
        for slot in sweep.reads:
            load = self.component.loads[slot]
            size = load.tensor.dtype.itemsize
            self._files.read_soon(load, start * size, count * size)

    # From sweep to sweep ------------------------------------------------------------------------

    def _advance(self, buffers: Buffers) -> None:
        """Go on to the next sweep that has something to do."""
        while True:
            number = self._number + 1
            if number == len(self._sweeps):
                self._held.clear()
                self.done = True
                return
            sweep = self._sweeps[number]
            self._number, self._current = number, sweep
            self._scalars.prepare(sweep.level)
            if sweep.only_ranks and not any(map(self._scalars.wanted_rank, sweep.looks)):
                continue
            break
        program = self.component.template.program
        self._kernel = self._kernel_of(program, sweep)
        self._vector = self._scalars.vector(sweep)
        self._sums = np.zeros((self._tiles, max(1, sum_slots(sweep))))
        self._bins = np.zeros((max(1, len(sweep.looks)), 1 << DIGIT_BITS), dtype=np.int64)
        real = np.float64 if program.compute.itemsize == 8 else np.float32
        for index in sweep.stores:
            self._held[index] = np.empty(self.component.numel, dtype=real)
        with self._lock:
            self._left = self._tiles
            self._next = 0

    def _finish_sweep(self, buffers: Buffers) -> None:
        sweep = self._current
        self._scalars.add_up(sweep, self._sums)
        ranks = rank_slots(sweep)
        for number, look in enumerate(sweep.looks):
            if look.ranks:
                self._rank(sweep, number, ranks[number], buffers)
            else:
                self._scalars.look(look, self._bins[number])

    def _rank(self, sweep: Sweep, number: int, slot: int, buffers: Buffers) -> None:
        """Find the last equal that is kept: its tile from the counts, then its place in there."""
        look = sweep.looks[number]
        wanted = self._scalars.wanted_rank(look)
        if not wanted:
            return
        upto = np.cumsum(self._sums[:, slot])
        tile = int(np.searchsorted(upto, wanted))
        before = int(upto[tile - 1]) if tile else 0
        sums = np.zeros(self._sums.shape[1])
        cuts = self._scalars.cuts_asking(look, wanted - before)
        bins = buffers.bins(len(sweep.looks))
        self._tile(sweep, tile, buffers, cuts, sums, bins)
        self._scalars.settle(look, int(sums[slot + 1]))
