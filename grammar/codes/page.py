"""The table of error codes -> docs/errors.md, one page of Markdown for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from . import CODES

_HEAD = """# Errors and warnings

Every error and warning of mergec has a code that keeps its meaning. `mergec explain E0304` prints \
one of these entries. This page is printed by `mergec explain`."""


def errors_page() -> str:
    """The page: an index of the codes, and an entry for each."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield ""
    yield "| code | |"
    yield "|---|---|"
    entries = [CODES[name] for name in sorted(CODES)]
    for entry in entries:
        yield f"| [{entry.code}](#{_anchor(entry.code, entry.title)}) | {entry.title} |"
    for entry in entries:
        yield ""
        yield entry.markdown()


def _anchor(code: str, title: str) -> str:
    """The place of a heading on the page, as Markdown's readers name it."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -_")
    return f"{code.lower()}-{kept}".replace(" ", "-")
