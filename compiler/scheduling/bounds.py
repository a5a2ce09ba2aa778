"""Core -> bytes that no order can do without: lower bounds of the peak.

For a move x, whatever has run before it includes its ancestors and excludes its descendants.

forced  The values that then exist and are still needed by x or a descendant, with what x adds.
cut     The least memory of any set that x may find executed. Memory is a sum over values of "made
        and not yet used up", so that is a minimum cut: the sets are the source's side, each value
        is an edge from its producer to a gate behind which all its users stand.

            producer --size--> gate ==> users        a user stands with its inputs: user ==> inputs
                                                     (==> can't be cut)
"""

from __future__ import annotations

from .condensed import LAZY, Core
from .flow import FlowNetwork

_SOURCE, _SINK = 0, 1
"""Vertices of the network: what has run, and what hasn't."""


def step_bound(core: Core) -> int:
    """The retained bytes, or the largest step counting only its own inputs: linear time."""
    read = [0] * len(core)
    for size, _, users, _ in core.values:
        for user in users:
            read[user] += size
    needs = [
        read[move] + core.rise[move] - _most_saved(core, move, None) for move in range(len(core))
    ]
    return max(retained(core), max(needs, default=0))


def retained(core: Core) -> int:
    """Bytes that are live at the end of every order."""
    return sum(value.size for value in core.values if value.retain)


class Reach:
    """Ancestors and descendants of every move, and the users of every value, as bitmasks."""

    def __init__(self, core: Core) -> None:
        count = len(core)
        self.above = [0] * count
        self.below = [0] * count
        for move, preds in enumerate(core.preds):
            for p in preds:
                self.above[move] |= self.above[p] | 1 << p
        for move in reversed(range(count)):
            for p in core.preds[move]:
                self.below[p] |= self.below[move] | 1 << move
        self.users = [sum({1 << user for user in value.users}) for value in core.values]


def forced_needs(core: Core, reach: Reach) -> list[int]:
    """Bytes during each move, at least, by what it is forced to find in memory."""
    needs: list[int] = []
    for move in range(len(core)):
        before, after = reach.above[move], reach.below[move] | 1 << move
        held = 0
        for (size, producer, _, retain), users in zip(core.values, reach.users, strict=True):
            made = users & (before | 1 << move) if producer == LAZY else before >> producer & 1
            if made and (retain or users & after):
                held += size
        needs.append(held + core.rise[move] - _most_saved(core, move, reach))
    return needs


def forced_extras(core: Core, reach: Reach) -> list[list[tuple[int, int]]]:
    """For every value, the moves (with its size) that must run beside it if it exists already.

    They are those that a user of the value waits for, and that don't wait for the value
    themselves: what `forced_needs` doesn't count yet.
    """
    extras: list[list[tuple[int, int]]] = []
    for (size, producer, _, retain), users in zip(core.values, reach.users, strict=True):
        extra: list[tuple[int, int]] = []
        for move in range(len(core)):
            before, own = reach.above[move], 1 << move
            made = users & (before | own) if producer == LAZY else before >> producer & 1
            if not made and move != producer and (retain or users & (reach.below[move] | own)):
                extra.append((move, size))
        extras.append(extra)
    return extras


def cut_bound(core: Core, reach: Reach, enough: int) -> int:
    """The largest need of a move, by minimum cuts; stops once it reaches `enough`."""
    best = retained(core)
    for move in range(len(core)):
        best = max(best, _least_need(core, reach, move))
        if best >= enough:
            break
    return best


def _least_need(core: Core, reach: Reach, move: int) -> int:
    """Bytes during a move, at least: with nothing saved, or with one dying value overwritten."""
    above = reach.above[move]
    needs = [_least_memory(core, reach, move, above) + core.rise[move]]
    for v, saving in core.shared[move]:
        others = reach.users[v] & ~(1 << move)
        if saving and not others & reach.below[move]:
            before = above | others
            for user in core.values[v].users:
                if user != move:
                    before |= reach.above[user]
            needs.append(_least_memory(core, reach, move, before) + core.rise[move] - saving)
    return min(needs)


def _least_memory(core: Core, reach: Reach, move: int, before: int) -> int:
    """The least memory at a move, over the executed sets that include all of `before`.

    What the move itself loads counts as memory. In the network, a vertex on the source's side has
    run (a move), is made (a value) or is used up (a gate):

        _SOURCE == all of `before`    a vertex each == the rest    _SINK == `move` and what needs it
    """
    own = 1 << move
    after = reach.below[move] | own
    count = len(core)
    unlimited = 1 + sum(value.size for value in core.values)
    network = FlowNetwork(2 + count + 2 * len(core.values))
    vertices = [
        _SOURCE if before >> m & 1 else _SINK if after >> m & 1 else 2 + m for m in range(count)
    ]
    # a move that has run has its inputs
    for m, preds in enumerate(core.preds):
        for p in preds:
            if vertices[m] > _SINK and vertices[p] > _SINK:
                network.add(vertices[m], vertices[p], unlimited)
    always = 0
    for v, (size, producer, users, retain) in enumerate(core.values):
        ends = [vertices[user] for user in users]
        # what makes the value: its producer; of a loaded value, any of its users
        if producer != LAZY:
            made = vertices[producer]
        elif reach.users[v] & (before | own):
            made = _SOURCE
        else:
            made = 2 + count + 2 * v
            for user in ends:
                network.add(user, made, unlimited)
        # what ends it: all of its users; nothing, if it is kept or its end is yet to come
        if retain or reach.users[v] & after:
            gate = _SINK
        elif all(user == _SOURCE for user in ends):
            gate = _SOURCE
        else:
            gate = 3 + count + 2 * v
            for user in ends:
                if user != _SOURCE:
                    network.add(gate, user, unlimited)
        # it counts if it is made and not used up
        if made == _SOURCE and gate == _SINK:
            always += size
        elif made != _SINK and gate != _SOURCE:
            network.add(made, gate, size)
    return always + network.max_flow(_SOURCE, _SINK)


def _most_saved(core: Core, move: int, reach: Reach | None) -> int:
    """Bytes that a move may save by overwriting a shared value."""
    below = reach.below[move] if reach else 0
    return max(
        (
            saving
            for v, saving in core.shared[move]
            if not reach or not reach.users[v] & ~(1 << move) & below
        ),
        default=0,
    )
