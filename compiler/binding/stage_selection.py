"""Bound recipe -> its stage graph; selectors such as `+core` -> the part of it that they mean.

core         the stage (or source, or output) of that name
+core        with all that it is made of
core+        with all that is made of it
+core+       both
cor*         those that a pattern matches, as a quoted one matches tensors' names
@core        with all that is made of it, and all that any of those is made of
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...grammar.diagnostics import RecipeError, did_you_mean
from ...grammar.patterns import PatternError, name_test
from .bound import Bound, BoundExpr, Output, Source, Stage
from .model_structure import children

if TYPE_CHECKING:
    import networkx

_LISTED = 12  # names in a hint


def stage_graph(bound: Bound) -> networkx.DiGraph[str]:
    """Sources, stages and outputs, an edge from each to what is made of it.

    Nodes are names: a source's reference, a stage's name, an output's path as a person would type
    it here. Attribute `kind`: `source`, `stage` or `output`; `value`: the expression.
    """
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for reference in bound.sources:
        graph.add_node(source_name(bound, reference), kind="source", value=None)
    for stage in bound.stages:
        graph.add_node(stage.name, kind="stage", value=stage.value)
        for part in _parts(stage.value):
            graph.add_edge(_name(bound, part), stage.name)
    for output in bound.outputs:
        name = output_name(output)
        graph.add_node(name, kind="output", value=output.value)
        for part in _parts(output.value):
            graph.add_edge(_name(bound, part), name)
    return graph


def select(bound: Bound, selectors: Sequence[str]) -> frozenset[str]:
    """The names in the stage graph that the selectors mean together.

    Errors: RecipeError E0220 for a selector that means nothing.
    """
    import networkx

    graph = stage_graph(bound)
    found: set[str] = set()
    for selector in selectors:
        names, up, down, around = _parse(selector, graph)
        for name in names:
            below = {name} | (networkx.descendants(graph, name) if down or around else set())
            found |= below
            for end in below if around else [name] if up else []:
                found |= networkx.ancestors(graph, end)
    return frozenset(found)


def source_name(bound: Bound, reference: str) -> str:
    """A source's name in the stage graph: quoted where a stage is called the same."""
    clash = any(stage.name == reference for stage in bound.stages)
    return f'"{reference}"' if clash else reference


def output_name(output: Output) -> str:
    """An output's name in the stage graph."""
    return shown_path(str(output.path))


def shown_path(path: str) -> str:
    """A path as a person would type it here: relative where that is shorter."""
    relative = os.path.relpath(path)
    if relative.startswith(".." + os.sep + "..") or len(relative) > len(path):
        return path
    return relative if relative.startswith(".") else os.path.join(".", relative)


def _parse(selector: str, graph: Iterable[str]) -> tuple[list[str], bool, bool, bool]:
    """(names, with ancestors, with descendants, `@`)."""
    around = selector.startswith("@")
    up = selector.startswith("+")
    name = selector[1:] if around or up else selector
    down = name.endswith("+")
    name = name[:-1] if down else name
    names = list(graph)
    known = {os.path.basename(os.path.normpath(n)): n for n in names if n.startswith((".", os.sep))}
    known |= {os.path.abspath(n): n for n in names if n.startswith(".")}
    known |= {n: n for n in names}
    for wanted in (name, os.path.abspath(name) if name.startswith(".") else name):
        if wanted in known:
            return [known[wanted]], up, down, around
    matched = _matched(name, names)
    if matched:
        return matched, up, down, around
    listed = ", ".join(names[-_LISTED:])
    raise RecipeError.of(
        "E0220",
        f"`{selector}` selects nothing: there is no stage, source or output `{name}`",
        hint=did_you_mean(name, known) or f"there are {listed}",
    )


def _matched(name: str, names: Sequence[str]) -> list[str]:
    """The names that a quoted pattern matches; none where the name has no sign of one."""
    if not any(sign in name for sign in "*?{"):
        return []
    try:
        matches = name_test("glob", name)
    except PatternError as error:
        raise RecipeError.of("E0220", f"`{name}` selects nothing: {error}") from None
    return [known for known in names if matches(known)]


def _parts(value: BoundExpr) -> list[Stage | Source]:
    """The stages and sources that an expression is made of, not looking into stages."""
    found: dict[Stage | Source, None] = {}
    pending = [value]
    seen: set[BoundExpr] = set()
    while pending:
        here = pending.pop()
        if isinstance(here, (Stage, Source)):
            found[here] = None
        elif here not in seen:
            seen.add(here)
            pending.extend(reversed(children(here)))
    return list(found)


def _name(bound: Bound, part: Stage | Source) -> str:
    return part.name if isinstance(part, Stage) else source_name(bound, part.reference)
