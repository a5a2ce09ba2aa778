"""Bound recipe -> its stage graph in the languages of Graphviz and Mermaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..compiler.binding.bound import Bound, BoundExpr, Stage
from ..compiler.binding.stage_selection import stage_graph
from .stages import Shown, operation

_DOT_SHAPES = {"source": "cylinder", "stage": "box", "output": "folder"}
_MERMAID_SHAPES = {"source": ('[("', '")]'), "stage": ('["', '"]'), "output": ('[/"', '"/]')}


def dot_text(bound: Bound, shown: Shown = lambda name: True) -> Iterator[str]:
    """A Graphviz digraph: a node for each source, stage and output, an edge to what is made of it.

    Identifiers are quoted strings, as the language wants any name that isn't a plain word.
    """
    yield f"digraph {_quoted(bound.name)} {{"
    yield "  rankdir=LR;"
    yield "  node [fontname=sans, fontsize=11];"
    nodes, edges = _shown_graph(bound, shown)
    for name, kind, label in nodes:
        text = "\\n".join(_escaped(line) for line in label)
        yield f'  {_quoted(name)} [shape={_DOT_SHAPES[kind]}, label="{text}"];'
    for start, end in edges:
        yield f"  {_quoted(start)} -> {_quoted(end)};"
    yield "}"


def mermaid_text(bound: Bound, shown: Shown = lambda name: True) -> Iterator[str]:
    """A Mermaid flowchart of the same graph; names are numbered, since few signs are allowed."""
    yield "flowchart LR"
    nodes, edges = _shown_graph(bound, shown)
    number = {name: f"n{i}" for i, (name, _, _) in enumerate(nodes)}
    for name, kind, label in nodes:
        before, after = _MERMAID_SHAPES[kind]
        text = "<br/>".join(_entities(line) for line in label)
        yield f"  {number[name]}{before}{text}{after}"
    for start, end in edges:
        yield f"  {number[start]} --> {number[end]}"


FORMATS: dict[str, Callable[[Bound, Shown], Iterator[str]]] = {
    "dot": dot_text,
    "mermaid": mermaid_text,
}
"""What `--format` can print beside the plan's text."""


def _shown_graph(
    bound: Bound, shown: Shown
) -> tuple[list[tuple[str, str, list[str]]], list[tuple[str, str]]]:
    """((name, kind, lines of its label) of each node, edges) that are to be shown."""
    graph = stage_graph(bound)
    nodes = [
        (name, data["kind"], _label(name, data))
        for name, data in graph.nodes(data=True)
        if shown(name)
    ]
    return nodes, [(start, end) for start, end in graph.edges if shown(start) and shown(end)]


def _label(name: str, data: dict[str, Any]) -> list[str]:
    value: BoundExpr | None = data["value"]
    if value is None or isinstance(value, Stage):
        return [name]
    return [name, operation(value)]


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _entities(text: str) -> str:
    """Signs that mean something to Mermaid or HTML, by their numbers."""
    return "".join(
        char if char.isalnum() or char in " ._-/:,=" else f"#{ord(char)};" for char in text
    )
