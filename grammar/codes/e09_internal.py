"""E09xx: mistakes of mergec itself."""

from __future__ import annotations

from .code import Code

_REPORT = "Please report it with the recipe and what `MERGEC_DEBUG=1` shows."

CODES = (
    Code("E0900", "an unexpected error", "mergec met a case that it wasn't written for.", _REPORT),
    Code(
        "E0901",
        "the compiler made a wrong graph",
        "The verifier, which runs after every pass, has found a broken rule.",
        _REPORT,
    ),
    Code(
        "E0902",
        "the compiler made a wrong program or wrong sweeps",
        "The verifier has found a value that is used before it is there, or work that nobody does.",
        _REPORT,
    ),
    Code(
        "E0910",
        "a schedule doesn't keep its promise",
        "The simulator, which checks every schedule, came to another result.",
        _REPORT,
    ),
)
