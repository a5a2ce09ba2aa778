"""Core -> Downsets: sets of executed moves as bitmasks, with the steps between them.

Two of the exact reductions live here (the lazy sources are in the core already).

Safe moves. Let B be a bound that the answer may reach anyway. If a move runs within B and doesn't
raise the memory, run it at once: memory is submodular in the executed set, so having it done
never makes a later step dearer. The same holds for a chain of moves, each one fed by the move
before, that stays within B, at its first point where it is no higher than where it began.

Twins. Sets that differ only by swapping interchangeable blocks of moves count as one, known by
its canonical form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .bounds import Reach, forced_extras, forced_needs
from .condensed import LAZY, Core
from .twins import arrange

CHAIN_STEPS = 64
"""How many steps may be tried in search of one safe chain."""


class State(NamedTuple):
    """An executed set, its memory in bytes, the moves ready to run, the moves run so far, and the
    least bytes that each other move will need during its step, whatever comes next."""

    executed: int
    memory: int
    ready: int
    path: object
    needs: list[int]


class _Use(NamedTuple):
    """A shared value at one of its users: bytes to load, free and save; the others; its number."""

    load: int
    free: int
    saving: int
    others: int
    value: int


def _use(core: Core, value: int, saving: int, move: int, bit: dict[int, int]) -> _Use:
    size, producer, users, retain = core.values[value]
    others = _mask(bit[user] for user in users if user != move)
    return _Use(size if producer == LAZY else 0, 0 if retain else size, saving, others, value)


def _mask(bits: Iterable[int]) -> int:
    mask = 0
    for i in bits:
        mask |= 1 << i
    return mask


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        mask ^= low
        yield low.bit_length() - 1


class Downsets:
    """The sets of moves that are closed under inputs, and how to get from one to the next.

    Moves go by their bits here: by their places in `order`, where twins lie side by side.

    order    the core's move of each bit
    twins    the groups of ranges of bits that are interchangeable
    need     the moves that each one waits for, as a mask
    feeds    the moves that wait for each one
    rise     bytes that each one needs above the memory before it, but for its shared values
    net      bytes by which it changes the memory, but for its shared values
    uses     its shared values
    near     what needs another look after it (see `close`), as a mask
    needs    the least bytes during each one, as long as nothing has run
    extras   for each of the core's values, the moves that need its size too once it exists
    made     for each move the extras of all values that it makes
    never    the need of a move that has run: below 0 whatever extras are added
    """

    def __init__(self, core: Core, reach: Reach) -> None:
        self.core = core
        self.order, self.twins = arrange(core)
        self.full = (1 << len(core)) - 1
        bit = {move: i for i, move in enumerate(self.order)}
        # who waits for whom
        consumers = core.consumers()
        self.need = [_mask(bit[p] for p in core.preds[move]) for move in self.order]
        self.feeds = [sorted({bit[c] for c in consumers[move]}) for move in self.order]
        # a step's bytes
        self.rise = [core.rise[move] for move in self.order]
        self.net = [core.net[move] for move in self.order]
        self.uses = [[_use(core, v, s, m, bit) for v, s in core.shared[m]] for m in self.order]
        # whose step may have become safe
        above = [_mask(bit[a] for a in _bits(reach.above[move])) for move in self.order]
        self.near = [self._near(i, above) for i in range(len(core))]
        # the least that steps still to come need
        needs = forced_needs(core, reach)
        self.needs = [needs[move] for move in self.order]
        self.extras = [[(bit[m], s) for m, s in each] for each in forced_extras(core, reach)]
        self.made: list[list[tuple[int, int]]] = [[] for _ in self.order]
        for value, extra in zip(core.values, self.extras, strict=True):
            if value.producer != LAZY:
                self.made[bit[value.producer]] += extra
        self.never = -2 * sum(value.size for value in core.values) - max(needs) - 1

    def _near(self, move: int, above: Sequence[int]) -> int:
        """The moves whose step `move` may change, or that it makes ready, and their ancestors."""
        touched = _mask(self.feeds[move])
        for use in self.uses[move]:
            touched |= use.others
        near = touched
        for i in _bits(touched):
            near |= above[i]
        return near

    def step(self, move: int, executed: int, memory: int) -> tuple[int, int]:
        """Bytes during a ready move and after it."""
        during = memory + self.rise[move]
        after = memory + self.net[move]
        saved = 0
        for load, free, saving, others, _ in self.uses[move]:
            seen = executed & others
            if not seen:
                during += load
                after += load
            if seen == others:
                after -= free
                saved = saved or saving
        return during - saved, after

    def start(self, bound: int) -> State:
        """Nothing executed but what is safe within a bound."""
        ready = sum(1 << i for i, need in enumerate(self.need) if not need)
        return self.close(State(0, 0, ready, None, self.needs), bound)

    def advance(self, state: State, move: int, after: int) -> State:
        """The state after a ready move, whose step ends at `after` bytes."""
        executed = state.executed | 1 << move
        needs = state.needs.copy()
        for other, size in self.made[move]:
            needs[other] += size
        for load, _, _, others, value in self.uses[move]:
            if load and not state.executed & others:
                for other, size in self.extras[value]:
                    needs[other] += size
        needs[move] = self.never
        ready = self._ready(state.ready, executed, move)
        return State(executed, after, ready, (state.path, move), needs)

    def _ready(self, ready: int, executed: int, move: int) -> int:
        ready ^= 1 << move
        for c in self.feeds[move]:
            if not self.need[c] & ~executed:
                ready |= 1 << c
        return ready

    def close(self, state: State, bound: int, latest: int | None = None) -> State:
        """Run everything that is safe within a bound.

        If nothing was, before the `latest` move raised the memory, only what begins a chain to a
        move that it touched needs another look.
        """
        pending = state.ready if latest is None else state.ready & self.near[latest]
        while pending:
            low = pending & -pending
            pending ^= low
            chain = self._safe_chain(state, low.bit_length() - 1, bound)
            if chain:
                for move, after in chain:
                    state = self.advance(state, move, after)
                pending = state.ready
        return state

    def _safe_chain(self, state: State, first: int, bound: int) -> list[tuple[int, int]] | None:
        """The moves of a safe chain that begins with `first`, each with the bytes after it."""
        executed, memory, ready, _, _ = state
        during, after = self.step(first, executed, memory)
        if during > bound:
            return None
        if after <= memory:
            return [(first, after)]
        tried = 0
        stack = [(executed, ready, [(first, after)])]
        while stack:
            executed, ready, chain = stack.pop()
            move, held = chain[-1]
            executed |= 1 << move
            ready = self._ready(ready, executed, move)
            for c in self.feeds[move]:
                if not ready >> c & 1:
                    continue
                tried += 1
                during, after = self.step(c, executed, held)
                if during > bound:
                    continue
                if after <= memory:
                    return [*chain, (c, after)]
                if tried < CHAIN_STEPS:
                    stack.append((executed, ready, [*chain, (c, after)]))
        return None

    def canonical(self, executed: int) -> int:
        """One name for all the sets that differ by swapping twins."""
        for starts, width in self.twins:
            mask = (1 << width) - 1
            fields = [executed >> start & mask for start in starts]
            ranked = sorted(fields, reverse=True)
            if ranked != fields:
                for start, field in zip(starts, ranked, strict=True):
                    executed = executed & ~(mask << start) | field << start
        return executed

    def moves(self, path: object) -> list[int]:
        """The core's moves along the path of a state."""
        found: list[int] = []
        while isinstance(path, tuple):
            path, move = path
            found.append(self.order[move])
        return found[::-1]
