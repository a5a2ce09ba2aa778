"""The tiles of one sweep: read, put through the kernels of its segments, each kernel in turn.

A `Tiles` knows the component, its data and the kernels, and changes nothing but what it is given to
fill: any number of workers use one together, each with a room of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..checkpoints.source_tensors import TensorReader
from ..compiler.kernels.arguments import sum_slots
from ..compiler.planning.plan import CHUNK
from ..compiler.sweeps.components import Component
from ..compiler.sweeps.program import Look, Program, Segment, Sweep, kept_room
from .buffers import Room
from .files import SummedWriter, Writer
from .finite import nonfinite_error
from .function_calls import call_rows
from .held import Held, InMemory, Spilled
from .kept_magnitudes import KeptMagnitudes
from .scalars import Scalars

KernelOf: TypeAlias = Callable[[Program, Segment], Callable[..., None]]
Array: TypeAlias = np.ndarray[Any, Any]


class SegmentState(NamedTuple):
    """One segment of the sweep: its kernel, its scalars, and what the tiles have added.

    sums: a row a tile. bins: a row a look, empty until some are counted. kept: of each look.
    """

    segment: Segment
    kernel: Callable[..., None]
    scalars: Array
    sums: Array
    bins: list[Array]
    kept: list[KeptMagnitudes]


class Data(NamedTuple):
    """A component's data: its inputs, its outputs (each in several places), held values."""

    readers: Sequence[TensorReader]
    writers: Sequence[Sequence[Writer | SummedWriter]]
    held: dict[int, Held]


class Tiles:
    """A component's tiles in one sweep. size: elements of each, of which the last may have fewer.

    parts: what the tiles have added so far, of each segment.
    """

    def __init__(
        self,
        component: Component,
        sweep: Sweep,
        scalars: Scalars,
        data: Data,
        kernel_of: KernelOf,
    ) -> None:
        self.component = component
        self.program = component.template.program
        self.sweep = sweep
        self.scalars = scalars
        self.data = data
        self.size = component.tile
        self.parts = [
            SegmentState(
                segment,
                kernel_of(self.program, segment),
                scalars.vector(segment),
                np.zeros((component.tiles, max(1, sum_slots(segment)))),
                [],
                [KeptMagnitudes(kept_room(component.numel)) for _ in segment.looks],
            )
            for segment in sweep.segments
        ]
        held = [i for part in self.parts for i in (*part.segment.fetches, *part.segment.stores)]
        self.at_once = len(self.parts) == 1 and all(
            isinstance(data.held.get(i), InMemory) for i in held
        )
        """Whether kernels can take all tiles of a room in one call: nothing is between them."""

    def count(self, tile: int) -> int:
        """Elements of a tile."""
        return max(0, min(self.size, self.component.numel - tile * self.size))

    def is_own(self, look: Look) -> bool:
        """Whether the cut that is looked for is this component's, not a whole model's."""
        return look.selection not in self.program.pooled

    def moved(self, first: int, stop: int) -> tuple[int, int]:
        """Bytes that tiles first up to stop have read and written."""
        count = min(stop * self.size, self.component.numel) - first * self.size
        read = sum(self.program.inputs[slot].itemsize for slot in self.sweep.reads)
        written = sum(
            self.program.outputs[output][1].itemsize * len(self.data.writers[output])
            for segment in self.sweep.segments
            for output in segment.writes
        )
        return read * max(0, count), written * max(0, count)

    def read(self, start: int, room: Room) -> None:
        """Fill the room's inputs from an element on."""
        for slot, raw, size in room.raw:
            self.data.readers[slot].read(start * size, raw)

    def write(self, start: int, room: Room) -> None:
        """Write the room's outputs, whose first element is the tensor's `start`-th."""
        for output, data in room.written:
            place = start * self.program.outputs[output][1].itemsize
            for writer in self.data.writers[output]:
                writer.write(place, data, aligned=True)

    def read_behind(self, value: int, start: int, room: Room) -> int:
        """Fill the inputs that a value is computed from, with zeros the others; the bytes read.

        Where the sweep stores values in memory they are stored again: then all inputs are read.
        """
        read = 0
        for slot, raw, size in room.raw:
            if self.sweep.held or self.program.slots_behind[value] >> slot & 1:
                self.data.readers[slot].read(start * size, raw)
                read += len(raw)
            else:
                room.arrays[slot][:] = 0
        return read

    def read_ahead(self, tile: int) -> None:
        """Ask for the next chunk's bytes while this one is computed."""
        start = tile * self.size
        count = min(CHUNK * self.size, self.component.numel - start)
        for slot in self.sweep.reads:
            size = self.program.inputs[slot].itemsize
            self.data.readers[slot].soon(start * size, count * size)

    def compute(
        self,
        first: int,
        at: slice,
        room: Room,
        cuts: Array,
        sums: Sequence[Array],
        bins: Sequence[Array],
    ) -> None:
        """Put the tiles that are at a place in the room through the kernels.

        first: the tensor's index of the room's first element. sums: of each segment a row a tile.
        """
        start, count = first + at.start, at.stop - at.start
        values: dict[int, Array] = {}
        keys = self.scalars.keys
        for number, part in enumerate(self.parts):
            segment, found = part.segment, sums[number]
            for index in segment.fetches:
                if index not in values:
                    values[index] = self._held_tile(index, room, start, count, read=True)
            for index in segment.stores:
                if index not in values:
                    values[index] = self._held_tile(index, room, start, count, read=False)
            part.kernel(
                *[data[at] for data in room.inputs[number]],
                *[values[index] for index in segment.fetches],
                *[data[at] for data in room.outputs[number]],
                *[values[index] for index in segment.stores],
                count,
                start,
                part.scalars,
                keys,
                cuts,
                found,
                bins[number],
                tile=self.size,
            )
            if segment.checks and found[:, -1].any():
                loads = self.component.loads
                checked = [(loads[slot], room.arrays[slot][at]) for slot in segment.checks]
                raise nonfinite_error(checked, start)
            for index in segment.stores:
                if index in self.sweep.held:
                    self.data.held[index].put(start, values[index])
            for index in segment.rows:
                values |= call_rows(
                    self.program, index, values, self.scalars, self.component.columns
                )

    def _held_tile(self, index: int, room: Room, start: int, count: int, read: bool) -> Array:
        """A tile of a held value, or room for one that lives only as long as its tile."""
        held = self.data.held.get(index)
        if isinstance(held, InMemory):
            return held.tile(start, count)
        aside = room.aside(index)[:count]
        if isinstance(held, Spilled) and read:
            held.copy(start, aside)
        return aside
