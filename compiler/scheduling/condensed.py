"""Problem -> Core: the moves that are left to order once all that is certain has been decided.

Two things need no search.
- A source without workspace (a load) is run right before its first consumer: moving it later
  never raises the memory of any step. It is part of its consumers' moves.
- An in-tree that shares nothing with the rest runs in the order of its own best profile, whatever
  goes on around it (Liu's theorem: the rest is just another chain to interleave with). It becomes
  a chain of moves, one a segment of its profile.
All other nodes are moves of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .liu import Stretch, profiles
from .problem import Problem

LAZY = -1
"""The producer of a value that is loaded by whichever of its users runs first."""


class HeldValue(NamedTuple):
    """Bytes that some moves make, use or keep. `users` are moves, in ascending order."""

    size: int
    producer: int
    users: tuple[int, ...]
    retain: bool


@dataclass(slots=True)
class Core:
    """Moves, numbered inputs first.

    nodes    the problem's nodes that each move runs, in order, without its lazy sources
    preds    the moves that each one waits for
    rise     bytes that it needs above the memory before it, apart from what `shared` adds
    net      bytes by which it changes the memory, apart from what `shared` adds
    shared   values that it uses and others use too, each with the bytes that are saved if that
             value dies here and can be overwritten
    values   every value that outlives its move
    """

    nodes: list[list[int]] = field(default_factory=list)
    preds: list[list[int]] = field(default_factory=list)
    rise: list[int] = field(default_factory=list)
    net: list[int] = field(default_factory=list)
    shared: list[list[tuple[int, int]]] = field(default_factory=list)
    values: list[HeldValue] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.nodes)

    def consumers(self) -> list[list[int]]:
        """The moves that wait for each move."""
        found: list[list[int]] = [[] for _ in range(len(self))]
        for move, preds in enumerate(self.preds):
            for p in preds:
                found[p].append(move)
        return found

    def steps(self, order: Iterable[int]) -> Iterable[tuple[int, int, int]]:
        """Run an order of moves: (move, bytes during, bytes after), one by one."""
        left = [len(value.users) for value in self.values]
        memory = 0
        for move in order:
            during, after = memory + self.rise[move], memory + self.net[move]
            saved = 0
            for v, saving in self.shared[move]:
                size, producer, users, retain = self.values[v]
                if producer == LAZY and left[v] == len(users):
                    during += size
                    after += size
                left[v] -= 1
                if not left[v] and not retain:
                    after -= size
                    saved = max(saved, saving)
            memory = after
            yield move, during - saved, after

    def peak(self, order: Iterable[int]) -> int:
        """The largest step of an order of moves, in bytes."""
        return max((during for _, during, _ in self.steps(order)), default=0)


def is_lazy(problem: Problem, node: int) -> bool:
    """Whether a node is a source that can wait for its first consumer."""
    return not problem.preds[node] and not problem.workspaces[node]


def condense(problem: Problem, consumers: Sequence[Sequence[int]]) -> Core:
    """The core of a problem whose nodes are numbered inputs first."""
    count = len(problem)
    pure: list[bool] = []  # the root of an in-tree that shares nothing
    for node in range(count):
        pure.append(all(pure[p] and len(consumers[p]) == 1 for p in problem.preds[node]))
    chains = profiles(problem, [v for v in range(count) if pure[v]], consumers)
    lazy = [is_lazy(problem, v) and bool(consumers[v]) for v in range(count)]
    builder = _Builder(problem, consumers, lazy)
    outer = [v for v in range(count) if not pure[v] or v in chains]
    for node in outer:
        if lazy[node]:
            continue
        if pure[node]:
            builder.add_chain(node, chains[node])
        else:
            builder.add_node(node)
    for node in outer:
        if problem.sizes[node]:
            builder.add_value(node)
    return builder.core


def expand(problem: Problem, core: Core, order: Iterable[int]) -> list[list[int]]:
    """The problem's nodes that each move of an order runs, sources right before their first use."""
    done = [False] * len(problem)
    runs: list[list[int]] = []
    for move in order:
        run: list[int] = []
        for node in core.nodes[move]:
            for v in (*problem.preds[node], node):
                if not done[v]:
                    done[v] = True
                    run.append(v)
        runs.append(run)
    return runs


class _Builder:
    """Adds moves, then the values between them, to a core."""

    def __init__(
        self, problem: Problem, consumers: Sequence[Sequence[int]], lazy: Sequence[bool]
    ) -> None:
        self.core = Core()
        self.problem = problem
        self.consumers = consumers
        self.lazy = lazy
        self.last: dict[int, int] = {}  # the move that finishes each node
        self.may_reuse: set[int] = set()  # nodes that may overwrite a shared value that dies

    def _add_move(self, nodes: list[int], preds: list[int], rise: int, net: int) -> int:
        core = self.core
        core.nodes.append(nodes)
        core.preds.append(preds)
        core.rise.append(rise)
        core.net.append(net)
        core.shared.append([])
        return len(core) - 1

    def add_chain(self, root: int, chain: Sequence[Stretch]) -> None:
        """An in-tree: a move a segment. What a segment leaves is held until the last one."""
        problem, core = self.problem, self.core
        held: list[tuple[int, int]] = []
        preds: list[int] = []
        valley = 0
        for segment in chain:
            net = segment.valley - valley
            move = self._add_move(segment.nodes, preds, segment.hill - valley, net)
            held.append((net, move))
            preds = [move]
            valley = segment.valley
        self.last[root] = move
        core.values += [HeldValue(net, made, (move,), False) for net, made in held[:-1] if net]
        kept = self.consumers[root] or problem.retain[root]
        if residue := valley - (problem.sizes[root] if kept else 0):
            core.values.append(HeldValue(residue, move, (), True))

    def add_node(self, node: int) -> None:
        """A node of its own. Its private inputs are accounted for here, once for all."""
        problem, last = self.problem, self.last
        size = problem.sizes[node]
        inputs = problem.preds[node]
        private = [p for p in inputs if len(self.consumers[p]) == 1]
        dying = [problem.sizes[p] for p in private if not problem.retain[p]]
        loaded = sum(problem.sizes[p] for p in private if self.lazy[p])
        reuses = problem.inplace[node] and size in dying
        if problem.inplace[node] and not reuses:
            self.may_reuse.add(node)
        kept = size if self.consumers[node] or problem.retain[node] else 0
        last[node] = self._add_move(
            [node],
            [last[p] for p in inputs if not self.lazy[p]],
            rise=loaded + (0 if reuses else size) + problem.workspaces[node],
            net=loaded - sum(dying) + kept,
        )

    def add_value(self, node: int) -> None:
        """The value of a node that outlives its move; a shared one is noted at its users."""
        problem, core = self.problem, self.core
        size, retain = problem.sizes[node], problem.retain[node]
        users = tuple(self.last[c] for c in self.consumers[node])
        if self.lazy[node] and len(users) == 1:
            if retain:
                core.values.append(HeldValue(size, users[0], (), True))
            return
        if not users and not retain:
            return
        core.values.append(
            HeldValue(size, LAZY if self.lazy[node] else self.last[node], users, retain)
        )
        if len(users) < 2 or (retain and not self.lazy[node]):
            return
        for c, user in zip(self.consumers[node], users, strict=True):
            fits = c in self.may_reuse and not retain and problem.sizes[c] == size
            core.shared[user].append((len(core.values) - 1, size if fits else 0))
