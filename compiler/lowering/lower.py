"""Bound -> Graph: one node per tensor operation, for every tensor of every output.

Lowering goes from each output's tensor names down to the loads. A tensor has a name in each model
that it passes through: a slice renumbers layers, a stack renumbers them again. Settings of a merge
are picked by the name in the output that the merge stands in, columns by the name in the source;
slicing an expression or naming it as a stage starts a new model with names of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.tied_head import tied_embedding
from ...grammar.diagnostics import Diagnostic, Diagnostics
from ...ops.dtypes import BY_NAME, DType
from ...ops.method import Call
from ...ops.parameters import Value
from ..binding.bound import (
    Bound,
    BoundExpr,
    ByName,
    Choice,
    Gradient,
    Merge,
    Output,
    Setting,
    Sliced,
    Source,
    Stack,
    Stage,
    Uncovered,
    evaluate,
)
from ..binding.model_structure import Structures, added_adapter, is_delta, is_sparse
from ..graph.graph import Graph, Invocation, Invoke, Load, TensorType, tensor_type
from .findings import Findings
from .random_streams import Streams
from .result_types import Variation, result_type, variation

_MISSING: Any = object()


@dataclass
class Lowered:
    """A graph, and the pairs of non-float tensors whose content must turn out to be the same."""

    graph: Graph
    equalities: list[tuple[Load, Load]]
    structures: Structures
    warnings: Sequence[Diagnostic]


def lower(bound: Bound, problems: Diagnostics) -> Lowered:
    """The graph of a recipe; problems are collected, errors among them make the graph unusable."""
    lowering = _Lowering(bound, problems)
    for number, output in enumerate(bound.outputs):
        lowering.output(number, output)
    lowering.findings.report(problems)
    return Lowered(lowering.graph, lowering.equalities, lowering.structures, problems.warnings)


@dataclass
class _Lowering:
    bound: Bound
    problems: Diagnostics
    graph: Graph = field(default_factory=Graph)
    equalities: list[tuple[Load, Load]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.structures = Structures(self.problems)
        self.findings = Findings()
        self._stage = ""
        self._stages: dict[tuple[Stage, str], int | None] = {}
        self._variation: dict[Merge, Variation] = {}
        self._invocations: dict[tuple[Merge, float], Invocation] = {}
        self._streams = Streams(self.bound.settings.seed)
        self._pools: dict[tuple[Merge, int], int] = {}

    def output(self, number: int, output: Output) -> None:
        origin = self.graph.origin("", output.span)
        for name in self.structures.names(output.value):
            value = self.tensor(output.value, name, name)
            if value is None:
                continue
            kind = self.graph.nodes[value].type
            dtype = kind.dtype
            if dtype.is_float:
                dtype = self._saved_as(output, name) or dtype
            self.graph.write(number, name, value, dtype, origin)

    def _saved_as(self, output: Output, name: str) -> DType | None:
        """The dtype that a `save` asks for a tensor."""
        if not isinstance(output.dtype, ByName):
            return output.dtype
        depth = self.structures.depth(output.value, name)
        self.findings.tried(output.dtype, name, depth)
        position = self.structures.position(output.value, name)
        return BY_NAME[str(evaluate(output.dtype, name, position, depth))]

    def tensor(self, expr: BoundExpr, name: str, outer: str) -> int | None:
        """The node of an expression's tensor, or None if it has none of that name.

        outer: the tensor's name in the model that the expression stands in.
        """
        match expr:
            case Source():
                if isinstance(expr.checkpoint, Adapter) and expr.checkpoint.replaced:
                    self.findings.replacing(expr)
                return self._load(expr, name)
            case Stage():
                return self._stage_tensor(expr, name)
            case Merge():
                return self._merge(expr, name, outer)
            case Sliced():
                inner = self._unsliced(expr, name)
                return None if inner is None else self.tensor(expr.value, inner, inner)
            case Stack():
                return self._stacked(expr, name, outer)
            case Choice():
                depth = self.structures.depth(expr, outer)
                self.findings.chosen(expr, outer, depth)
                for matcher, value in expr.arms:
                    if matcher.matches(outer, depth):
                        return self.tensor(value, name, outer)
                self.findings.uncovered(expr.span, "a model", outer)
                return None

    def _load(self, source: Source, name: str) -> int | None:
        """A checkpoint's tensor, a tied head among them."""
        checkpoint = source.checkpoint
        tensor = checkpoint.tensors.get(name) or tied_embedding(checkpoint, name)
        if tensor is None:
            return None
        return self.graph.load(checkpoint, tensor, self.graph.origin(self._stage, source.span))

    def _stage_tensor(self, stage: Stage, name: str) -> int | None:
        key = (stage, name)
        if key not in self._stages:
            around, self._stage = self._stage, stage.name
            self._stages[key] = self.tensor(stage.value, name, name)
            self._stage = around
        return self._stages[key]

    def _unsliced(self, expr: Sliced, name: str) -> str | None:
        """The name that a slice's tensor has in the model that is sliced."""
        if name not in self.structures.names(expr):
            return None
        layers = self.structures.layers(expr)
        place = layers.locate(name)
        if place is None:
            return name
        start, _ = self.structures.bounds(expr)
        return self.structures.layers(expr.value).rename(name, place.layer + start)

    def _stacked(self, expr: Stack, name: str, outer: str) -> int | None:
        layers = self.structures.layers(expr)
        place = layers.locate(name)
        if place is None:
            leading = layers.is_leading(name)
            return self.tensor(expr.parts[0 if leading else -1], name, outer)
        layer = place.layer
        for part in expr.parts:
            count = self.structures.layers(part).count
            if layer < count:
                return self.tensor(part, layers.rename(name, layer), outer)
            layer -= count
        return None

    # Merges -------------------------------------------------------------------------------------

    def _merge(self, merge: Merge, name: str, outer: str) -> int | None:
        if (adapter := added_adapter(merge)) is not None:
            return self._adapted(merge, adapter, name, outer)
        inputs = [self.tensor(row.value, name, outer) for row in merge.rows]
        if merge.base is not None:
            inputs.append(self.tensor(merge.base, name, outer))
        present = [node for node in inputs if node is not None]
        if not present:
            return None
        # a tensor that stands for the merge where nothing is merged: the base's, else the first
        standing = present[-1] if merge.base is not None and inputs[-1] is not None else present[0]
        if len(present) < len(inputs):
            return self._lacking(merge, name, outer, inputs, standing)
        types = [self.graph.nodes[node].type for node in present]
        alike = types.count(types[0]) == len(types)
        if not alike and any(kind.shape != types[0].shape for kind in types):
            self.findings.shapes(merge, name, [kind.shape for kind in types])
            return standing
        if not types[0].dtype.is_float or not (alike or all(t.dtype.is_float for t in types)):
            return self._unmergeable(merge, name, present, standing)
        beside = self._beside(merge, name, types[0].shape) if merge.method.model_columns else {}
        if beside is None:
            return None if self.bound.settings.missing == "skip" else standing
        return self._invoke(merge, name, outer, present, types, beside)

    def _adapted(self, merge: Merge, source: Source, name: str, outer: str) -> int | None:
        """A model's tensor with an adapter's delta added, replaced by it, or unchanged."""
        adapter = source.checkpoint
        assert isinstance(adapter, Adapter)
        whole, delta = adapter.replaced.get(name), self._load(source, name)
        model = self.tensor(merge.rows[0].value, name, outer)
        if model is None:
            self.findings.unadapted(source, name)
            return None
        if whole is not None:
            origin = self.graph.origin(self._stage, source.span)
            model = self.graph.load(adapter, whole, origin)
        if delta is None:
            return model
        types = [self.graph.nodes[node].type for node in (model, delta)]
        if types[0].shape != types[1].shape:
            self.findings.shapes(merge, name, [kind.shape for kind in types])
            return model
        return self._invoke(merge, name, outer, [model, delta], types, {})

    def _beside(
        self, merge: Merge, name: str, shape: tuple[int, ...]
    ) -> dict[str, list[int]] | None:
        """The tensors of each column of models, source by source; None where one must not lack.

        A column that may lack tensors has none where any source's lacks it.
        """
        found: dict[str, list[int]] = {}
        for parameter in merge.method.model_columns:
            nodes: list[int] = []
            lacking: list[BoundExpr] = []
            for row in merge.rows:
                model = row.models[parameter.name]
                inner = None if isinstance(model, Sliced) else self._inner(row.value, name)
                node = self.tensor(model, inner or name, inner or name)
                if node is None:
                    lacking.append(model)
                else:
                    nodes.append(node)
            if lacking and parameter.required:
                if self.bound.settings.missing == "error":
                    self.findings.missing(merge, name, lacking)
                return None
            found[parameter.name] = [] if lacking else nodes
            types = [self.graph.nodes[node].type for node in found[parameter.name]]
            wanted = parameter.shape(shape)
            if any(kind.shape != wanted for kind in types):
                self.findings.shapes(merge, name, [wanted, *(kind.shape for kind in types)])
                return None
            if not all(kind.dtype.is_float for kind in types):
                self.findings.differing(merge, name)
                return None
        return found

    def _inner(self, expr: BoundExpr, name: str) -> str | None:
        """The name that a source's tensor has in the model that it is a slice of."""
        return self._unsliced(expr, name) if isinstance(expr, Sliced) else name

    def _lacking(
        self, merge: Merge, name: str, outer: str, inputs: list[int | None], standing: int
    ) -> int | None:
        """What happens to a tensor that some inputs lack: `set missing` says."""
        policy = self.bound.settings.missing
        absent = [
            merge.rows[i].value if i < len(merge.rows) else merge.base
            for i, node in enumerate(inputs)
            if node is None
        ]
        lacking = [expr for expr in absent if expr is not None and not is_sparse(expr)]
        if policy == "error" and lacking:
            self.findings.missing(merge, name, lacking)
        if policy == "skip":
            return None
        kind = self.graph.nodes[standing].type
        if not kind.dtype.is_float or not (
            merge.method.gives_delta or any(is_delta(row.value) for row in merge.rows)
        ):
            return standing
        return self._without_delta(merge, name, outer, inputs, kind)

    def _without_delta(
        self, merge: Merge, name: str, outer: str, inputs: list[int | None], kind: TensorType
    ) -> int | None:
        """A difference or a sum that lacks a side: what isn't there has changed by nothing.

        kind: the type of the side that is there. A delta with no model to add it to is no tensor.
        """
        delta = tensor_type(kind.shape, kind.dtype, "delta")
        zero = self.graph.zero(delta, self.graph.origin(self._stage, merge.span))
        if merge.method.gives_delta:
            return zero
        if kind.space == "delta" and not is_delta(merge):
            return None
        complete = [zero if node is None else node for node in inputs]
        types = [self.graph.nodes[node].type for node in complete]
        return self._invoke(merge, name, outer, complete, types, {})

    def _unmergeable(self, merge: Merge, name: str, present: list[int], standing: int) -> int:
        """Tensors without fractions aren't merged: they must be the same, and one is copied."""
        first = self.graph.nodes[standing].op
        for node in present:
            other = self.graph.nodes[node].op
            if (
                not (isinstance(first, Load) and isinstance(other, Load))
                or first.tensor.dtype != other.tensor.dtype
            ):
                self.findings.differing(merge, name)
            elif node != standing and (first, other) not in self.equalities:
                self.equalities.append((first, other))
        return standing

    def _invoke(
        self,
        merge: Merge,
        name: str,
        outer: str,
        inputs: list[int],
        types: list[TensorType],
        beside: dict[str, list[int]],
    ) -> int:
        method = merge.method
        has_base = merge.base is not None
        keys: tuple[int, ...] = ()
        if method.random:
            keys = self._streams.keys(
                merge, [self._inner(r.value, name) or name for r in merge.rows]
            )
        origin = self.graph.origin(self._stage, merge.span)
        varies = self._varies(merge)
        position = self.structures.position(merge, name) if varies else 0.0
        known = None if varies == "by name" else (merge, position)
        invocation = self._invocations.get(known) if known else None
        if invocation is not None:
            pools = self._pools_of(merge, invocation)
            kind = result_type(merge, invocation.settings, types)
            return self.graph.invoke(Invoke(invocation, keys, pools), tuple(inputs), kind, origin)
        evaluated = self._parameters(merge, name, outer, position)
        if evaluated is None:
            return inputs[0]
        columns, settings = evaluated
        for key, nodes in beside.items():
            row_nodes: Sequence[int | None] = nodes or [None] * len(columns)
            columns = tuple(row | {key: node} for row, node in zip(columns, row_nodes, strict=True))
        base = inputs[-1] if has_base else None
        call = Call(tuple(inputs[: len(columns)]), base, columns, settings, keys)
        invocation = self.graph.invocation(method, method.columns_of(call), settings, has_base)
        if known:
            self._invocations[known] = invocation
        kind = result_type(merge, settings, types)
        pools = self._pools_of(merge, invocation)
        return self.graph.invoke(Invoke(invocation, keys, pools), method.inputs(call), kind, origin)

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

    def _parameters(
        self, merge: Merge, name: str, outer: str, position: float
    ) -> tuple[tuple[dict[str, Value], ...], dict[str, Value]] | None:
        """Every parameter's value for one tensor, or None where one has none."""
        columns: list[dict[str, Value]] = []
        complete = True
        for number, row in enumerate(merge.rows):
            inner = self._inner(row.value, name)
            values: dict[str, Value] = {}
            for key, setting in row.columns.items():
                found: Any = setting
                if isinstance(setting, (ByName, Gradient)):
                    found = self._value(merge, (number, key), setting, inner or name, position)
                    complete = complete and found is not _MISSING
                values[key] = found
            columns.append(values)
        settings: dict[str, Value] = {}
        for key, setting in merge.settings.items():
            found = setting
            if isinstance(setting, (ByName, Gradient)):
                found = self._value(merge, key, setting, outer, position)
                complete = complete and found is not _MISSING
            settings[key] = found
        if merge.method.position is not None:
            settings[merge.method.position.name] = position
        return (tuple(columns), settings) if complete else None

    def _value(
        self,
        merge: Merge,
        key: str | tuple[int, str],
        setting: Setting,
        name: str,
        position: float,
    ) -> Any:
        depth = None
        if isinstance(setting, ByName):
            depth = self.structures.depth(merge, name) if setting.needs_depth else None
            self.findings.tried(setting, name, depth)
        try:
            return evaluate(setting, name, position, depth)
        except Uncovered:
            label = key if isinstance(key, str) else key[1]
            span = merge.spans.get(key, setting.span if isinstance(setting, ByName) else merge.span)
            self.findings.uncovered(span, label, name)
            return _MISSING
