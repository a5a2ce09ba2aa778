"""A merge, a tensor's name, its inputs -> a node that invokes the method with what holds for it.

Where a merge's parameters are the same for many tensors these share one invocation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...ops.method import Call
from ..binding.bound import Merge
from ..binding.model_structure import Structures
from ..graph.graph import Graph, Invocation, Invoke, TensorType
from .findings import Findings
from .parameter_lookup import TensorPlace, parameters
from .random_streams import Streams
from .result_types import Variation, result_type, variation


class Operands(NamedTuple):
    """What a merge of one tensor is made of: nodes, a row each and the base's at the end.

    types: of the nodes. beside: of each column of models the nodes, row by row; none where it
    lacks some.
    """

    nodes: Sequence[int]
    types: Sequence[TensorType]
    beside: dict[str, list[int]]


class Invocations:
    """The invocations of a graph that is being made, its random streams and its pools."""

    def __init__(self, graph: Graph, structures: Structures, findings: Findings, seed: int) -> None:
        self._graph = graph
        self._structures = structures
        self._findings = findings
        self._streams = Streams(seed)
        self._variation: dict[Merge, Variation] = {}
        self._known: dict[tuple[Merge, float], Invocation] = {}
        self._pools: dict[tuple[Merge, int], int] = {}

    def invoke(self, merge: Merge, name: str, outer: str, origin: int, operands: Operands) -> int:
        """The node of a merged tensor; its first operand where a parameter has no value."""
        random = merge.method.random
        keys = self._streams.keys(merge, self._inner_names(merge, name)) if random else ()
        varies = self._varies(merge)
        position = self._structures.position(merge, name) if varies else 0.0
        known = None if varies == "by name" else (merge, position)
        invocation = self._known.get(known) if known else None
        inputs = tuple(operands.nodes)
        if invocation is None:
            made = self._made(merge, TensorPlace(name, outer, position), keys, operands)
            if made is None:
                return operands.nodes[0]
            invocation, inputs = made
            if known:
                self._known[known] = invocation
        kind = result_type(merge, invocation.settings, operands.types)
        op = Invoke(invocation, keys, self._pools_of(merge, invocation))
        return self._graph.invoke(op, inputs, kind, origin)

    def _made(
        self, merge: Merge, place: TensorPlace, keys: tuple[int, ...], operands: Operands
    ) -> tuple[Invocation, tuple[int, ...]] | None:
        """An invocation with the parameters that hold at a place, and its inputs in their order.

        None where a parameter has no value there.
        """
        inner = self._inner_names(merge, place.name)
        evaluated = parameters(merge, inner, place, self._structures, self._findings)
        if evaluated is None:
            return None
        columns, settings = evaluated
        for key, nodes in operands.beside.items():
            row_nodes: Sequence[int | None] = nodes or [None] * len(columns)
            columns = tuple(row | {key: node} for row, node in zip(columns, row_nodes, strict=True))
        method, has_base = merge.method, merge.base is not None
        base = operands.nodes[-1] if has_base else None
        call = Call(tuple(operands.nodes[: len(columns)]), base, columns, settings, keys)
        columns = method.columns_of(call)
        return self._graph.invocation(method, columns, settings, has_base), method.inputs(call)

    def _inner_names(self, merge: Merge, name: str) -> list[str]:
        """The tensor's name in each row's model."""
        return [self._structures.inner_name(row.value, name) or name for row in merge.rows]

    def _pools_of(self, merge: Merge, invocation: Invocation) -> tuple[int, ...]:
        """The numbers of the pools of tensors that share a threshold, for each of the method's."""
        if not invocation.pools:
            return ()
        return tuple(
            self._pools.setdefault((merge, place), len(self._pools))
            for place in range(invocation.pools)
        )

    def _varies(self, merge: Merge) -> Variation:
        """Whether a merge's parameters are the same for every tensor, or what they hang on."""
        if merge not in self._variation:
            self._variation[merge] = variation(merge)
        return self._variation[merge]
