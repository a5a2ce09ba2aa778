"""Core -> a numbering of its moves in which interchangeable blocks are contiguous, and the blocks.

The block of a move m is m with all the moves from which every path leads to m. Blocks nest like
the subtrees of a tree (the tree of post-dominators), so numbering that tree in postorder makes
each block a contiguous range that ends in its move:

    base ---.--------.
            v        v         base | a x | b y | z     the blocks of x and y are twins if they
       a -> x   b -> y           0    1 2   3 4   5     look alike, read the same values from
             \\     /                                    outside (base), feed the same moves (z)
              > z <
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from .condensed import LAZY, Core


class TwinGroup(NamedTuple):
    """Interchangeable ranges of bits: where each starts, and how many bits each has."""

    starts: tuple[int, ...]
    width: int


def arrange(core: Core) -> tuple[list[int], list[TwinGroup]]:
    """The moves in their new order, and the groups of twins, inner groups first."""
    consumers = core.consumers()
    order, widths = _postorder(_post_dominators(consumers), _looks(core))
    position = {move: i for i, move in enumerate(order)}
    made: list[list[int]] = [[] for _ in order]
    for v, value in enumerate(core.values):
        if value.producer != LAZY:
            made[value.producer].append(v)
    groups: dict[object, list[int]] = defaultdict(list)
    for i, move in enumerate(order):
        start = i + 1 - widths[move]
        block = order[start : i + 1]
        look = tuple(_local_look(core, m, made[m], start, i, position) for m in block)
        groups[look, tuple(consumers[move])].append(i)
    twins = [
        TwinGroup(tuple(i + 1 - widths[order[i]] for i in ends), widths[order[ends[0]]])
        for ends in groups.values()
        if len(ends) > 1
    ]
    return order, sorted(twins, key=lambda group: group.width)


def _post_dominators(consumers: Sequence[Sequence[int]]) -> list[int]:
    """The nearest move that every path out of each move passes; the count of moves if none."""
    root = len(consumers)
    parent = [root] * root
    depth = [0] * (root + 1)
    for move in reversed(range(root)):
        common = consumers[move][0] if consumers[move] else root
        for other in consumers[move][1:]:
            while common != other:
                if depth[common] >= depth[other]:
                    common = parent[common]
                else:
                    other = parent[other]
        parent[move] = common
        depth[move] = depth[common] + 1
    return parent


def _looks(core: Core) -> list[int]:
    """Equal numbers for moves whose past looks alike. Only good for sorting: it isn't exact."""
    numbers: dict[object, int] = {}
    looks: list[int] = []
    for move, preds in enumerate(core.preds):
        used = [(core.values[v]._replace(producer=0, users=()), s) for v, s in core.shared[move]]
        past = tuple(sorted(looks[p] for p in preds))
        key = (core.rise[move], core.net[move], past, tuple(sorted(used)))
        looks.append(numbers.setdefault(key, len(numbers)))
    return looks


def _postorder(parent: Sequence[int], looks: Sequence[int]) -> tuple[list[int], list[int]]:
    """The tree in postorder, look-alike siblings side by side, and the size of each subtree."""
    count = len(parent)
    children: list[list[int]] = [[] for _ in range(count + 1)]
    widths = [1] * count
    for move in range(count):  # a parent is numbered after its children
        children[parent[move]].append(move)
        if parent[move] < count:
            widths[parent[move]] += widths[move]
    reverse: list[int] = []
    pending = [count]
    while pending:
        move = pending.pop()
        reverse.append(move)
        pending += sorted(children[move], key=lambda m: (looks[m], m))
    return reverse[:0:-1], widths


def _local_look(
    core: Core, move: int, made: Sequence[int], start: int, end: int, position: dict[int, int]
) -> object:
    """All that a move does, with what is inside the range named by its place in the range."""

    def place(other: int) -> int | None:
        return position[other] - start if start <= position[other] <= end else None

    used = []
    for v, saving in core.shared[move]:
        size, producer, users, retain = core.values[v]
        inner = sorted(place(u) or 0 for u in users if place(u) is not None)
        whole = len(inner) == len(users) and (producer == LAZY or place(producer) is not None)
        used.append((-1 if whole else v, saving, size, retain, producer == LAZY, tuple(inner)))
    preds = [place(p) for p in core.preds[move]]
    return (
        core.rise[move],
        core.net[move],
        tuple(sorted(-1 - core.preds[move][i] if p is None else p for i, p in enumerate(preds))),
        tuple(sorted(used)),
        tuple(sorted((core.values[v].size, core.values[v].retain) for v in made)),
    )
