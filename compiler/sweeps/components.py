"""Graph -> Components: which outputs are computed together, and the template that each follows.

Outputs that share computed values, or that read exactly the same tensors, are one component: every
source tensor is read once per sweep for all of them. A component's template is its structure with
tensors, numbers and shapes left out; a checkpoint's hundreds of tensors share a few templates, so
that sweeps are derived, kernels generated and schedules searched once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from ...checkpoints.stores import StoredFile
from ...ops.dtypes import DType
from ...ops.primitives import TABLE, Role, ValueKind
from ...ops.symbols import Instruction as Primitive
from ...ops.symbols import Trace
from ..graph.graph import Graph, Invoke, Load, Node, Write, Zero
from .collapse import collapse
from .program import Program
from .verify_sweeps import verify_program

TILE = 128 * 1024
"""Elements that a kernel is called on at once. Never a function of memory, threads or shards, so
that sums are added up alike everywhere."""

TILES_AT_ONCE = 4
"""Tiles that are read and written at once: calls of the system are few, and buffers small."""

MOST_INPUTS = 96
"""Outputs are joined by what they share up to this many distinct inputs; beyond, values are
computed again, since a kernel of unbounded size could not be compiled."""


@dataclass(frozen=True, eq=False)
class Template:
    """What components of one structure share: their program.

    stages: for each of the program's values that a graph node gives, that node's place in the
    component, its method's name and the program's node.
    """

    program: Program
    copies: bool
    values: tuple[tuple[int, str, int], ...]


class Target(NamedTuple):
    """An output tensor: which output, and its name there."""

    output: int
    name: str


class Component(NamedTuple):
    """One unit of planning and work: output tensors of one shape that are computed together.

    nodes: the component's graph nodes, ascending. loads: the tensor of each input slot. targets:
    the tensors of each output number. params, keys, pools: vectors that the program's leaves refer
    to.
    """

    template: Template
    nodes: tuple[int, ...]
    loads: tuple[Load, ...]
    targets: tuple[tuple[Target, ...], ...]
    params: tuple[float, ...]
    keys: tuple[int, ...]
    pools: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def columns(self) -> int:
        """The length of a row: the last dimension; a vector is one row."""
        return self.shape[-1] if self.shape else 1

    @property
    def tile(self) -> int:
        """Elements of a tile: TILE, or as many whole rows as fit in it (at least one)."""
        if not self.template.program.rowwise:
            return TILE
        columns = max(1, self.columns)
        return max(1, TILE // columns) * columns

    @property
    def tiles(self) -> int:
        """How many tiles a walk takes; an empty tensor has one."""
        return max(1, -(-self.numel // self.tile))

    @property
    def files(self) -> list[StoredFile]:
        """The files that its inputs are read from; one may be there several times."""
        return [file for load in self.loads for file in load.tensor.files]

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def pooled(self) -> dict[int, int]:
        """selection -> pool, of each selection whose threshold is a whole model's."""
        program = self.template.program
        return {i: self.pools[int(program.nodes[i].attr[0])] for i in program.pooled}


def components(
    graph: Graph, compute: DType, refuses_nonfinite: bool = True, optimise: int = 1
) -> list[Component]:
    """The graph's components, in the order of their first output tensor.

    refuses_nonfinite: NaN or infinity in an input will be an error. optimise: from 2 on, sums may
    be taken apart in ways that change their last bits (`collapse`).
    """
    templates = _Templates(compute, refuses_nonfinite, optimise >= 2)
    return [_component(graph, group, templates) for group in _groups(graph)]


def _groups(graph: Graph) -> Iterator[list[int]]:
    """Groups of writes that are computed together."""
    union = _Union()
    by_value: dict[int, int] = {}
    by_loads: dict[frozenset[int], int] = {}
    loads_of: dict[int, frozenset[int]] = {}
    for index, node in graph.writes():
        inner, loads = _behind(graph, node.inputs[0])
        union.add(index)
        loads_of[index] = loads
        for value in inner:
            first = by_value.setdefault(value, index)
            if first != index:
                op = graph.nodes[value].op
                # a pool's values are counted where they are computed, which has to be one place
                pooled = isinstance(op, Invoke) and bool(op.pools)
                _join(union, loads_of, first, index, most=None if pooled else MOST_INPUTS)
        if inner or graph.nodes[node.inputs[0]].type.dtype.is_float:
            first = by_loads.setdefault(loads, index)
            if first != index:
                _join(union, loads_of, first, index)
    yield from union.groups()


def _behind(graph: Graph, value: int) -> tuple[list[int], frozenset[int]]:
    """(computed nodes, loads) that a value needs."""
    nodes = graph.nodes
    inputs = nodes[value].inputs
    if inputs and all(isinstance(nodes[i].op, Load) for i in inputs):
        return [value], frozenset(inputs)
    inner: list[int] = []
    loads: list[int] = []
    seen = {value}
    stack = [value]
    while stack:
        index = stack.pop()
        node = graph.nodes[index]
        (loads if isinstance(node.op, Load) else inner).append(index)
        for i in node.inputs:
            if i not in seen:
                seen.add(i)
                stack.append(i)
    return inner, frozenset(loads)


class _Union:
    """Disjoint sets of writes; a set's root is its first member."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def add(self, index: int) -> None:
        self.parent[index] = index

    def root(self, index: int) -> int:
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def groups(self) -> Iterator[list[int]]:
        found: dict[int, list[int]] = {}
        for index in self.parent:
            found.setdefault(self.root(index), []).append(index)
        yield from found.values()


def _join(
    union: _Union,
    loads_of: dict[int, frozenset[int]],
    left: int,
    right: int,
    most: int | None = MOST_INPUTS,
) -> None:
    """Compute two writes together, unless that would take more inputs than `most`."""
    first, second = sorted((union.root(left), union.root(right)))
    if first == second:
        return
    loads = loads_of[first] | loads_of[second]
    if most is None or len(loads) <= most:
        union.parent[second] = first
        loads_of[first] = loads


def _component(graph: Graph, writes: Sequence[int], templates: _Templates) -> Component:
    nodes = graph.nodes
    order = sorted(_members(graph, writes))
    members = [nodes[index] for index in order]
    local = {index: place for place, index in enumerate(order)}
    loads = tuple([node.op for node in members if isinstance(node.op, Load)])
    invokes = [node.op for node in members if isinstance(node.op, Invoke)]
    outputs: dict[tuple[int, DType], list[Target]] = {}
    for index in writes:
        node = nodes[index]
        assert isinstance(node.op, Write)
        stored = (local[node.inputs[0]], node.type.dtype)
        outputs.setdefault(stored, []).append(Target(node.op.output, node.op.name))
    key = (
        tuple([_signature(node, local) for node in members]),
        tuple(outputs),
    )
    template = templates.known.get(key)
    if template is None:
        template = templates.known[key] = templates.make(members, local, tuple(outputs))
    if len(invokes) == 1:
        params, keys, pools = invokes[0].invocation.params, invokes[0].keys, invokes[0].pools
    else:
        params = tuple(p for op in invokes for p in op.invocation.params)
        keys = tuple(k for op in invokes for k in op.keys)
        pools = tuple(p for op in invokes for p in op.pools)
    targets = tuple([tuple(names) for names in outputs.values()])
    shape = nodes[writes[0]].type.shape
    return Component(template, tuple(order), loads, targets, params, keys, pools, shape)


def _members(graph: Graph, writes: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for index in writes:
        inner, loads = _behind(graph, graph.nodes[index].inputs[0])
        found.update(inner, loads)
    return found


def _signature(node: Node, local: dict[int, int]) -> Any:
    """What of a node its component's template depends on."""
    op = node.op
    if isinstance(op, Load):
        return op.tensor.dtype
    if isinstance(op, Invoke):
        return (op.invocation.trace, *[local[i] for i in node.inputs])
    return "zero"


class _Templates:
    """The templates made so far, by structure."""

    def __init__(self, compute: DType, refuses_nonfinite: bool, collapsing: bool) -> None:
        self.known: dict[Any, Template] = {}
        self._compute = compute
        self._refuses_nonfinite = refuses_nonfinite
        self._collapsing = collapsing

    def make(
        self,
        members: Sequence[Node],
        local: dict[int, int],
        outputs: tuple[tuple[int, DType], ...],
    ) -> Template:
        """The template of a component's nodes."""
        lone = members[0].op if len(members) == 1 else None
        copies = isinstance(lone, Load) and all(d == lone.tensor.dtype for _, d in outputs)
        assembly = _Assembly()
        for node in members:
            assembly.add(node, tuple(local[i] for i in node.inputs))
        values = assembly.values
        program = Program(
            nodes=tuple(assembly.nodes),
            inputs=tuple(assembly.inputs),
            outputs=tuple((values[place], dtype) for place, dtype in outputs),
            compute=self._compute,
            refuses_nonfinite=self._refuses_nonfinite,
        )
        verify_program(program)
        if self._collapsing:
            program, moved = collapse(program)
            values = [moved[value] for value in values]
            verify_program(program)
        named = tuple(
            (place, node.op.invocation.method.name, values[place])
            for place, node in enumerate(members)
            if isinstance(node.op, Invoke)
        )
        return Template(program, copies, named)


class _Assembly:
    """Joins the traces of a component's nodes into one list of primitives; equal ones are one."""

    def __init__(self) -> None:
        self.nodes: list[Primitive] = []
        self.inputs: list[DType] = []
        self.values: list[int] = []
        self._known: dict[Any, int] = {}
        self._params = 0
        self._keys = 0
        self._pools = 0

    def add(self, node: Node, inputs: tuple[int, ...]) -> None:
        if isinstance(node.op, Load):
            leaf = Primitive("input", (), (len(self.inputs),), ValueKind.TENSOR)
            self.inputs.append(node.op.tensor.dtype)
            self.values.append(self._intern(leaf))
        elif isinstance(node.op, Zero):
            self.values.append(self._zero())
        elif isinstance(node.op, Invoke):
            self.values.append(self._splice(node.op, [self.values[i] for i in inputs]))

    def _splice(self, op: Invoke, inputs: Sequence[int]) -> int:
        trace: Trace = op.invocation.trace
        place: list[int] = []
        for primitive in trace.nodes:
            args = tuple(place[i] for i in primitive.args)
            if primitive.role is Role.INPUT:
                place.append(inputs[int(primitive.attr[0])])
                continue
            attr = primitive.attr
            if primitive.role is Role.WHOLE_INPUT:  # it is a load, and stays in its own shape
                attr = self.nodes[inputs[int(attr[0])]].attr
            if primitive.role is Role.PARAMETER:
                attr = (int(attr[0]) + self._params,)
            elif stream := TABLE[primitive.name].stream:
                attr = (int(attr[0]) + (self._keys if stream == "keys" else self._pools),)
            place.append(self._intern(Primitive(primitive.name, args, attr, primitive.kind)))
        self._params += len(op.invocation.params)
        self._keys += len(op.keys)
        self._pools += len(op.pools)
        return place[trace.result]

    def _zero(self) -> int:
        # a tensor of zeros is computed as any other: 0 where nothing is
        zero = self._intern(Primitive("const", (), (0.0,), ValueKind.SCALAR))
        one = self._intern(Primitive("const", (), (1.0,), ValueKind.SCALAR))
        never = self._intern(Primitive("less", (one, zero), (), ValueKind.FLAG))
        return self._intern(Primitive("where", (never, one, zero), (), ValueKind.TENSOR))

    def _intern(self, primitive: Primitive) -> int:
        key = (primitive.name, primitive.args, tuple((type(a), repr(a)) for a in primitive.attr))
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self.nodes)
            self.nodes.append(primitive)
        return index
