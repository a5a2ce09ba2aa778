"""Stage graph -> SVG: boxes in layers and curves between them; and as data, what a hover shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..treatment import How
from ..units import count, decimal_size
from .layering import Placement, place
from .markup import Markup, element
from .stage_graph import Edge, StageGraph, StageNode

WIDTH = 240
"""Pixels of a box."""

_BETWEEN = 54  # pixels between layers: room for curves and the words on them
_MARGIN = 12
_HEIGHTS = {"source": 42, "stage": 66, "output": 50}
_CHARACTER = 7.9  # pixels of an average one in a title, in a wide font
_SMALL_CHARACTER = 6.6
_LISTED = 24  # inputs that a node's tooltip names

STATE_WORDS: dict[How, str] = {
    "spilled": "spilled to a file",
    "held": "held in memory",
    "whole": "whole tensors",
    "recomputed": "computed again",
    "written": "written",
    "fused": "fused, never stored",
}
"""What becomes of a stage's tensors, what asks most of the machine first."""


def graph_svg(graph: StageGraph) -> Markup:
    """The drawing; a node links to its row in the tables, so that keys reach it."""
    heights = [float(_HEIGHTS[node.kind]) for node in graph.nodes]
    placed = place(heights, [(edge.source, edge.target) for edge in graph.edges])
    layers = max(placed.layer, default=0) + 1
    width = layers * WIDTH + (layers - 1) * _BETWEEN + 2 * _MARGIN
    height = round(placed.height + 2 * _MARGIN)
    labels = [_label(placed, edge) for edge in graph.edges if edge.layers]
    return element(
        "svg",
        element("g", *(_edge(placed, edge) for edge in graph.edges), class_="edges"),
        *(_node(placed, heights, number, node) for number, node in enumerate(graph.nodes)),
        element("g", *labels, class_="labels", aria_hidden="true"),
        id="graph",
        class_="graph",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        role="group",
        aria_label=f"{count(len(graph.nodes), 'node')}: sources, stages and outputs",
    )


def graph_data(graph: StageGraph) -> dict[str, Any]:
    """What a tooltip says of each node, and the edges, for what lies before and after it."""
    return {
        "nodes": [
            {"title": title(node), "lines": list(_lines(graph, node))} for node in graph.nodes
        ],
        "edges": [[edge.source, edge.target] for edge in graph.edges],
    }


def title(node: StageNode) -> str:
    """What a node is called: its name, or its operation where it has none."""
    return node.name or node.operation


def states(node: StageNode) -> dict[How, int]:
    """Tensors by what becomes of them, in the order of STATE_WORDS."""
    found = {how: sum(f.tensors for f in node.fates if f.how == how) for how in STATE_WORDS}
    return {how: tensors for how, tensors in found.items() if tensors}


def state_text(node: StageNode) -> str:
    """`held 97, fused 194`; in full words where there is one state."""
    found = states(node)
    if len(found) == 1:
        return STATE_WORDS[next(iter(found))]
    return ", ".join(f"{how} {tensors:,}" for how, tensors in found.items())


def row_id(number: int) -> str:
    """The id of a node's row in the tables."""
    return f"row-{number}"


# Places -----------------------------------------------------------------------------------------


def _left(layer: int) -> int:
    return _MARGIN + layer * (WIDTH + _BETWEEN)


def _edge(placed: Placement, edge: Edge) -> Markup:
    x, y = _left(placed.layer[edge.source]) + WIDTH, placed.centre[edge.source] + _MARGIN
    path = f"M{x} {y:.1f}"
    lanes = placed.lanes[edge.source]
    for layer in range(placed.layer[edge.source] + 1, placed.layer[edge.target]):
        lane = lanes[layer - placed.layer[edge.source] - 1] + _MARGIN
        path += _curve(x, y, _left(layer), lane) + f"H{_left(layer) + WIDTH}"
        x, y = _left(layer) + WIDTH, lane
    path += _curve(x, y, _left(placed.layer[edge.target]), placed.centre[edge.target] + _MARGIN)
    kind = "edge base" if edge.base else "edge"
    return element("path", d=path, class_=kind, data_from=edge.source, data_to=edge.target)


def _curve(x: float, y: float, end_x: float, end_y: float) -> str:
    middle = (x + end_x) / 2
    return f"C{middle:g} {y:.1f} {middle:g} {end_y:.1f} {end_x:g} {end_y:.1f}"


def _label(placed: Placement, edge: Edge) -> Markup:
    layer = placed.layer[edge.target]
    y = placed.centre[edge.source]
    if placed.lanes[edge.source] and layer - placed.layer[edge.source] > 1:
        y = placed.lanes[edge.source][layer - placed.layer[edge.source] - 2]
    text = edge.layers[0] if len(edge.layers) == 1 else count(len(edge.layers), "slice")
    # below a curve that goes up, above one that goes down
    y += 15 if placed.centre[edge.target] < y else -6
    x = _left(layer) - _BETWEEN + 4
    return element("text", text, x=x, y=round(y + _MARGIN, 1), class_="word")


# Boxes ------------------------------------------------------------------------------------------


def _node(placed: Placement, heights: Sequence[float], number: int, node: StageNode) -> Markup:
    x = _left(placed.layer[number])
    y = placed.centre[number] - heights[number] / 2 + _MARGIN
    lines = list(_box_lines(node))
    texts = [
        element("text", _short(text, room), x=14, y=at, class_=style)
        for (text, room, style), at in zip(lines, (18, 34, 53), strict=False)
    ]
    return element(
        "a",
        element("rect", width=WIDTH, height=heights[number], rx=8, class_="box"),
        element("rect", width=4, height=heights[number] - 16, x=0, y=8, rx=2, class_="edge-mark"),
        *texts,
        href=f"#{row_id(number)}",
        class_=f"node {node.kind} {_main_state(node)}".rstrip(),
        id=f"node-{number}",
        data_node=number,
        data_stage=node.name if node.kind == "stage" and node.name else None,
        transform=f"translate({x} {y:.1f})",
        aria_label=f"{node.kind} {title(node)}: {', '.join(_summary(node))}",
    )


def _box_lines(node: StageNode) -> Iterator[tuple[str, int, str]]:
    """(text, characters that fit, style) of the lines in a box."""
    room = int((WIDTH - 22) / _CHARACTER)
    small = int((WIDTH - 22) / _SMALL_CHARACTER)
    if node.kind == "source":
        owner, _, name = node.name.rpartition("/")
        yield name, room, "title"
        yield " · ".join(filter(None, (owner, decimal_size(node.nbytes or 0)))), small, "small"
    elif node.kind == "output":
        yield node.name.rpartition("/")[2], room, "title"
        yield f"{decimal_size(node.nbytes or 0)} · {node.note}", small, "small"
    else:
        yield title(node), room, "title"
        inputs = count(len(node.parts), "input")
        yield (f"{node.operation} of {inputs}" if node.name else f"of {inputs}"), small, "small"
        size = "" if not node.nbytes else f" · {decimal_size(node.nbytes)}"
        yield (state_text(node) or "no arithmetic") + size, small, "state"


def _main_state(node: StageNode) -> str:
    """The state that asks most of the machine."""
    return next(iter(states(node)), "")


def _short(text: str, room: int) -> str:
    """The text with its middle left out where it is too long: names differ at their ends."""
    if len(text) <= room:
        return text
    tail = room // 3
    return f"{text[: room - tail - 1]}…{text[-tail:]}"


def _summary(node: StageNode) -> Iterator[str]:
    if node.kind != "stage":
        yield node.note
    else:
        yield f"{node.operation} of {count(len(node.parts), 'input')}"
        if state := state_text(node):
            yield state
    if node.nbytes:
        yield decimal_size(node.nbytes)
    if node.tensors:
        yield count(node.tensors, "tensor")


def _lines(graph: StageGraph, node: StageNode) -> Iterator[str]:
    """A tooltip's lines."""
    yield " · ".join(_summary(node))
    if node.settings:
        yield node.settings
    if node.folded:
        yield f"{count(node.folded, 'tensor')} folded away: taken as they are"
    if node.uses > 1:
        yield (
            f"used {node.uses} times, computed once"
            if node.kind == "stage"
            else (f"used {node.uses} times")
        )
    yield from (f"{count(fate.tensors, 'tensor')}: {fate.reason}" for fate in node.fates)
    for part in node.parts[:_LISTED]:
        words = (part.role, title(graph.nodes[part.node]) + part.layers, part.settings)
        yield "← " + "  ".join(filter(None, words))
    if len(node.parts) > _LISTED:
        yield f"and {count(len(node.parts) - _LISTED, 'input')} more"


def graph_legend(graph: StageGraph) -> Markup:
    """The colours of the boxes that there are."""
    found = {how for node in graph.nodes for how in states(node)}
    entries = [("source", "source"), ("output", "output")]
    entries += [(how, words) for how, words in STATE_WORDS.items() if how in found]
    return legend(entries)


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """A list of (style, words)."""
    items = [
        element("li", element("span", class_=f"key {style}", aria_hidden="true"), words)
        for style, words in entries
    ]
    return element("ul", *items, class_="legend")
