"""A worker's own memory: one buffer a purpose, grown to the largest tile and used again."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..compiler.kernels.codec import STORAGE
from ..compiler.program import DIGIT_BITS, Program

Array: TypeAlias = np.ndarray[Any, Any]
_STORAGE = {name: np.dtype(storage) for name, storage in STORAGE.items()}


class Buffers:
    """Buffers of one worker. Their content holds until the same purpose is asked for again."""

    def __init__(self) -> None:
        self._bytes: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._bins: dict[int, Array] = {}

    def bytes(self, position: int, count: int) -> Array:
        """`count` bytes, aligned for any element type."""
        while len(self._bytes) <= position:
            self._bytes.append(np.empty(0, dtype=np.uint8))
        if len(self._bytes[position]) < count:
            self._bytes[position] = np.empty(count, dtype=np.uint8)
        return self._bytes[position][:count]

    def bins(self, segment: int, looks: int) -> Array:
        """A segment's cleared histograms, one row a look (and at least one row)."""
        found = self._bins.get(segment)
        if found is None or len(found) < looks:
            rows = (max(1, looks), 1 << DIGIT_BITS)
            found = self._bins[segment] = np.empty(rows, dtype=np.uint32)
        found = found[: max(1, looks)]
        if looks:
            found[:] = 0
        return found

    def tile(self, program: Program, count: int) -> Tile:
        """The buffers of one tile of `count` elements."""
        return Tile(self, program, count)


class Tile:
    """Gives each input, output and value of a tile its place in a worker's buffers."""

    def __init__(self, buffers: Buffers, program: Program, count: int) -> None:
        self._buffers = buffers
        self._program = program
        self._count = count
        self._position = 0

    def input(self, slot: int) -> Array:
        """Room for the bits of an input."""
        return self._take(_STORAGE[self._program.inputs[slot].name])

    def output(self, number: int) -> Array:
        """Room for the bits of an output."""
        return self._take(_STORAGE[self._program.outputs[number][1].name])

    def value(self, index: int) -> Array:
        """Room for a value in the compute dtype."""
        return self._take(np.dtype(self._program.compute.name))

    @staticmethod
    def raw(array: Array) -> memoryview:
        """The bytes of an array of this tile."""
        return array.view(np.uint8).data

    def _take(self, dtype: np.dtype[Any]) -> Array:
        data = self._buffers.bytes(self._position, self._count * dtype.itemsize)
        self._position += 1
        return data.view(dtype)
