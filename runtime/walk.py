"""One walk over a component's data: tiles read, put through kernels, written.

Any number of workers walk together, each on chunks of its own. What the kernels add up is kept by
tile, so that it can be put together in the tiles' order, whoever computed them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..checkpoints.source_tensors import TensorReader
from ..compiler.kernels.arguments import (
    COUNT,
    GUESS,
    KEEP,
    KEPT,
    OFF,
    SHIFT,
    WANTED,
    look_slots,
    sum_slots,
)
from ..compiler.planning.plan import CHUNK
from ..compiler.sweeps.components import TILES_AT_ONCE, Component
from ..compiler.sweeps.program import (
    Look,
    Program,
    Segment,
    Sweep,
    expected_looks,
    kept_room,
    sample_size,
)
from .buffers import Buffers, Room
from .cuts import Query, Search
from .files import SummedWriter, Writer
from .finite import nonfinite_error
from .function_calls import call_rows
from .held import Held, InMemory, Spilled
from .kept_magnitudes import KeptMagnitudes
from .scalars import Scalars

KernelOf: TypeAlias = Callable[[Program, Segment], Callable[..., None]]
Array: TypeAlias = np.ndarray[Any, Any]

STRIPES = 128
"""A sample is so many stripes, spread evenly."""

SAMPLE_ROUNDS = 3  # each divides the range of a sample that is looked at by the number of bins


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


class Walk:
    """A sweep under way. `chunk` may be called by several workers at once."""

    def __init__(
        self,
        component: Component,
        sweep: Sweep,
        scalars: Scalars,
        data: Data,
        kernel_of: KernelOf,
    ) -> None:
        self.sweep = sweep
        self._component = component
        self._program = component.template.program
        self._scalars = scalars
        self._data = data
        self._tile = component.tile
        self._lock = threading.Lock()
        self.parts = [
            SegmentState(
                segment,
                kernel_of(self._program, segment),
                scalars.vector(segment),
                np.zeros((component.tiles, max(1, sum_slots(segment)))),
                [],
                [KeptMagnitudes(kept_room(component.numel)) for _ in segment.looks],
            )
            for segment in sweep.segments
        ]
        self._queries: list[list[Query]] = []
        held = [i for part in self.parts for i in (*part.segment.fetches, *part.segment.stores)]
        self._at_once = len(self.parts) == 1 and all(
            isinstance(data.held.get(i), InMemory) for i in held
        )
        """Whether kernels can take all tiles of a room in one call: nothing is between them."""

    def start(self, buffers: Buffers) -> int:
        """Settle what is counted, after a look at a sample if that helps; bytes read for it."""
        read = self._sample(buffers)
        self._queries = [self._scalars.ask(part.segment.looks) for part in self.parts]
        return read

    def chunk(self, first: int, stop: int, buffers: Buffers) -> None:
        """Tiles first up to stop."""
        self._read_ahead(stop)
        bins = self._cleared(buffers)
        # the bins have room for what is kept of one tile
        keeps = any(query.shift == KEEP for queries in self._queries for query in queries)
        room: Room | None = None
        for head in range(first, stop, TILES_AT_ONCE):
            tiles = range(head, min(stop, head + TILES_AT_ONCE))
            start = head * self._tile
            count = min(len(tiles) * self._tile, self._component.numel - start)
            if count <= 0:
                continue
            if room is None or room.count != count:
                room = Room(buffers, self._program, self.sweep, count, self._tile)
            self._read(start, room)
            step = count if self._at_once and not keeps else self._tile
            for offset in range(0, count, step):
                at = slice(offset, min(offset + step, count))
                tile = head + offset // self._tile
                last = tile + -(-(at.stop - at.start) // self._tile)
                sums = [part.sums[tile:last] for part in self.parts]
                self._compute(start, at, room, self._scalars.cuts, sums, bins)
                self._keep(tile, sums, bins)
            for output, data in room.written:
                place = start * self._program.outputs[output][1].itemsize
                for writer in self._data.writers[output]:
                    writer.write(place, data, aligned=True)
        self._add_bins(bins)

    def moved(self, first: int, stop: int) -> tuple[int, int]:
        """Bytes that tiles first up to stop have read and written."""
        count = min(stop * self._tile, self._component.numel) - first * self._tile
        read = sum(self._program.inputs[slot].itemsize for slot in self.sweep.reads)
        written = sum(
            self._program.outputs[output][1].itemsize * len(self._data.writers[output])
            for segment in self.sweep.segments
            for output in segment.writes
        )
        return read * max(0, count), written * max(0, count)

    def finish(self, buffers: Buffers) -> tuple[bool, int]:
        """All tiles are through: sums become scalars, counts narrow the searches.

        Returns whether the same walk has to be taken again, and the bytes read meanwhile.
        """
        read = 0
        for at, (part, queries) in enumerate(zip(self.parts, self._queries, strict=True)):
            self._scalars.add_up(part.segment, part.sums)
            self._scalars.prepare()  # a count of elements to keep may hang on these sums
            totals = part.sums.sum(axis=0)
            searches = self._scalars.searches(part.segment.looks)
            for number, place in enumerate(look_slots(part.segment)):
                search, query = searches[number], queries[number]
                if not self._is_own(part.segment.looks[number]):
                    continue
                fields = totals[place + 1 : place + 1 + 2 * len(query.guesses)].astype(np.int64)
                bins = part.bins[0][number] if part.bins else ()
                counts = fields.reshape(-1, 2).tolist()
                kept = part.kept[number].all() if query.shift == KEEP else None
                search.counted(query, bins, counts, kept, int(totals[place + KEPT]))
                if search.unranked:
                    equals = self._equals(part, number, place, search.cut, query)
                    read += self._rank(at, number, place, search, equals, buffers)
        last = expected_looks() - 1
        ends = [look for look in self.sweep.looks if look.number == last and self._is_own(look)]
        return not all(search.settled for search in self._scalars.searches(ends)), read

    # Tiles --------------------------------------------------------------------------------------

    def _count(self, tile: int) -> int:
        """Elements of a tile."""
        return max(0, min(self._tile, self._component.numel - tile * self._tile))

    def _read(self, start: int, room: Room) -> None:
        """Fill the room's inputs from an element on."""
        for slot, raw, size in room.raw:
            self._data.readers[slot].read(start * size, raw)

    def _compute(
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
        keys = self._scalars.keys
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
                tile=self._tile,
            )
            if segment.checks and found[:, -1].any():
                loads = self._component.loads
                checked = [(loads[slot], room.arrays[slot][at]) for slot in segment.checks]
                raise nonfinite_error(checked, start)
            for index in segment.stores:
                if index in self.sweep.held:
                    self._data.held[index].put(start, values[index])
            for index in segment.rows:
                values |= call_rows(
                    self._program, index, values, self._scalars, self._component.columns
                )

    def _held_tile(self, index: int, room: Room, start: int, count: int, read: bool) -> Array:
        """A tile of a held value, or room for one that lives only as long as its tile."""
        held = self._data.held.get(index)
        if isinstance(held, InMemory):
            return held.tile(start, count)
        aside = room.aside(index)[:count]
        if isinstance(held, Spilled) and read:
            held.copy(start, aside)
        return aside

    def _read_ahead(self, tile: int) -> None:
        """Ask for the next chunk's bytes while this one is computed."""
        start = tile * self._tile
        count = min(CHUNK * self._tile, self._component.numel - start)
        for slot in self.sweep.reads:
            size = self._program.inputs[slot].itemsize
            self._data.readers[slot].soon(start * size, count * size)

    # Selections ---------------------------------------------------------------------------------

    def _is_own(self, look: Look) -> bool:
        """Whether the cut that is looked for is this component's, not a whole model's."""
        return look.selection not in self._program.pooled

    def _sample(self, buffers: Buffers) -> int:
        """Let the searches that know nothing yet look at stripes of the data; the bytes read.

        What is found there only decides what is asked of all of the data, never the result.
        """
        numel = self._component.numel
        if len(self.parts) != 1 or self.sweep.segments[0].rows:
            return 0
        (part,) = self.parts
        searches = self._scalars.searches(part.segment.looks)
        looks = enumerate(part.segment.looks)
        blank = [i for i, look in looks if self._is_own(look) and searches[i].is_blank]
        if not blank:
            return 0
        aside = part.segment.fetches or part.segment.stores  # of which there is room for a tile
        most = self._tile if aside else TILES_AT_ONCE * self._tile
        width = sample_size(numel, most) // STRIPES
        if not width:
            return 0
        room = Room(buffers, self._program, self.sweep, width * STRIPES)
        starts = [number * (numel - width) // (STRIPES - 1) for number in range(STRIPES)]
        arguments = self._sampled(room, part.segment, starts, width)
        sums = np.zeros(part.sums.shape[1])
        cuts = self._scalars.cuts.copy()
        samples = {number: searches[number].sample(room.count) for number in blank}
        for _ in range(SAMPLE_ROUNDS):
            queries = {number: sample.query() for number, sample in samples.items()}
            for number, query in queries.items():
                row = self._scalars.row(part.segment.looks[number])
                searches[number].fill(cuts[row], query)
            bins = buffers.bins(0, part.segment.bins, True)
            part.kernel(
                *arguments, room.count, 0, part.scalars, self._scalars.keys, cuts, sums, bins
            )
            for number, query in queries.items():
                samples[number].counted(query, bins[number])
        for number, sample in samples.items():
            searches[number].ask(sample)
        return room.input_bytes

    def _sampled(
        self, room: Room, segment: Segment, starts: Sequence[int], width: int
    ) -> list[Array]:
        """A kernel's buffers, filled with stripes of the data."""
        for slot, _, size in room.raw:
            for start in starts:
                self._data.readers[slot].soon(start * size, width * size)
        for slot, raw, size in room.raw:
            for place, start in enumerate(starts):
                stripe = raw[place * width * size : (place + 1) * width * size]
                self._data.readers[slot].read(start * size, stripe)
        for index in segment.fetches:
            held, aside = self._data.held[index], room.aside(index)
            for place, start in enumerate(starts):
                held.copy(start, aside[place * width : (place + 1) * width])
        fetched = [room.aside(index) for index in segment.fetches]
        stored = [room.aside(index) for index in segment.stores]
        return [*room.inputs[0], *fetched, *room.outputs[0], *stored]

    def _cleared(self, buffers: Buffers) -> list[Array]:
        """A worker's own histograms of each part, cleared if something is counted in them."""
        return [
            buffers.bins(number, part.segment.bins, any(q.shift < OFF for q in queries))
            for number, (part, queries) in enumerate(zip(self.parts, self._queries, strict=True))
        ]

    def _add_bins(self, bins: Sequence[Array]) -> None:
        for part, queries, counted in zip(self.parts, self._queries, bins, strict=True):
            for number, query in enumerate(queries):
                if query.shift < OFF:
                    with self._lock:
                        if not part.bins:
                            part.bins.append(np.zeros(counted.shape, dtype=np.int64))
                        part.bins[0][number] += counted[number]

    def _keep(self, tile: int, sums: Sequence[Array], bins: Sequence[Array]) -> None:
        """Put aside what the kernels have kept of a tile."""
        for part, queries, found, kept in zip(self.parts, self._queries, sums, bins, strict=True):
            for number, place in enumerate(look_slots(part.segment)):
                if queries[number].shift == KEEP:
                    with self._lock:
                        part.kept[number].add(tile, int(found[0, place + KEPT]), kept[number])

    def _equals(
        self, part: SegmentState, number: int, place: int, cut: int | None, query: Query
    ) -> Array:
        """How many magnitudes of each tile are equal to the cut that a walk has found."""
        if cut in query.guesses:
            return part.sums[:, place + 2 + 2 * query.guesses.index(cut)]
        assert cut is not None
        return part.kept[number].equal(cut - query.low, len(part.sums))

    def _rank(
        self, at: int, number: int, place: int, search: Search, equals: Array, buffers: Buffers
    ) -> int:
        """Find the last equal that is kept: its tile from the tiles' counts, its place in there.

        Returns the bytes read.
        """
        assert search.unranked is not None and search.cut is not None
        part = self.parts[at]
        wanted = search.unranked
        upto = np.cumsum(equals)
        tile = int(np.searchsorted(upto, wanted))
        before = int(upto[tile - 1]) if tile else 0
        cuts = self._scalars.cuts.copy()
        cuts[:, [SHIFT, COUNT, WANTED]] = OFF, 0, 0
        row = cuts[self._scalars.row(part.segment.looks[number])]
        row[WANTED], row[GUESS] = wanted - before, search.cut
        room = Room(buffers, self._program, self.sweep, self._count(tile))
        sums = [np.zeros((1, p.sums.shape[1])) for p in self.parts]
        bins = [buffers.bins(i, p.segment.bins, False) for i, p in enumerate(self.parts)]
        value = self._program.nodes[part.segment.looks[number].selection].args[0]
        read = self._read_behind(value, tile * self._tile, room)
        self._compute(tile * self._tile, slice(0, room.count), room, cuts, sums, bins)
        search.settle(int(sums[at][0, place]))
        return read

    def _read_behind(self, value: int, start: int, room: Room) -> int:
        """Fill the inputs that a value is computed from, with zeros the others; the bytes read.

        Where the sweep stores values in memory they are stored again: then all inputs are read.
        """
        read = 0
        for slot, raw, size in room.raw:
            if self.sweep.held or self._program.slots_behind[value] >> slot & 1:
                self._data.readers[slot].read(start * size, raw)
                read += len(raw)
            else:
                room.arrays[slot][:] = 0
        return read
