"""A task-vector call that leaves the base as it is -> the base."""

from __future__ import annotations

from .method import Call


def base_if_unchanged(call: Call) -> Call | int:
    """The base where λ is 0 or every source is the base itself; else the call."""
    base = call.base
    assert base is not None
    silent = call.settings["lambda"] == 0 or all(source == base for source in call.sources)
    return base if silent else call
