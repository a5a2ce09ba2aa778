"""The tensor graph: one node per tensor operation that a reader of the recipe thinks in.

Nodes live in a list in creation order, so every input comes before its user, and are interned on a
shallow key: equal work is one node by construction, so stages, outputs and slices share it without
a pass. Walk graphs with loops; a recursive walk of a shared graph is exponential.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.source_tensors import SourceTensor
from ...grammar.diagnostics import Span
from ...ops.dtypes import DType
from ...ops.method import Method
from ...ops.parameters import Value
from ...ops.primitives import TABLE
from ...ops.symbols import Trace

Space: TypeAlias = Literal["weight", "delta"]


class TensorType(NamedTuple):
    """dtype: what the tensor's inputs promote to. rounded: whether its values fit that dtype.

    weak: whether it takes the dtype of what it's combined with, as an adapter's delta does.
    """

    shape: tuple[int, ...]
    dtype: DType
    space: Space = "weight"
    rounded: bool = False
    weak: bool = False


@cache
def tensor_type(
    shape: tuple[int, ...],
    dtype: DType,
    space: Space = "weight",
    rounded: bool = False,
    weak: bool = False,
) -> TensorType:
    """The one object of a type: a hundred thousand tensors have few."""
    return TensorType(shape, dtype, space, rounded, weak)


class Origin(NamedTuple):
    """Where in the recipe a node comes from: its stage's name (empty: none) and its place."""

    stage: str
    span: Span | None


class Load(NamedTuple):
    """A tensor of a checkpoint."""

    checkpoint: Checkpoint
    tensor: SourceTensor


class Write(NamedTuple):
    """A tensor of an output: which output, under which name; the node's dtype is the file's."""

    output: int
    name: str


@dataclass(frozen=True, eq=False)
class Invocation:
    """A method with its parameters, shared by all tensors that it is applied to alike.

    static and params: `Method.flatten` of columns and settings.
    """

    method: Method
    sources: int
    has_base: bool
    columns: tuple[dict[str, Value], ...]
    settings: dict[str, Value]
    static: tuple[Value, ...]
    params: tuple[float, ...]

    @cached_property
    def inputs(self) -> int:
        """How many inputs a node of it has."""
        return self.method.count_inputs(self.columns, self.has_base)

    @cached_property
    def pools(self) -> int:
        """How many of its thresholds are shared by all tensors of a model."""
        places = (int(n.attr[0]) for n in self.trace.nodes if TABLE[n.name].stream == "pools")
        return max(places, default=-1) + 1

    @cached_property
    def trace(self) -> Trace:
        return self.method.trace(self.sources, self.has_base, self.static, self.params)


class Invoke(NamedTuple):
    """A method's invocation on one tensor.

    keys: its sources' streams of random numbers. pools: for each threshold that tensors of a model
    share the number of their pool.
    """

    invocation: Invocation
    keys: tuple[int, ...]
    pools: tuple[int, ...] = ()


class Zero(NamedTuple):
    """A tensor of zeros."""


Op: TypeAlias = Load | Invoke | Zero | Write


class Node(NamedTuple):
    """inputs: the sources in recipe order, then the base. origin: index into `Graph.origins`."""

    op: Op
    inputs: tuple[int, ...]
    type: TensorType
    origin: int


@dataclass
class Graph:
    """Nodes in creation order, and the tables that they refer to."""

    nodes: list[Node] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)
    _invocations: dict[Any, Invocation] = field(default_factory=dict)

    def add(self, node: Node) -> int:
        """The node's place; that of an equal node if there is one. Writes are never equal."""
        index = len(self.nodes)
        key = _key(node)
        if key is not None:
            found = self._known.setdefault(key, index)
            if found != index:
                return found
        self.nodes.append(node)
        return index

    def load(self, checkpoint: Checkpoint, tensor: SourceTensor, origin: int) -> int:
        nodes = self.nodes
        index = len(nodes)
        found = self._known.setdefault(tensor, index)
        if found == index:
            nodes.append(Node(Load(checkpoint, tensor), (), _loaded(checkpoint, tensor), origin))
        return found

    def invocation(
        self,
        method: Method,
        columns: Sequence[dict[str, Value]],
        settings: Mapping[str, Value],
        has_base: bool,
    ) -> Invocation:
        """The invocation with these parameters; the same object for the same parameters."""
        static, params = method.flatten(columns, dict(settings))
        # -0.0 and 0.0, 1 and 1.0 and True are told apart
        bits = struct.pack(f"{len(params)}d", *params)
        key = (method.name, len(columns), has_base, tuple((type(v), v) for v in static), bits)
        found = self._invocations.get(key)
        if found is None:
            found = self._invocations[key] = Invocation(
                method, len(columns), has_base, tuple(columns), dict(settings), static, params
            )
        return found

    def invoke(self, op: Invoke, inputs: tuple[int, ...], kind: TensorType, origin: int) -> int:
        return self.add(Node(op, inputs, kind, origin))

    def zero(self, kind: TensorType, origin: int) -> int:
        return self.add(Node(Zero(), (), kind, origin))

    def write(self, output: int, name: str, value: int, dtype: DType, origin: int) -> int:
        kind = tensor_type(self.nodes[value].type.shape, dtype, "weight", True)
        return self.add(Node(Write(output, name), (value,), kind, origin))

    def beginning(self, count: int) -> Graph:
        """A graph of the first nodes, in their places, to which others can be added."""
        graph = Graph(origins=list(self.origins), _invocations=dict(self._invocations))
        for node in self.nodes[:count]:
            graph.add(node)
        return graph

    def freeze(self) -> None:
        """Let go of the tables that adding to the graph needs."""
        self._known, self._invocations = {}, {}

    def origin(self, stage: str, span: Span | None) -> int:
        """The index of an origin."""
        key = (stage, span)
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self.origins)
            self.origins.append(Origin(stage, span))
        return index

    def writes(self) -> Iterator[tuple[int, Node]]:
        return ((i, node) for i, node in enumerate(self.nodes) if isinstance(node.op, Write))


def _loaded(checkpoint: Checkpoint, tensor: SourceTensor) -> TensorType:
    """The type of a tensor as it is read."""
    if isinstance(checkpoint, Adapter) and checkpoint.tensors.get(tensor.name) is tensor:
        return tensor_type(tensor.shape, tensor.dtype, "delta", True, True)
    natural = tensor.natural
    return tensor_type(tensor.shape, natural, "weight", natural is tensor.dtype)


def _key(node: Node) -> Any:
    """Equal for nodes that are the same work; None for a write."""
    op = node.op
    if isinstance(op, Invoke):
        return (op.invocation, op.keys, op.pools, node.inputs)
    if isinstance(op, Load):
        return op.tensor  # two references to one folder share their tensors
    return None if isinstance(op, Write) else (Zero, node.type)
