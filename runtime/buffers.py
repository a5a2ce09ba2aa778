"""A worker's own memory: one buffer a purpose, grown to the largest tile and used again."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..compiler.kernels.arguments import STORAGE
from ..compiler.sweeps.program import Program, Sweep
from .files import ALIGNMENT

Array: TypeAlias = np.ndarray[Any, Any]
_STORAGE = {name: np.dtype(storage) for name, storage in STORAGE.items()}


class Buffers:
    """Buffers of one worker. Their content holds until the same purpose is asked for again."""

    def __init__(self) -> None:
        self._bytes: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._bins: dict[int, Array] = {}

    def bytes(self, position: int, count: int) -> Array:
        """`count` bytes, aligned to a page."""
        while len(self._bytes) <= position:
            self._bytes.append(np.empty(0, dtype=np.uint8))
        if len(self._bytes[position]) < count:
            room = np.empty(count + ALIGNMENT, dtype=np.uint8)
            self._bytes[position] = room[-room.ctypes.data % ALIGNMENT :]
        return self._bytes[position][:count]

    def bins(self, segment: int, shape: tuple[int, int], cleared: bool) -> Array:
        """A segment's histograms, one row a look; all zero if they are to be cleared."""
        found = self._bins.get(segment)
        if found is None or found.shape != shape:
            found = self._bins[segment] = np.empty(shape, dtype=np.uint32)
        if cleared:
            found[:] = 0
        return found


class Room:
    """A worker's buffers for some tiles in one sweep, used again for every so many.

    count: elements that are read and written at once; tile: those that kernels take at once.
    arrays: the bits of each input. raw: (slot, its bytes, its item size) of each. inputs, outputs:
    for each segment the buffers that its kernel takes, in its order; written: (output, its bytes)
    of each.
    """

    def __init__(
        self, buffers: Buffers, program: Program, sweep: Sweep, count: int, tile: int | None = None
    ) -> None:
        self.count = count
        self.tile = min(count, tile or count)
        self._buffers = buffers
        self._program = program
        self._position = 0
        self._aside: dict[int, Array] = {}
        self.arrays = {slot: self._take(program.inputs[slot].name) for slot in sweep.reads}
        self.raw = [
            (slot, array.view(np.uint8).data, program.inputs[slot].itemsize)
            for slot, array in self.arrays.items()
        ]
        self.inputs = [[self.arrays[slot] for slot in s.reads] for s in sweep.segments]
        self.outputs = [
            [self._take(program.outputs[number][1].name) for number in s.writes]
            for s in sweep.segments
        ]
        self.written = [
            (number, data.view(np.uint8).data)
            for segment, group in zip(sweep.segments, self.outputs, strict=True)
            for number, data in zip(segment.writes, group, strict=True)
        ]

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return sum(len(raw) for _, raw, _ in self.raw)

    def aside(self, index: int) -> Array:
        """Room for a value in the compute dtype that lives as long as its tile."""
        if index not in self._aside:
            self._aside[index] = self._take(self._program.compute.name, self.tile)
        return self._aside[index]

    def _take(self, dtype: str, count: int | None = None) -> Array:
        storage = _STORAGE[dtype]
        wanted = self.count if count is None else count
        data = self._buffers.bytes(self._position, wanted * storage.itemsize)
        self._position += 1
        return data.view(storage)
