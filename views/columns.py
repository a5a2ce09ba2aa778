"""Cells -> lines: tables and paragraphs that fit a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

UNLIMITED = 10_000
"""A width for output that nobody's terminal cuts, such as a pipe."""

PARAGRAPH = 110
"""Paragraphs are never wider: long lines are hard to read."""

GAP = "  "
_LEAST = 16  # the narrowest that a shortened column becomes


def table(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int = UNLIMITED
) -> Iterator[str]:
    """Rows of cells as lines with aligned columns; an empty column is left out.

    right: the columns that are aligned to the right. The first column is shortened where the lines
    would be wider than `width`.
    """
    shown = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in shown}
    if shown and shown[0] == 0:
        rest = sum(widths[i] + len(GAP) for i in shown[1:])
        widths[0] = min(widths[0], max(width - rest, _LEAST))
    for row in rows:
        cells = [
            shortened(row[i], widths[i]).rjust(widths[i])
            if i in right
            else shortened(row[i], widths[i]).ljust(widths[i])
            for i in shown
        ]
        yield GAP.join(cells).rstrip()


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and `…` where it is longer than the width."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def paragraph(head: str, text: str, width: int, indent: int = 12) -> Iterator[str]:
    """A text beside its head, wrapped: `Memory      peak 508 MiB …`."""
    blank = " " * indent
    first = (head.ljust(indent - 1) + " ") if head else blank
    yield from textwrap.wrap(
        text,
        max(40, min(width, PARAGRAPH)),
        initial_indent=first,
        subsequent_indent=blank,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]
