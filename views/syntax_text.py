"""Recipe -> its syntax tree as text: one node a line, with its place, children indented."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..grammar.syntax import Recipe


def syntax_text(recipe: Recipe) -> Iterator[str]:
    """The lines of a recipe's tree."""
    for statement in recipe.statements:
        yield from _node(statement, "")


def _node(node: object, indent: str) -> Iterator[str]:
    words: list[str] = []
    below: list[tuple[str, object]] = []
    assert dataclasses.is_dataclass(node)
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.name.endswith("span"):
            continue
        if dataclasses.is_dataclass(value) or isinstance(value, tuple):
            below.append((field.name, value))
        elif value is not None:
            words.append(f"{field.name}={value!r}")
    span = getattr(node, "span", None)
    place = f"  @{span.line}:{span.column}" if span else ""
    yield f"{indent}{' '.join([type(node).__name__, *words])}{place}"
    for name, value in below:
        if isinstance(value, tuple):
            for item in value:
                yield from _node(item, indent + "  ")
        else:
            head, *rest = _node(value, indent + "  ")
            yield f"{indent}  {name}: {head.strip()}"
            yield from rest
