"""Recipe -> the same recipe with a default in every `match`, which YAML's filters needn't have."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TypeVar

from .diagnostics import Diagnostics
from .syntax import Arm, Match, Pattern, Recipe

_NodeT = TypeVar("_NodeT")


def with_defaults(recipe: Recipe, problems: Diagnostics) -> Recipe:
    """The last value of a `match` without a default becomes its default. Reports W0106 for each.

    Where the patterns match all tensors, which a recipe that can be run has, nothing changes.
    """
    return replace(recipe, statements=_completed(recipe.statements, problems))


def _completed(node: _NodeT, problems: Diagnostics) -> _NodeT:
    if isinstance(node, tuple):
        return tuple(_completed(item, problems) for item in node)  # type: ignore[return-value]
    if not dataclasses.is_dataclass(node):
        return node
    parts = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if f.compare}
    changed = replace(node, **{name: _completed(part, problems) for name, part in parts.items()})  # type: ignore[type-var]
    if isinstance(changed, Match) and changed.arms[-1].pattern.kind != "default":
        last = changed.arms[-1]
        problems.report(
            "W0106",
            "these filters have no default: `_` is given the last one's value",
            changed.span,
            hint="correct it if there are tensors that no filter matches",
        )
        default = Arm(Pattern("default", "_", last.span), last.value, last.span)
        return replace(changed, arms=(*changed.arms, default))
    return changed
