"""A component at work: its sweeps in order, each tile by tile, by any number of workers.

A job is made by the worker that lets it in, ready to hand out work or done already. It hands out
chunks of tiles of its current sweep; when the last one is done, the worker that finished it turns
sums and histograms into the scalars of the next sweep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..compiler.kernels.arguments import STORAGE
from ..compiler.planning.plan import CHUNK
from ..compiler.planning.strategies import Strategy
from ..compiler.sweeps.components import TILES_AT_ONCE, Component
from ..compiler.sweeps.program import Sweep
from ..grammar.diagnostics import RunError
from ..ops.method_error import MethodError
from .buffers import Buffers
from .checksums import Checksum
from .files import Files, SummedWriter, Writer
from .finite import nonfinite_error
from .function_calls import call_whole
from .held import Held, InMemory, Spilled
from .meters import Meter
from .pools import Pools
from .scalars import Scalars
from .tiles import Data, KernelOf
from .walk import Walk


class Chunk(NamedTuple):
    """Tiles first up to stop of a job's sweep."""

    job: Job
    first: int
    stop: int


class Job:
    """The state of one component. Methods are called by workers; `lock` guards the state.

    sweeps: those of its option that are to be done. writers: for each output number those of its
    targets; none where nothing is written. buffers: of the worker that makes the job.
    """

    def __init__(
        self,
        component: Component,
        option: Strategy,
        sweeps: Sequence[Sweep],
        pools: Pools,
        writers: Sequence[Sequence[Writer]],
        files: Files,
        kernel_of: KernelOf,
        spill_folder: Path,
        meter: Meter,
        buffers: Buffers,
    ) -> None:
        self.meter = meter
        self.component = component
        self.option = option
        self._pools = pools
        self._spill_folder = spill_folder
        self.done = False
        self._program = component.template.program
        self._files = files
        self._kernel_of = kernel_of
        self._lock = threading.Lock()
        self._tile = component.tile
        self._tiles = component.tiles
        self._held: dict[int, Held] = {}
        self._sweeps = iter(sweeps)
        self._walk: Walk | None = None
        self._next = self._left = 0
        self._sums = [Checksum(size) for size in self._blocks()] if writers else []
        self._readers = [files.reader(load) for load in component.loads]
        self._writers: list[list[Writer | SummedWriter]] = [
            [*(SummedWriter(writer, found) for writer in group[:1]), *group[1:]]
            for group, found in zip(writers, self._sums, strict=bool(writers))
        ]
        if component.template.copies:
            self._left = self._tiles
            return
        self._data = Data(self._readers, self._writers, self._held)
        self._scalars = Scalars(self.component, self._pools)
        with self._blamed():
            self._advance(buffers)

    def _blocks(self) -> list[int]:
        """For each output number the bytes that are written at once."""
        if self.component.template.copies:
            return [self._tile * self.component.loads[0].tensor.dtype.itemsize]
        return [self._tile * TILES_AT_ONCE * d.itemsize for _, d in self._program.outputs]

    @property
    def checksums(self) -> list[str]:
        """For each output number the checksum of its tensors' bytes, once the job is done."""
        return [found.text for found in self._sums]

    def take(self) -> Chunk | None:
        """The next chunk of the current sweep, or None while others finish it."""
        with self._lock:
            if self._left == 0 or self._next >= self._tiles:
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
            with self._blamed():
                self._finish_sweep(buffers)
        return True

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Say which tensor a method can't merge."""
        try:
            yield
        except MethodError as error:
            name = self.component.targets[0][0].name
            raise RunError.of("E0609", f"{name} can't be merged: {error}") from None

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
        assert self._walk is not None
        self._walk.chunk(chunk.first, chunk.stop, buffers)
        self._moved(*self._walk.moved(chunk.first, chunk.stop))

    def _moved(self, read: int, written: int) -> None:
        self._files.count(read, written)
        self.meter.has_read(read)

    # From sweep to sweep ------------------------------------------------------------------------

    def _advance(self, buffers: Buffers) -> None:
        """Go on to the next sweep that has something to do."""
        for sweep in self._sweeps:
            self._scalars.prepare()
            if sweep.only_looks and all(s.settled for s in self._scalars.searches(sweep.looks)):
                continue
            for index in sweep.held:
                self._held[index] = self._room(index)
            self._start(sweep, buffers)
            return
        self._walk = None
        self.done = True

    def _start(self, sweep: Sweep, buffers: Buffers) -> None:
        """Let workers take the tiles of a sweep."""
        self._walk = Walk(self.component, sweep, self._scalars, self._data, self._kernel_of)
        self._moved(self._walk.start(buffers), 0)
        with self._lock:
            self._next, self._left = 0, self._tiles

    def _room(self, index: int) -> Held:
        """Where a held value goes."""
        real = np.dtype(self._program.compute.name)
        if index in self.option.spilled:
            return Spilled(self._spill_folder, real)
        return InMemory(np.empty(self.component.numel, dtype=real))

    def _finish_sweep(self, buffers: Buffers) -> None:
        walk = self._walk
        assert walk is not None
        again, read = walk.finish(buffers)
        self._moved(read, 0)
        if again:
            self._start(walk.sweep, buffers)
            return
        for index, pool in self.component.pooled.items():
            for place, look in enumerate(walk.sweep.looks):
                if look.selection == index and walk.parts[0].bins:
                    self._pools.add(pool, walk.parts[0].bins[0][place])
        for index in walk.sweep.wholes:
            arrays = {i: h.array for i, h in self._held.items() if isinstance(h, InMemory)}
            shape = self.component.shape
            found = call_whole(self._program, index, arrays, self._scalars, shape, self._load)
            self._held |= {item: InMemory(array) for item, array in found.items()}
        for index in walk.sweep.frees:
            self._held.pop(index).close()
        self._advance(buffers)

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
