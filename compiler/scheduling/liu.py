"""In-trees -> the order of least peak, as a profile of hills and valleys (Liu 1987).

Where every value has at most one consumer, an order of a subtree is worth just its profile:
the memory climbs to a hill, falls to a valley, climbs to a lower hill, falls to a higher valley,
and so on. Between two valleys it never pays to do something else, so a profile is a chain of
segments, and the best order of several subtrees merges their segments by (hill - valley), largest
fall first:

    left    hill 10 -> valley 2,  hill 5 -> valley 4       falls 8, 1
    right   hill  9 -> valley 3                            fall  6
    merged  left 1 (peak 10), right 1 (2 + 9), left 2 (5 + 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from .problem import Problem

Rope: TypeAlias = "int | tuple[Rope, Rope]"
"""Nodes in order, as a tree of pairs: joining two costs nothing, however long they are."""


class Stretch(NamedTuple):
    """From the valley before it up to `hill`, down to `valley` (bytes), and its nodes."""

    hill: int
    valley: int
    rope: Rope

    @property
    def nodes(self) -> list[int]:
        """The segment's nodes in order."""
        nodes: list[int] = []
        pending = [self.rope]
        while pending:
            rope = pending.pop()
            if isinstance(rope, int):
                nodes.append(rope)
            else:
                pending += (rope[1], rope[0])
        return nodes


def profiles(
    problem: Problem, nodes: Iterable[int], consumers: Sequence[Sequence[int]]
) -> dict[int, list[Stretch]]:
    """The best profile of every in-tree among `nodes`, keyed by its root.

    `nodes` come inputs first, with all the inputs of each. The value of every node but the roots
    has exactly one consumer, and that is among `nodes`.
    """
    found: dict[int, list[Stretch]] = {}
    sizes, retain = problem.sizes, problem.retain
    for node in nodes:
        inputs = problem.preds[node]
        profile = merged([found.pop(p) for p in inputs])
        dying = [sizes[p] for p in inputs if not retain[p]]
        held = profile[-1].valley if profile else 0
        alloc = 0 if problem.inplace[node] and sizes[node] in dying else sizes[node]
        kept = sizes[node] if consumers[node] or retain[node] else 0
        hill = held + alloc + problem.workspaces[node]
        _append(profile, hill, held - sum(dying) + kept, node)
        found[node] = profile
    return found


def merged(chains: Sequence[list[Stretch]]) -> list[Stretch]:
    """The best interleaving of independent profiles, as one profile. May reuse the lists given."""
    if len(chains) == 1:
        return chains[0]
    climbs: list[tuple[int, int, Stretch]] = []
    for chain in chains:
        base = 0
        for segment in chain:
            climbs.append((segment.hill - segment.valley, base, segment))
            base = segment.valley
    climbs.sort(key=_fall, reverse=True)  # stable: a chain's falls shrink, so it stays in order
    profile: list[Stretch] = []
    held = 0
    for _, base, (hill, valley, rope) in climbs:
        _append(profile, held + hill - base, held + valley - base, rope)
        held += valley - base
    return profile


def profile_of(steps: Iterable[tuple[int, int, int]]) -> list[Stretch]:
    """The profile of an order, given (node, bytes during its step, bytes after it)."""
    profile: list[Stretch] = []
    for node, during, after in steps:
        _append(profile, during, after, node)
    return profile


def _fall(climb: tuple[int, int, Stretch]) -> int:
    return climb[0]


def _append(profile: list[Stretch], hill: int, valley: int, rope: Rope) -> None:
    """Add a climb at the end, keeping hills strictly falling and valleys strictly rising."""
    while profile and (profile[-1].valley >= valley or profile[-1].hill <= hill):
        last = profile.pop()
        hill = max(hill, last.hill)
        rope = (last.rope, rope)
    profile.append(Stretch(hill, valley, rope))
