"""Core -> depth-first orders of its moves: a move right after the moves it waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .condensed import LAZY, Core


def postorders(core: Core) -> list[list[int]]:
    """Depth first in the order of creation, and with the largest fall in memory first."""
    falls = _falls(core)
    return [_postorder(core, lambda move: move), _postorder(core, lambda move: -falls[move])]


def _postorder(core: Core, rank: Callable[[int], int]) -> list[int]:
    """All moves, the inputs of each visited by ascending rank."""
    fed = {p for preds in core.preds for p in preds}
    order: list[int] = []
    seen = [False] * len(core)
    pending = [(move, False) for move in range(len(core)) if move not in fed]
    pending.sort(key=lambda entry: rank(entry[0]), reverse=True)
    while pending:
        move, ready = pending.pop()
        if ready:
            order.append(move)
        elif not seen[move]:
            seen[move] = True
            pending.append((move, True))
            inputs = [p for p in core.preds[move] if not seen[p]]
            pending += [(p, False) for p in sorted(inputs, key=rank, reverse=True)]
    return order


def _falls(core: Core) -> list[int]:
    """Peak less residue of what leads to each move, as if no two moves shared an input."""
    made = [0] * len(core)
    for value in core.values:
        if value.producer != LAZY:
            made[value.producer] += value.size
    falls: list[int] = []
    peaks: list[int] = []
    for move, preds in enumerate(core.preds):
        held = peak = 0
        for p in sorted(preds, key=lambda p: -falls[p]):
            peak = max(peak, held + peaks[p])
            held += made[p]
        peaks.append(max(peak, held + core.rise[move] + _loads(core, core.shared[move])))
        falls.append(peaks[move] - made[move])
    return falls


def _loads(core: Core, shared: Sequence[tuple[int, int]]) -> int:
    return sum(core.values[v].size for v, _ in shared if core.values[v].producer == LAZY)
