"""Names from untrusted files -> text that is safe to print."""

from __future__ import annotations

from collections.abc import Sequence

_LISTED = 5  # names in one message


def printable(text: str) -> str:
    """A name from an untrusted file, short and without control characters."""
    short = text if len(text) <= 120 else text[:117] + "..."
    return short if short.isprintable() else ascii(short)


def some(names: Sequence[str]) -> str:
    """The first few names, safe to print, and how many more there are."""
    shown = [printable(name) for name in names[:_LISTED]]
    more = [f"… {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join(shown + more)
