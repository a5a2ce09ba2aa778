"""Bound -> Graph: one node per tensor operation, for every tensor of every output.

Lowering goes from each output's tensor names down to the loads. A tensor has a name in each model
that it passes through: a slice renumbers layers, a stack renumbers them again. Settings of a merge
are picked by the name in the output that the merge stands in, columns by the name in the source;
slicing an expression or naming it as a stage starts a new model with names of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.vocabularies.vocabulary_tensors import has_token_rows
from ...grammar.diagnostics import Diagnostic, Diagnostics
from ...ops.dtypes import BY_NAME, DType
from ..binding.bound import (
    Bound,
    BoundExpr,
    ByName,
    Choice,
    Merge,
    Mixture,
    Output,
    Sliced,
    Source,
    Stack,
    Stage,
    evaluate,
)
from ..binding.model_structure import Structures, added_adapter, is_delta, is_sparse
from ..graph.graph import Graph, Load, TensorType, tensor_type
from .findings import Findings
from .invocations import Invocations, Operands
from .mixture_tensors import Mixtures
from .output_vocabularies import OutputVocabularies, OutputVocabulary, stored_tensor


@dataclass
class Lowered:
    """A graph, and the pairs of non-float tensors whose content must turn out to be the same.

    vocabularies: each output's; None where it isn't known.
    """

    graph: Graph
    equalities: list[tuple[Load, Load]]
    structures: Structures
    warnings: Sequence[Diagnostic]
    vocabularies: tuple[OutputVocabulary | None, ...]


def lower(bound: Bound, problems: Diagnostics, truncate: bool = False) -> Lowered:
    """The graph of a recipe; problems are collected, errors among them make the graph unusable.

    truncate: cut embeddings of different sizes to the smallest, where the recipe has no tokenizer.
    """
    finder = OutputVocabularies(truncate, problems)
    vocabularies = tuple(finder.of(output) for output in bound.outputs)
    lowering = _Lowering(bound, problems)
    for number, (output, vocabulary) in enumerate(zip(bound.outputs, vocabularies, strict=True)):
        lowering.output(number, output, vocabulary)
    lowering.findings.report(problems)
    graph, equalities = lowering.graph, lowering.equalities
    return Lowered(graph, equalities, lowering.structures, problems.warnings, vocabularies)


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
        self._mixtures = Mixtures(
            self.graph, self.structures, self.findings, self.bound.settings.seed, self.tensor
        )
        self._vocabulary: OutputVocabulary | None = None
        self._rounds = False  # whether what is made for an output gets its dtype when it's written
        self._stages: dict[tuple[Stage, str, OutputVocabulary | None], int | None] = {}
        self._invocations = Invocations(
            self.graph, self.structures, self.findings, self.bound.settings.seed
        )

    def output(self, number: int, output: Output, vocabulary: OutputVocabulary | None) -> None:
        self._vocabulary, self._rounds = vocabulary, output.dtype is not None
        origin = self.graph.origin("", output.span)
        rows: dict[int, None] = {}
        for name in self.structures.names(output.value):
            value = self.tensor(output.value, name, name)
            if value is None:
                continue
            kind = self.graph.nodes[value].type
            dtype = kind.dtype
            if dtype.is_float:
                dtype = self._saved_as(output, name) or dtype
            self.graph.write(number, name, value, dtype, origin)
            if has_token_rows(name, kind.shape, kind.shape[0] if kind.shape else None):
                rows[kind.shape[0]] = None
        if len(rows) > 1 and isinstance(output.value, Stack):
            self.findings.vocabularies(output.span, list(rows))

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
                inner = self.structures.unsliced(expr, name)
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
            case Mixture():
                origin = self.graph.origin(self._stage, expr.span)
                return self._mixtures.tensor(expr, name, origin, self._rounds)

    def _load(self, source: Source, name: str) -> int | None:
        """A checkpoint's tensor, a tied head among them."""
        checkpoint, known = source.checkpoint, self._vocabulary
        find = stored_tensor if known is None else known.tensor
        if (tensor := find(checkpoint, name)) is None:
            return None
        return self.graph.load(checkpoint, tensor, self.graph.origin(self._stage, source.span))

    def _stage_tensor(self, stage: Stage, name: str) -> int | None:
        vocabulary = self._vocabulary
        if vocabulary is not None and name not in vocabulary.changed:
            vocabulary = None  # the tensor is the same for all outputs
        key = (stage, name, vocabulary)
        if key not in self._stages:
            around, self._stage = self._stage, stage.name
            self._stages[key] = self.tensor(stage.value, name, name)
            self._stage = around
        return self._stages[key]

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
        """A merge's tensor: an adapter's, of the inputs that all have it, or what some lack."""
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
        return self._complete(merge, name, outer, present, standing)

    def _complete(
        self, merge: Merge, name: str, outer: str, inputs: list[int], standing: int
    ) -> int | None:
        """The merge of a tensor that all inputs have: of one shape, and of fractions."""
        types = [self.graph.nodes[node].type for node in inputs]
        shape = types[0].shape
        if any(kind.shape != shape for kind in types):
            self._shapes_differ(merge, name, [kind.shape for kind in types])
            return standing
        if not all(kind.dtype.is_float for kind in types):
            return self._unmergeable(merge, name, inputs, standing)
        beside = self._beside(merge, name, shape) if merge.method.model_columns else {}
        if beside is None:
            return None if self.bound.settings.missing == "skip" else standing
        return self._invoke(merge, name, outer, Operands(inputs, types, beside))

    def _invoke(self, merge: Merge, name: str, outer: str, operands: Operands) -> int:
        origin = self.graph.origin(self._stage, merge.span)
        return self._invocations.invoke(merge, name, outer, origin, operands)

    def _shapes_differ(self, merge: Merge, name: str, shapes: list[tuple[int, ...]]) -> None:
        rest = {shape[1:] for shape in shapes}
        if len(rest) == 1 and all(has_token_rows(name, s, s[0] if s else None) for s in shapes):
            self.findings.vocabularies(merge.span, [shape[0] for shape in shapes])
        else:
            self.findings.shapes(merge, name, shapes)

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
        return self._invoke(merge, name, outer, Operands([model, delta], types, {}))

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
                inner = (
                    None
                    if isinstance(model, Sliced)
                    else self.structures.inner_name(row.value, name)
                )
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
        return self._invoke(merge, name, outer, Operands(complete, types, {}))

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
