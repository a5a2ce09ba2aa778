"""Stripes of a component's data -> what the first walk counts: each search's view of a sample.

What is found there only decides what is asked of all of the data, never the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..compiler.sweeps.components import TILES_AT_ONCE
from ..compiler.sweeps.program import Segment, sample_size
from .buffers import Buffers, Room
from .cuts import Sample
from .tiles import Array, SegmentState, Tiles

STRIPES = 128
"""A sample is so many stripes, spread evenly."""

SAMPLE_ROUNDS = 3  # each divides the range of a sample that is looked at by the number of bins


def look_at_sample(tiles: Tiles, buffers: Buffers) -> int:
    """Let the searches that know nothing yet look at stripes of the data; the bytes read."""
    blank = _blank_looks(tiles)
    if not blank:
        return 0
    (part,) = tiles.parts
    numel = tiles.component.numel
    width = _stripe_width(part.segment, numel, tiles.size)
    if not width:
        return 0
    room = Room(buffers, tiles.program, tiles.sweep, width * STRIPES)
    starts = [number * (numel - width) // (STRIPES - 1) for number in range(STRIPES)]
    arguments = _filled(tiles, room, part.segment, starts, width)
    searches = tiles.scalars.searches(part.segment.looks)
    samples = {number: searches[number].sample(room.count) for number in blank}
    _narrow(tiles, part, room.count, arguments, samples, buffers)
    for number, sample in samples.items():
        searches[number].ask(sample)
    return room.input_bytes


def _blank_looks(tiles: Tiles) -> list[int]:
    """The looks that a sample helps, by their number; a sample is taken for a lone kernel only."""
    if len(tiles.parts) != 1 or tiles.sweep.segments[0].rows:
        return []
    looks = tiles.parts[0].segment.looks
    searches = tiles.scalars.searches(looks)
    return [i for i, look in enumerate(looks) if tiles.is_own(look) and searches[i].is_blank]


def _stripe_width(segment: Segment, numel: int, tile: int) -> int:
    """Elements of a stripe; none where the data is too small to be sampled."""
    aside = segment.fetches or segment.stores  # of which there is room for a tile
    return sample_size(numel, tile if aside else TILES_AT_ONCE * tile) // STRIPES


def _filled(
    tiles: Tiles, room: Room, segment: Segment, starts: Sequence[int], width: int
) -> list[Array]:
    """A kernel's buffers, filled with stripes of the data."""
    readers, held_values = tiles.data.readers, tiles.data.held
    for slot, _, size in room.raw:
        for start in starts:
            readers[slot].soon(start * size, width * size)
    for slot, raw, size in room.raw:
        for place, start in enumerate(starts):
            stripe = raw[place * width * size : (place + 1) * width * size]
            readers[slot].read(start * size, stripe)
    for index in segment.fetches:
        held, aside = held_values[index], room.aside(index)
        for place, start in enumerate(starts):
            held.copy(start, aside[place * width : (place + 1) * width])
    fetched = [room.aside(index) for index in segment.fetches]
    stored = [room.aside(index) for index in segment.stores]
    return [*room.inputs[0], *fetched, *room.outputs[0], *stored]


def _narrow(
    tiles: Tiles,
    part: SegmentState,
    count: int,
    arguments: Sequence[Array],
    samples: dict[int, Sample],
    buffers: Buffers,
) -> None:
    """Count the sample's `count` elements again and again, in bins of ever narrower ranges."""
    looks, scalars = part.segment.looks, tiles.scalars
    searches = scalars.searches(looks)
    sums = np.zeros(part.sums.shape[1])
    cuts = scalars.cuts.copy()
    for _ in range(SAMPLE_ROUNDS):
        queries = {number: sample.query() for number, sample in samples.items()}
        for number, query in queries.items():
            searches[number].fill(cuts[scalars.row(looks[number])], query)
        bins = buffers.bins(0, part.segment.bins, True)
        part.kernel(*arguments, count, 0, part.scalars, scalars.keys, cuts, sums, bins)
        for number, query in queries.items():
            samples[number].counted(query, bins[number])
