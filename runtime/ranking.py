"""A cut, and counts of each tile's equals -> the index of the last equal that is kept.

A selection by rank keeps so many of the elements that equal its cut, the first ones: the tiles'
counts tell in which tile the last of them lies, and the kernel, run on that tile again, where.
"""

from __future__ import annotations

import numpy as np

from ..compiler.kernels.arguments import COUNT, GUESS, OFF, SHIFT, WANTED
from .buffers import Buffers, Room
from .cuts import Query
from .tiles import Array, SegmentState, Tiles


def settle_last_equal(
    tiles: Tiles, at: int, number: int, place: int, query: Query, buffers: Buffers
) -> int:
    """Settle the search of a segment's look, whose cut a walk has just found; the bytes read.

    at: the segment's place in the sweep; number: the look's in the segment; place: where the look's
    results begin among the sums; query: what the walk has counted for it.
    """
    part = tiles.parts[at]
    look = part.segment.looks[number]
    search = tiles.scalars.searches(part.segment.looks)[number]
    assert search.unranked is not None and search.cut is not None
    # the tile, and how many equals are kept in those before it
    upto = np.cumsum(_equals(part, number, place, search.cut, query))
    tile = int(np.searchsorted(upto, search.unranked))
    before = int(upto[tile - 1]) if tile else 0
    # the kernel looks for one equal of that tile, and counts nothing
    cuts = tiles.scalars.cuts.copy()
    cuts[:, [SHIFT, COUNT, WANTED]] = OFF, 0, 0
    row = cuts[tiles.scalars.row(look)]
    row[WANTED], row[GUESS] = search.unranked - before, search.cut
    room = Room(buffers, tiles.program, tiles.sweep, tiles.count(tile))
    sums = [np.zeros((1, p.sums.shape[1])) for p in tiles.parts]
    bins = [buffers.bins(i, p.segment.bins, False) for i, p in enumerate(tiles.parts)]
    value = tiles.program.nodes[look.selection].args[0]
    read = tiles.read_behind(value, tile * tiles.size, room)
    tiles.compute(tile * tiles.size, slice(0, room.count), room, cuts, sums, bins)
    search.settle(int(sums[at][0, place]))
    return read


def _equals(part: SegmentState, number: int, place: int, cut: int, query: Query) -> Array:
    """How many magnitudes of each tile are equal to the cut that a walk has found."""
    if cut in query.guesses:
        return part.sums[:, place + 2 + 2 * query.guesses.index(cut)]
    return part.kept[number].equal(cut - query.low, len(part.sums))
