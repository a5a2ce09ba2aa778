"""One walk over a component's data: tiles read, put through kernels, written.

Any number of workers walk together, each on chunks of its own. What the kernels add up is kept by
tile, so that it can be put together in the tiles' order, whoever computed them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ..compiler.kernels.arguments import KEEP, KEPT, OFF, look_slots
from ..compiler.sweeps.components import TILES_AT_ONCE, Component
from ..compiler.sweeps.program import Sweep, expected_looks
from .buffers import Buffers, Room
from .cuts import Query
from .ranking import settle_last_equal
from .sampling import look_at_sample
from .scalars import Scalars
from .tiles import Array, Data, KernelOf, SegmentState, Tiles


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
        self._tiles = Tiles(component, sweep, scalars, data, kernel_of)
        self._scalars = scalars
        self._lock = threading.Lock()
        self._queries: list[list[Query]] = []

    @property
    def parts(self) -> Sequence[SegmentState]:
        """What the tiles have added so far, of each segment."""
        return self._tiles.parts

    def start(self, buffers: Buffers) -> int:
        """Settle what is counted, after a look at a sample if that helps; bytes read for it."""
        read = look_at_sample(self._tiles, buffers)
        self._queries = [self._scalars.ask(part.segment.looks) for part in self.parts]
        return read

    def chunk(self, first: int, stop: int, buffers: Buffers) -> None:
        """Tiles first up to stop."""
        tiles, size = self._tiles, self._tiles.size
        tiles.read_ahead(stop)
        bins = self._cleared(buffers)
        # the bins have room for what is kept of one tile
        keeps = any(query.shift == KEEP for queries in self._queries for query in queries)
        room: Room | None = None
        for head in range(first, stop, TILES_AT_ONCE):
            start = head * size
            end = min(stop, head + TILES_AT_ONCE) * size
            count = min(end, tiles.component.numel) - start
            if count <= 0:
                continue
            if room is None or room.count != count:
                room = Room(buffers, tiles.program, self.sweep, count, size)
            tiles.read(start, room)
            step = count if tiles.at_once and not keeps else size
            for offset in range(0, count, step):
                at = slice(offset, min(offset + step, count))
                tile = head + offset // size
                last = tile + -(-(at.stop - at.start) // size)
                sums = [part.sums[tile:last] for part in self.parts]
                tiles.compute(start, at, room, self._scalars.cuts, sums, bins)
                self._keep(tile, sums, bins)
            tiles.write(start, room)
        self._add_bins(bins)

    def moved(self, first: int, stop: int) -> tuple[int, int]:
        """Bytes that tiles first up to stop have read and written."""
        return self._tiles.moved(first, stop)

    def finish(self, buffers: Buffers) -> tuple[bool, int]:
        """All tiles are through: sums become scalars, counts narrow the searches.

        Returns whether the same walk has to be taken again, and the bytes read meanwhile.
        """
        read = 0
        for at, part in enumerate(self.parts):
            self._scalars.add_up(part.segment, part.sums)
            self._scalars.prepare()  # a count of elements to keep may hang on these sums
            totals = part.sums.sum(axis=0)
            for number, place in enumerate(look_slots(part.segment)):
                if self._tiles.is_own(part.segment.looks[number]):
                    read += self._narrow(at, number, place, totals, buffers)
        is_own, last = self._tiles.is_own, expected_looks() - 1
        ends = [look for look in self.sweep.looks if look.number == last and is_own(look)]
        return not all(search.settled for search in self._scalars.searches(ends)), read

    def _narrow(self, at: int, number: int, place: int, totals: Array, buffers: Buffers) -> int:
        """Tell a look's search what the tiles have counted; bytes read to find the last equal.

        at: the segment's place; place: the look's among the sums; totals: these over all tiles.
        """
        part, query = self.parts[at], self._queries[at][number]
        search = self._scalars.searches(part.segment.looks)[number]
        fields = totals[place + 1 : place + 1 + 2 * len(query.guesses)].astype(np.int64)
        counts = [(above, equal) for above, equal in fields.reshape(-1, 2).tolist()]
        bins = part.bins[0][number] if part.bins else ()
        kept = part.kept[number].all() if query.shift == KEEP else None
        search.counted(query, bins, counts, kept, int(totals[place + KEPT]))
        if not search.unranked:
            return 0
        return settle_last_equal(self._tiles, at, number, place, query, buffers)

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
