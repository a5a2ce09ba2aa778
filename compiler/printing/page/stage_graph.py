"""Plan -> the graph of its stages: sources, operations and outputs, each once.

A stage is a node with its operation; an operation without a name is one too. A slice of layers that
has no name is a word on the edge. Nodes are numbered so that every edge goes upwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ....ops.method import Parameter
from ...bound import Choice, Expr, Merge, Setting, Sliced, Source, Stack, Stage
from ...components import Component
from ...graph import Graph, Invoke
from ...options import Option
from ...plan import Plan
from ..plan_facts import dtypes_of
from ..stages import operation, setting_text, shown_path

State: TypeAlias = Literal["spilled", "held", "recomputed", "written", "fused"]
"""What becomes of a stage's tensors: kept in a file or in memory between sweeps, computed again in
each, written to an output, or never stored at all."""

Kind: TypeAlias = Literal["source", "stage", "output"]


class Part(NamedTuple):
    """One input as the recipe has it: its role (base, a match's arm), its slice and settings."""

    role: str
    node: int
    layers: str
    settings: str


@dataclass(frozen=True)
class StageNode:
    """A node of the graph.

    name: a source's reference, a stage's name (empty: it has none), an output's path. nbytes: of
    the tensors that it holds, or would hold if they were stored; None where it holds none of its
    own. states: in how many steps its tensors are held, spilled and so on. note: dtype and shards.
    """

    kind: Kind
    name: str
    operation: str
    settings: str
    parts: tuple[Part, ...]
    uses: int
    tensors: int
    folded: int
    nbytes: int | None
    states: Mapping[State, int]
    note: str


class Edge(NamedTuple):
    """From one node to another, by their numbers; `layers` are the slices that it takes."""

    source: int
    target: int
    base: bool
    layers: tuple[str, ...]


@dataclass(frozen=True)
class StageGraph:
    """nodes: inputs before their users. edges: each pair of nodes once."""

    nodes: tuple[StageNode, ...]
    edges: tuple[Edge, ...]


def stage_graph(plan: Plan) -> StageGraph:
    """The graph of a plan's stages."""
    return _Builder(plan).build()


Key: TypeAlias = Expr | str
"""A node's expression; a source's reference, since one may be named in several places."""


class _Builder:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._number: dict[Key, int] = {}
        self._facts = _Facts(plan)
        self._parts: list[tuple[Part, ...]] = []

    def build(self) -> StageGraph:
        keys = [key for output in self._plan.bound.outputs for key in self._below(output.value)]
        keys = list(dict.fromkeys(keys))
        self._number = {key: number for number, key in enumerate(keys)}
        nodes = [self._node(key) for key in keys]
        nodes += [self._output(number) for number in range(len(self._plan.bound.outputs))]
        edges = list(_edges(nodes))
        uses = Counter(edge.source for edge in edges)
        counted = [
            StageNode(**{**vars(node), "uses": max(uses[number], node.kind == "output")})
            for number, node in enumerate(nodes)
        ]
        return StageGraph(tuple(counted), tuple(edges))

    def _below(self, expr: Expr) -> Iterator[Key]:
        """Nodes that an expression needs, inputs first, and its own last."""
        seen: set[Key] = set()
        stack: list[tuple[Expr, bool]] = [(expr, False)]
        while stack:
            here, ready = stack.pop()
            here = _unsliced(here)[0]
            key = _key(here)
            if ready:
                yield key
            elif key not in seen:
                seen.add(key)
                stack.append((here, True))
                stack += [(part, False) for _, part, _ in reversed(list(_inputs(here)))]

    def _node(self, key: Key) -> StageNode:
        if isinstance(key, str):
            checkpoint = self._plan.bound.sources[key]
            dtypes = ", ".join(dtypes_of(checkpoint))
            return StageNode(
                "source", key, "", "", (), 0, len(checkpoint.tensors), 0, checkpoint.nbytes, {},
                f"{dtypes}, {len(checkpoint.files)} shard{'s'[: len(checkpoint.files) != 1]}",
            )  # fmt: skip
        name, value = (key.name, key.value) if isinstance(key, Stage) else ("", key)
        if isinstance(value, Merge):
            settings = _settings(value.method.settings, value.settings)
            tensors, folded, nbytes, states = self._facts.of(value)
        else:
            settings, tensors, folded, nbytes, states = "", 0, 0, None, {}
        return StageNode(
            "stage", name, operation(value), settings, tuple(self._inputs(key)),
            0, tensors, folded, nbytes, states, "",
        )  # fmt: skip

    def _output(self, number: int) -> StageNode:
        output, layout = self._plan.bound.outputs[number], self._plan.layouts[number]
        inner, layers = _unsliced(output.value)
        part = Part("", self._number[_key(inner)], layers, "")
        dtypes = Counter[str]()
        for _, node in self._plan.optimised.writes():
            if node.op.output == number:  # type: ignore[union-attr]
                dtypes[node.type.dtype.name] += 1
        shards = len(layout.shards)
        return StageNode(
            "output", shown_path(str(output.path)), "", "", (part,), 1, len(layout.slots), 0,
            layout.nbytes, {}, f"{', '.join(dtypes)}, {shards} shard{'s'[: shards != 1]}",
        )  # fmt: skip

    def _inputs(self, expr: Expr) -> Iterator[Part]:
        for role, part, settings in _inputs(expr):
            inner, layers = _unsliced(part)
            yield Part(role, self._number[_key(inner)], layers, settings)


def _key(expr: Expr) -> Key:
    return expr.reference if isinstance(expr, Source) else expr


def _unsliced(expr: Expr) -> tuple[Expr, str]:
    """An expression behind its nameless slices, and those as the recipe writes them."""
    layers = ""
    while isinstance(expr, Sliced):
        layers = operation(expr).removeprefix("layers ") + layers
        expr = expr.value
    return expr, layers


def _inputs(expr: Expr) -> Iterator[tuple[str, Expr, str]]:
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
        found: dict[int, list[Part]] = {}
        for part in node.parts:
            found.setdefault(part.node, []).append(part)
        for source, parts in found.items():
            layers = tuple(dict.fromkeys(part.layers for part in parts if part.layers))
            base = all(part.role == "base" for part in parts)
            yield Edge(source, target, base, layers)


class _Facts:
    """What is known of each merge's tensors; they are found by the place of the merge's text.

    The body of a `for` is one text for several merges: each gets its share.
    """

    def __init__(self, plan: Plan) -> None:
        self._written = _invocations(plan.graph)
        self._computed = _invocations(plan.optimised)
        self._bytes = _bytes(plan.optimised)
        self._states = _states(plan)
        self._sharers = Counter(id(merge.span) for merge in _merges(plan))

    def of(self, merge: Merge) -> tuple[int, int, int, dict[State, int]]:
        """(tensors computed, tensors folded away, bytes of those computed, steps by state)."""
        key, share = id(merge.span), self._sharers[id(merge.span)]
        computed = self._computed[key] // share
        folded = max(0, self._written[key] // share - computed)
        states = {state: -(-steps // share) for state, steps in self._states[key].items()}
        return computed, folded, self._bytes[key] // share, states


def _merges(plan: Plan) -> Iterator[Merge]:
    seen: set[Expr] = set()
    stack: list[Expr] = [output.value for output in plan.bound.outputs]
    while stack:
        here = stack.pop()
        if here in seen:
            continue
        seen.add(here)
        if isinstance(here, Merge):
            yield here
        if isinstance(here, (Stage, Sliced)):
            stack.append(here.value)
        else:
            stack += [part for _, part, _ in _inputs(here)]


def _invocations(graph: Graph) -> Counter[int]:
    """Calls of methods by the identity of their merge's span."""
    places = Counter(node.origin for node in graph.nodes if isinstance(node.op, Invoke))
    return _by_span(graph, places)


def _bytes(graph: Graph) -> Counter[int]:
    """Bytes of the results of methods by the identity of their merge's span."""
    sizes: Counter[int] = Counter()
    for node in graph.nodes:
        if isinstance(node.op, Invoke):
            elements = 1
            for size in node.type.shape:
                elements *= size
            sizes[node.origin] += elements * node.type.dtype.itemsize
    return _by_span(graph, sizes)


def _by_span(graph: Graph, by_origin: Mapping[int, int]) -> Counter[int]:
    found: Counter[int] = Counter()
    for origin, value in by_origin.items():
        found[id(graph.origins[origin].span)] += value
    return found


def _states(plan: Plan) -> dict[int, Counter[State]]:
    """Steps by what becomes of the values of each merge, by the identity of its span."""
    nodes, origins = plan.optimised.nodes, plan.optimised.origins
    known: dict[tuple[int, int], tuple[tuple[int, State], ...]] = {}
    counts: dict[int, Counter[State]] = {}
    for component, choice in zip(plan.components, plan.choices, strict=True):
        key = (id(component.template), id(choice))
        if key not in known:
            known[key] = tuple(value_states(component, choice))
        for place, state in known[key]:
            counts.setdefault(nodes[component.nodes[place]].origin, Counter())[state] += 1
    found: dict[int, Counter[State]] = {id(origin.span): Counter() for origin in origins}
    for origin, states in counts.items():
        found[id(origins[origin].span)].update(states)
    return found


def value_states(component: Component, choice: Option) -> Iterator[tuple[int, State]]:
    """(place among the component's nodes, what becomes of the value) of each method's result."""
    outputs = {node for node, _ in component.template.program.outputs}
    computed = Counter(
        value
        for sweep in choice.sweeps
        if not sweep.only_ranks
        for value in {i for segment in sweep.segments for i in segment.elements}
    )
    for place, _, value in component.template.values:
        if value in choice.spilled:
            yield place, "spilled"
        elif value in choice.held:
            yield place, "held"
        elif computed[value] > 1:
            yield place, "recomputed"
        else:
            yield place, "written" if value in outputs else "fused"
