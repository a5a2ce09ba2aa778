"""Stage graph -> SVG: boxes in layers and curves between them; and as data, what a hover shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...quantities import count, decimal_size
from ..treatment import How
from .layering import Placement, place
from .markup import Markup, element
from .stage_graph import Edge, StageGraph, StageNode

WIDTH = 240
"""Pixels of a box."""

_BETWEEN = 54  # pixels between layers: room for curves and the words on them
_MARGIN = 12
_PAGE = 1150  # pixels that the page has
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
    sheet = _sheet(graph)
    width, height = sheet.size
    return element(
        "svg",
        element("g", *(_edge(sheet, edge) for edge in graph.edges), class_="edges"),
        *(_node(sheet, number, node) for number, node in enumerate(graph.nodes)),
        element(
            "g",
            *(_label(sheet, edge) for edge in graph.edges if edge.layers),
            class_="labels",
            aria_hidden="true",
        ),
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


@dataclass(frozen=True)
class _Sheet:
    """Where boxes lie: in layers from left to right, or `down` the page, which suits long chains.

    `along` is the way from layer to layer, `across` the other one. lengths: of boxes along it.
    """

    placed: Placement
    down: bool
    lengths: tuple[int, ...]

    @property
    def band(self) -> int:
        """Pixels of a layer along the way."""
        return max(_HEIGHTS.values()) if self.down else WIDTH

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        layers = max(self.placed.layer, default=0) + 1
        along = layers * (self.band + _BETWEEN) - _BETWEEN + 2 * _MARGIN
        across = round(self.placed.extent) + 2 * _MARGIN
        return (across, along) if self.down else (along, across)

    def start(self, layer: int) -> int:
        """Where a layer begins."""
        return _MARGIN + layer * (self.band + _BETWEEN)

    def begin(self, box: int) -> float:
        """Where a box begins: in the middle of its layer, if it is shorter."""
        return self.start(self.placed.layer[box]) + (self.band - self.lengths[box]) / 2

    def pair(self, along: float, across: float) -> str:
        """Coordinates as a path has them."""
        x, y = (across, along) if self.down else (along, across)
        return f"{round(x, 1):g} {round(y, 1):g}"


def _sheet(graph: StageGraph) -> _Sheet:
    """The layers across the page or down it, whichever is less wide."""
    edges = [(edge.source, edge.target) for edge in graph.edges]
    heights = [_HEIGHTS[node.kind] for node in graph.nodes]
    widths = [WIDTH for _ in graph.nodes]
    across = _Sheet(place(heights, edges), False, tuple(widths))
    down = _Sheet(place(widths, edges), True, tuple(heights))
    return min(across, down, key=lambda sheet: max(_PAGE, sheet.size[0]))


def _edge(sheet: _Sheet, edge: Edge) -> Markup:
    placed = sheet.placed
    along = sheet.begin(edge.source) + sheet.lengths[edge.source]
    across = placed.centre[edge.source] + _MARGIN
    path = f"M{sheet.pair(along, across)}"
    first = placed.layer[edge.source] + 1
    for layer in range(first, placed.layer[edge.target]):
        lane = placed.lanes[edge.source][layer - first] + _MARGIN
        path += _curve(sheet, along, across, sheet.start(layer), lane)
        along, across = sheet.start(layer) + sheet.band, lane
        path += f"L{sheet.pair(along, across)}"
    end = placed.centre[edge.target] + _MARGIN
    path += _curve(sheet, along, across, sheet.begin(edge.target), end)
    kind = "edge base" if edge.base else "edge"
    return element("path", d=path, class_=kind, data_from=edge.source, data_to=edge.target)


def _curve(sheet: _Sheet, along: float, across: float, end: float, lane: float) -> str:
    middle = (along + end) / 2
    points = ((middle, across), (middle, lane), (end, lane))
    return "C" + " ".join(sheet.pair(*point) for point in points)


def _label(sheet: _Sheet, edge: Edge) -> Markup:
    """The slices that an edge takes, where it leaves its box or lane."""
    placed = sheet.placed
    layer = placed.layer[edge.target] - 1
    passed = layer - placed.layer[edge.source]
    across = placed.lanes[edge.source][passed - 1] if passed else placed.centre[edge.source]
    end = sheet.start(layer) + sheet.band
    text = edge.layers[0] if len(edge.layers) == 1 else count(len(edge.layers), "slice")
    # below a curve that goes up, above one that goes down
    beside = 15 if placed.centre[edge.target] < across else -6
    x, y = (across + 6, end + 13) if sheet.down else (end + 4, across + _MARGIN + beside)
    return element("text", text, x=round(x, 1), y=round(y, 1), class_="word")


# Boxes ------------------------------------------------------------------------------------------


def _node(sheet: _Sheet, number: int, node: StageNode) -> Markup:
    height = _HEIGHTS[node.kind]
    middle = sheet.placed.centre[number] + _MARGIN
    corner = middle - (WIDTH if sheet.down else height) / 2
    lines = list(_box_lines(node))
    texts = [
        element("text", _short(text, room), x=14, y=at, class_=style)
        for (text, room, style), at in zip(lines, (18, 34, 53), strict=False)
    ]
    return element(
        "a",
        element("rect", width=WIDTH, height=height, rx=8, class_="box"),
        element("rect", width=4, height=height - 16, x=0, y=8, rx=2, class_="edge-mark"),
        *texts,
        href=f"#{row_id(number)}",
        class_=f"node {node.kind} {_main_state(node)}".rstrip(),
        id=f"node-{number}",
        data_node=number,
        data_stage=node.name if node.kind == "stage" and node.name else None,
        transform=f"translate({sheet.pair(sheet.begin(number), corner)})",
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
        words = "of " + count(len(node.parts), "input")
        words = f"{node.operation} {words}" if node.name else words
        yield words + (f" · {decimal_size(node.nbytes)}" if node.nbytes else ""), small, "small"
        yield state_text(node) or "no arithmetic", small, "state"


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
