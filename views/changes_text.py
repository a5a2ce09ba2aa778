"""What is left of a plan -> the lines of `mergec plan` that say so."""

from __future__ import annotations

from collections.abc import Iterator

from ..quantities import count, decimal_size, duration
from ..runtime.changes import Changes
from .columns import paragraph

_REASONS = 8


def changes_text(changes: Changes, width: int) -> Iterator[str]:
    """Nothing where a run begins from nothing and finds nothing in its way."""
    if not changes.is_fresh:
        yield from paragraph("Left", _left(changes), width)
        for said, tensors in changes.reasons[:_REASONS]:
            yield from paragraph("", f"{count(tensors, 'tensor')}: {said}", width)
        if (more := len(changes.reasons) - _REASONS) > 0:
            yield from paragraph("", f"… and {count(more, 'reason')} more", width)
    for number, path in enumerate(changes.leftovers):
        text = f"{path}, by an interrupted run of another recipe; `mergec clean` removes it"
        yield from paragraph("" if number else "Leftovers", text, width)


def _left(changes: Changes) -> str:
    if not changes.computed and not changes.copied:
        return "nothing: the outputs are as the recipe wants them"
    parts = [
        f"{count(changes.computed, 'tensor')} to compute ({decimal_size(changes.computed_bytes)}; "
        f"{decimal_size(changes.read_bytes)} read, about {duration(changes.seconds)})"
    ]
    if changes.copied:
        size = decimal_size(changes.copied_bytes)
        parts.append(f"{count(changes.copied, 'tensor')} to copy from the output there ({size})")
    if changes.finished:
        size = decimal_size(changes.finished_bytes)
        parts.append(f"{count(changes.finished, 'tensor')} finished before ({size})")
    return "; ".join(parts)
