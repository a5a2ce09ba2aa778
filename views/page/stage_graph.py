"""Plan -> the graph of its stages: sources, operations and outputs, each once.

A stage is a node with its operation; an operation without a name is one too. A slice of layers that
has no name is a word on the edge. Nodes are numbered so that every edge goes upwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

from ...compiler.binding.bound import (
    BoundExpr,
    Choice,
    Merge,
    Mixture,
    Setting,
    Sliced,
    Source,
    Stack,
    Stage,
)
from ...compiler.binding.stage_selection import output_name
from ...compiler.graph.graph import Write
from ...compiler.planning.plan import Plan
from ...ops.parameters import Parameter
from ...quantities import count
from ..plan_facts import dtypes_of
from ..stages import Stages, operation, setting_text
from ..treatment import Fate

DrawnKind: TypeAlias = Literal["source", "stage", "output"]


class DrawnPart(NamedTuple):
    """One input as the recipe has it: its role (base, a match's arm), its slice and settings."""

    role: str
    node: int
    layers: str
    settings: str


@dataclass(frozen=True)
class StageNode:
    """A node of the graph.

    name: a source's reference, a stage's name (empty: it has none), an output's path. tensors: what
    a source or an output has, or an operation computes; folded: what needs no computing. nbytes: of
    `tensors`. fates: what becomes of a stage's tensors. note: dtypes and shards.
    """

    kind: DrawnKind
    name: str
    operation: str = ""
    settings: str = ""
    parts: tuple[DrawnPart, ...] = ()
    uses: int = 0
    tensors: int = 0
    folded: int = 0
    nbytes: int = 0
    fates: tuple[Fate, ...] = ()
    note: str = ""


class Edge(NamedTuple):
    """From one node to another, by their numbers; `layers` are the slices that it takes."""

    source: int
    target: int
    base: bool
    layers: tuple[str, ...]


@dataclass(frozen=True)
class StageGraph:
    """nodes: inputs before their users, outputs last. edges: each pair of nodes once."""

    nodes: tuple[StageNode, ...]
    edges: tuple[Edge, ...]


def stage_graph(plan: Plan) -> StageGraph:
    """The graph of a plan's stages."""
    return _Builder(plan).build()


Key: TypeAlias = BoundExpr | str
"""A node's expression; a source's reference, since one may be named in several places."""


class _Place(NamedTuple):
    """Where an expression stands: the stage around it (empty: none), and the output's number."""

    stage: str
    output: int


class _Builder:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stages = Stages(plan)
        self._places: dict[Key, _Place] = {}
        self._number: dict[Key, int] = {}

    def build(self) -> StageGraph:
        outputs = self._plan.bound.outputs
        for number, output in enumerate(outputs):
            self._visit(output.value, _Place("", number))
        nodes = [self._node(key, place) for key, place in self._places.items()]
        nodes += [self._output(number) for number in range(len(outputs))]
        edges = tuple(_edges(nodes))
        uses = Counter(edge.source for edge in edges)
        return StageGraph(tuple(replace(n, uses=uses[i]) for i, n in enumerate(nodes)), edges)

    def _visit(self, expr: BoundExpr, place: _Place) -> None:
        """Number the nodes that an expression needs, inputs first, and its own last."""
        entered: set[Key] = set()
        pending: list[tuple[BoundExpr, _Place, bool]] = [(expr, place, False)]
        while pending:
            here, at, done = pending.pop()
            here = _unsliced(here)[0]
            key = _key(here)
            if isinstance(here, Stage):
                at = _Place(here.name, -1)
            if done:
                self._number[key] = len(self._places)
                self._places[key] = at
            elif key not in entered and key not in self._places:
                entered.add(key)
                pending.append((here, at, True))
                pending += [(part, at, False) for _, part, _ in reversed(list(_inputs(here)))]

    def _node(self, key: Key, place: _Place) -> StageNode:
        if isinstance(key, str):
            found = self._plan.bound.sources[key]
            note = f"{', '.join(dtypes_of(found))}, {count(len(found.files), 'shard')}"
            return StageNode(
                "source", key, tensors=len(found.tensors), nbytes=found.nbytes, note=note
            )
        name, value = (key.name, key.value) if isinstance(key, Stage) else ("", key)
        node = StageNode("stage", name, operation(value), parts=tuple(self._parts(key)))
        if not isinstance(value, Merge):
            return node
        tensors, folded, nbytes, fates = self._stages.of(value, place.stage, place.output)
        return replace(
            node,
            settings=_settings(value.method.settings, value.settings),
            tensors=tensors,
            folded=folded,
            nbytes=nbytes,
            fates=tuple(fates),
        )

    def _output(self, number: int) -> StageNode:
        output, layout = self._plan.bound.outputs[number], self._plan.layouts[number]
        inner, layers = _unsliced(output.value)
        dtypes = dict.fromkeys(
            node.type.dtype.name
            for _, node in self._plan.optimised.writes()
            if isinstance(node.op, Write) and node.op.output == number
        )
        return StageNode(
            "output",
            output_name(output),
            parts=(DrawnPart("", self._number[_key(inner)], layers, ""),),
            tensors=len(layout.slots),
            nbytes=layout.nbytes,
            note=f"{', '.join(dtypes)}, {count(len(layout.shards), 'shard')}",
        )

    def _parts(self, expr: BoundExpr) -> Iterator[DrawnPart]:
        for role, part, settings in _inputs(expr):
            inner, layers = _unsliced(part)
            yield DrawnPart(role, self._number[_key(inner)], layers, settings)


def _key(expr: BoundExpr) -> Key:
    return expr.reference if isinstance(expr, Source) else expr


def _unsliced(expr: BoundExpr) -> tuple[BoundExpr, str]:
    """An expression behind its nameless slices, and those as the recipe writes them."""
    layers = ""
    while isinstance(expr, Sliced):
        layers = operation(expr).removeprefix("layers ") + layers
        expr = expr.value
    return expr, layers


def _inputs(expr: BoundExpr) -> Iterator[tuple[str, BoundExpr, str]]:
    """(role, expression, its settings) of what a node is made of."""
    value = expr.value if isinstance(expr, Stage) else expr
    match value:
        case Merge():
            if value.base is not None:
                yield "base", value.base, ""
            for row in value.rows:
                yield "", row.value, _settings(value.method.columns, row.columns)
                yield from ((name, model, "") for name, model in row.models.items())
        case Choice():
            for matcher, arm in value.arms:
                yield matcher.pattern.text or "_", arm, ""
        case Stack():
            yield from (("", part, "") for part in value.parts)
        case Source():
            if isinstance(expr, Stage):
                yield "", value, ""
        case Mixture():
            yield "base", value.base, ""
            for number, expert in enumerate(value.experts):
                yield f"expert {number}", expert.value, ""
            if value.shared is not None:
                yield "shared", value.shared.value, ""
        case Sliced() | Stage():
            yield "", value, ""


def _settings(parameters: Sequence[Parameter], values: Mapping[str, Setting]) -> str:
    """`name=value` of each that isn't the default."""
    return "  ".join(
        f"{parameter.name}={setting_text(values[parameter.name])}"
        for parameter in parameters
        if parameter.kind != "model"
        and (parameter.required or values[parameter.name] != parameter.default)
    )


def _edges(nodes: Sequence[StageNode]) -> Iterator[Edge]:
    for target, node in enumerate(nodes):
        found: dict[int, list[DrawnPart]] = {}
        for part in node.parts:
            found.setdefault(part.node, []).append(part)
        for source, parts in found.items():
            layers = tuple(dict.fromkeys(part.layers for part in parts if part.layers))
            base = all(part.role == "base" for part in parts)
            yield Edge(source, target, base, layers)
