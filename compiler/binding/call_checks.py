"""A merge method and what it is given -> what is wrong with their numbers: sources and base.

Recipes and `mergec.merge` ask here, so that one mistake is one error in both.
"""

from __future__ import annotations

from ...grammar.diagnostics import Diagnostics, Span
from ...ops.method import Method


def check_count(
    title: str,
    count: int,
    bounds: tuple[int, int | None],
    problems: Diagnostics,
    *,
    words: tuple[str, str] = ("merges", "model"),
    place: Span | None = None,
) -> bool:
    """Whether a block has as many sources as it takes; else reports E0301.

    bounds: fewest and most (None: any number). words: what the block does with its sources, and
    what they are.
    """
    fewest, most = bounds
    if count >= fewest and (most is None or count <= most):
        return True
    verb, noun = words
    wanted = f"{fewest}" if fewest == most else f"at least {fewest}"
    several = "" if fewest == 1 else "s"
    message = f"`{title}` {verb} {wanted} {noun}{several}, found {count or 'none'}"
    problems.report("E0301", message, place)
    return False


def check_base(
    method: Method,
    has_base: bool,
    problems: Diagnostics,
    place: Span | None,
    hints: tuple[str, str],
) -> bool:
    """Whether a base is given where one is wanted; else reports E0303 or E0322.

    hints: how to give a base, and what else a source is called.
    """
    how, source = hints
    if not has_base and method.base == "required":
        problems.report("E0303", f"`{method.name}` needs a base model", place, hint=how)
        return False
    if has_base and method.base not in ("required", "optional"):
        hint = f"if it should be merged, make it a {source}"
        if method.base == "first":
            hint = f"its first {source} takes that part: write the base as the first {source}"
        problems.report("E0322", f"`{method.name}` has no base", place, hint=hint)
        return False
    return True
