"""Boxes and the edges between them -> where to draw them: layers, and a box's place in its own.

    a ──┐          layer 0    a, b: what nothing comes into stands just before its first user
        c ── d     layer 1    c
    b ──┴─── e     layer 2    d, and e, which b reaches by a lane through layer 1

A box stands behind all that it comes from. Edges out of one box share the lanes that they take
through the layers between. A layer is ordered by the mean place of neighbours, then each box is
set as near to its own as their sizes allow, which is a regression that keeps the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP = 12.0
"""Pixels between boxes of one layer."""

_PASSES = 8


@dataclass(frozen=True)
class Placement:
    """layer, centre: each box's layer, and where in it the box's middle is, in pixels.

    lanes: for each box where its lane is in the layers after its own. extent: of the longest layer.
    """

    layer: tuple[int, ...]
    centre: tuple[float, ...]
    lanes: tuple[tuple[float, ...], ...]
    extent: float


def place(sizes: Sequence[float], edges: Iterable[tuple[int, int]]) -> Placement:
    """Place boxes of these sizes. Every edge (from, to) goes to a box of a higher number."""
    pairs = list(dict.fromkeys(edges))
    layer = _layers(len(sizes), pairs)
    slots, rows, links = _with_lanes(sizes, layer, pairs)
    before = _neighbours(len(slots), ((b, a) for a, b in links))
    after = _neighbours(len(slots), links)
    for number in range(_PASSES):
        _order(rows, before if number % 2 == 0 else after, reverse=number % 2 == 1)
    centre = _settle(rows, slots, before, after)
    top = min((c - h / 2 for c, h in zip(centre, slots, strict=True)), default=0.0)
    centre = [c - top for c in centre]
    lanes: list[list[float]] = [[] for _ in sizes]
    for slot, owner in enumerate(_owners(layer, pairs)):
        lanes[owner].append(centre[len(sizes) + slot])
    return Placement(
        tuple(layer),
        tuple(centre[: len(sizes)]),
        tuple(map(tuple, lanes)),
        max((c + h / 2 for c, h in zip(centre, slots, strict=True)), default=0.0),
    )


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way to each box; what has no way to it moves up to its first user."""
    layer = [0] * count
    users: list[list[int]] = [[] for _ in range(count)]
    entered = {target for _, target in edges}
    for source, target in sorted(edges):
        layer[target] = max(layer[target], layer[source] + 1)
        users[source].append(target)
    for box in range(count):
        if box not in entered and users[box]:
            layer[box] = min(layer[user] for user in users[box]) - 1
    return layer


def _owners(layer: Sequence[int], edges: Sequence[tuple[int, int]]) -> list[int]:
    """The box of each lane slot: one for every layer between a box and its farthest user."""
    farthest = list(layer)
    for source, target in edges:
        farthest[source] = max(farthest[source], layer[target] - 1)
    return [box for box, end in enumerate(farthest) for _ in range(layer[box], end)]


def _with_lanes(
    sizes: Sequence[float], layer: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[float], list[list[int]], list[tuple[int, int]]]:
    """(sizes of boxes and lane slots, the rows of each layer, links of neighbouring layers)."""
    slots = list(sizes)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    chain: dict[int, list[int]] = {box: [box] for box in range(len(sizes))}
    links: list[tuple[int, int]] = []
    for box, at in enumerate(layer):
        rows[at].append(box)
    for owner in _owners(layer, edges):
        slot = len(slots)
        slots.append(0.0)
        links.append((chain[owner][-1], slot))
        rows[layer[owner] + len(chain[owner])].append(slot)
        chain[owner].append(slot)
    links += [(chain[a][layer[b] - layer[a] - 1], b) for a, b in edges]
    return slots, rows, links


def _neighbours(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(count)]
    for source, target in links:
        found[source].append(target)
    return found


def _order(rows: list[list[int]], near: Sequence[Sequence[int]], reverse: bool) -> None:
    """Sort every layer by the mean place of its neighbours in the layer done before it."""
    at = {slot: float(place) for row in rows for place, slot in enumerate(row)}
    for row in reversed(rows) if reverse else rows:
        row.sort(key=_mean_of(at, near))
        at |= {slot: float(place) for place, slot in enumerate(row)}


def _mean_of(
    at: dict[int, float] | list[float], near: Sequence[Sequence[int]]
) -> Callable[[int], float]:
    def mean(slot: int) -> float:
        found = [at[other] for other in near[slot]]
        return sum(found) / len(found) if found else at[slot]

    return mean


def _settle(
    rows: Sequence[Sequence[int]],
    slots: Sequence[float],
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
) -> list[float]:
    """Middles: layers in turn come as near to their neighbours as they can."""
    centre = [0.0] * len(slots)
    for row in rows:
        at = 0.0
        for slot in row:
            centre[slot] = at + slots[slot] / 2
            at += slots[slot] + GAP
    for number in range(_PASSES):
        near, back = (before, False) if number % 2 == 0 else (after, True)
        for row in reversed(rows) if back else rows:
            mean = _mean_of(centre, near)
            gaps = [(slots[a] + slots[b]) / 2 + GAP for a, b in pairwise(row)]
            placed = spread([mean(slot) for slot in row], gaps)
            for slot, value in zip(row, placed, strict=True):
                centre[slot] = value
    return centre


def spread(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones (least squares) that lie at least `gaps` apart.

    Less the sum of the gaps before it, each place must be no less than the one before: that is
    isotonic regression, which pooling neighbours that are out of order solves.
    """
    offset = [0.0]
    for gap in gaps:
        offset.append(offset[-1] + gap)
    pools: list[tuple[float, int]] = []
    for value, shift in zip(wanted, offset, strict=False):
        mean, count = value - shift, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean = (mean * count + other * more) / (count + more)
            count += more
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + shift for mean, shift in zip(flat, offset, strict=False)]
