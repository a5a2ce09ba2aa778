"""Expression -> its tensors' names and its layers: what a model is before any tensor is lowered.

Names are in the order in which an output stores them: that of the first checkpoint's files, which
keeps reads sequential.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.layers import Layers, LayerStack
from ...grammar import for_language
from ...grammar.diagnostics import Diagnostics
from ...ops.delta_arithmetic import combination
from .bound import BoundExpr, Choice, Merge, Mixture, Output, Sliced, Source, Stack, Stage

_WITH_BIAS = tuple(f"self_attn.{part}_proj.weight" for part in "qkv")


class Structures:
    """The structure of every expression of a recipe, computed once each."""

    def __init__(self, problems: Diagnostics):
        self._problems = problems
        self._names: dict[BoundExpr, dict[str, None]] = {}
        self._layers: dict[BoundExpr, Layers] = {}

    def names(self, expr: BoundExpr) -> dict[str, None]:
        """Tensor names, ordered."""
        found = self._names.get(expr)
        if found is None:
            found = self._names[expr] = self._find_names(expr)
        return found

    def layers(self, expr: BoundExpr) -> Layers:
        """The layer structure."""
        found = self._layers.get(expr)
        if found is None:
            found = self._layers[expr] = self._find_layers(expr)
        return found

    def config(self, expr: BoundExpr) -> dict[str, Any]:
        """The config of the checkpoint that gives the expression its shape."""
        return first_source(expr).checkpoint.config

    def _find_names(self, expr: BoundExpr) -> dict[str, None]:
        match expr:
            case Source():
                return dict.fromkeys(expr.checkpoint.tensors)
            case Stage():
                return self.names(expr.value)
            case Merge():
                return _union([self.names(part) for part in merge_inputs(expr)])
            case Sliced():
                return self._sliced_names(expr)
            case Stack():
                return self._stacked_names(expr)
            case Choice():
                return _union([self.names(value) for _, value in expr.arms])
            case Mixture():
                return self._mixture_names(expr)

    def _find_layers(self, expr: BoundExpr) -> Layers:
        match expr:
            case Source():
                return self._source_layers(expr)
            case Stage():
                return self.layers(expr.value)
            case Merge():
                return self._merged_layers(expr)
            case Choice():
                return self.layers(expr.arms[0][1])
            case Mixture():
                return self.layers(expr.base)
            case Sliced():
                start, stop = self.bounds(expr)
                return _with_count(self.layers(expr.value), stop - start)
            case Stack():
                count = sum(self.layers(part).count for part in expr.parts)
                return _with_count(self.layers(expr.parts[0]), count)

    def _source_layers(self, expr: Source) -> Layers:
        """A checkpoint's layers; fine-tunes of one model mostly have the same names and config."""
        names, config = self.names(expr), expr.checkpoint.config
        for other, found in self._layers.items():
            if (
                isinstance(other, Source)
                and self.names(other) == names
                and other.checkpoint.config == config
            ):
                return found
        return Layers.of(names, config)

    def _merged_layers(self, expr: Merge) -> Layers:
        """The layers of a merge's inputs, which must be as many in each."""
        inputs = [part for part in merge_inputs(expr) if not is_sparse(part)] or merge_inputs(expr)
        found = [self.layers(part) for part in inputs]
        depths = {layers.count for layers in found}
        if len(depths) > 1:
            counted = " and ".join(str(depth) for depth in sorted(depths))
            self._problems.report(
                "E0321",
                f"the inputs of this merge differ in depth: {counted} layers",
                expr.span,
                notes=tuple(
                    f"{part.span}: {layers.count} layers"
                    for part, layers in zip(inputs, found, strict=True)
                ),
                hint=for_language(
                    expr.span,
                    "give each a range of as many layers: `model[0:16]`",
                    "give each, under `slices`, a `layer_range` of as many layers",
                ),
            )
        return found[0]

    def bounds(self, expr: Sliced) -> tuple[int, int]:
        """The layers that a slice takes, clipped to those that are there; reports any beyond."""
        layers = self.layers(expr.value)
        start = 0 if expr.start is None else expr.start
        stop = layers.count if expr.stop is None else expr.stop
        if not layers.stacks:
            self._problems.report("E0321", "this model has no layers to slice", expr.span)
        elif not layers.uniform:
            depths = ", ".join(f"{s.prefix}* has {s.count}" for s in layers.stacks)
            self._problems.report(
                "E0321",
                "this model's stacks differ in depth: it can't be sliced",
                expr.span,
                notes=(depths,),
            )
        elif stop > layers.count or start >= layers.count:
            self._problems.report(
                "E0321",
                f"layers {start} to {stop} are outside the model, which has {layers.count}",
                expr.span,
                label=f"layers are numbered 0 to {layers.count - 1}",
                hint=for_language(
                    expr.span,
                    f"a range is half-open: `[0:{layers.count}]` is the whole model",
                    f"`layer_range: [0, {layers.count}]` is the whole model",
                ),
            )
        return min(start, layers.count), min(stop, layers.count)

    def _sliced_names(self, expr: Sliced) -> dict[str, None]:
        layers = self.layers(expr.value)
        start, stop = self.bounds(expr)
        found: dict[str, None] = {}
        for name in self.names(expr.value):
            place = layers.locate(name)
            if place is None:
                found[name] = None
            elif start <= place.layer < stop:
                found[layers.rename(name, place.layer - start)] = None
        return found

    def _stacked_names(self, expr: Stack) -> dict[str, None]:
        """Leading tensors of the first part, every part's layers, trailing tensors of the last."""
        self._check_shapes(expr)
        first, last = self.layers(expr.parts[0]), self.layers(expr.parts[-1])
        leading = [
            name
            for name in self.names(expr.parts[0])
            if first.locate(name) is None and first.is_leading(name)
            if not first.is_surplus(name)
        ]
        trailing = [
            name
            for name in self.names(expr.parts[-1])
            if last.locate(name) is None and not last.is_leading(name)
            if not last.is_surplus(name)  # numbered past the last layer: its place is now a layer's
        ]
        found = dict.fromkeys(leading)
        offset = 0
        for part in expr.parts:
            layers = self.layers(part)
            by_layer = sorted(
                (place.layer, order, name)
                for order, name in enumerate(self.names(part))
                if (place := layers.locate(name)) is not None
            )
            for layer, _, name in by_layer:
                found[layers.rename(name, offset + layer)] = None
            offset += layers.count
        return found | dict.fromkeys(trailing)

    def _mixture_names(self, expr: Mixture) -> dict[str, None]:
        """The base's, every tensor of an MLP as one of each expert, a layer's gates at its end."""
        layers, family = self.layers(expr.base), expr.family
        shared, names = expr.shared is not None, self.names(expr.base)
        found: dict[str, None] = {}
        for name in names:
            place = layers.locate(name)
            if place is None:
                found[name] = None
                continue
            stem = name.removesuffix(place.suffix)
            for suffix in family.suffixes(place.suffix, len(expr.experts), shared):
                found[stem + suffix] = None
            if family.wants_bias and place.suffix in _WITH_BIAS:
                found[stem + place.suffix.replace(".weight", ".bias")] = None
        for layer in range(layers.count):
            stem = f"{layers.stacks[0].prefix}{layer}."
            found |= dict.fromkeys(stem + gate for gate in family.gates(shared))
        return found

    def unsliced(self, expr: Sliced, name: str) -> str | None:
        """The name that a slice's tensor has in the model that is sliced; None if it has none."""
        if name not in self.names(expr):
            return None
        place = self.layers(expr).locate(name)
        if place is None:
            return name
        start, _ = self.bounds(expr)
        return self.layers(expr.value).rename(name, place.layer + start)

    def inner_name(self, expr: BoundExpr, name: str) -> str | None:
        """The name that a source's tensor has in the model that it is a slice of."""
        return self.unsliced(expr, name) if isinstance(expr, Sliced) else name

    def depth(self, expr: BoundExpr, name: str) -> int | None:
        """How many layers there are where a tensor is one of a layer's; None where it isn't."""
        layers = self.layers(expr)
        place = layers.locate(name)
        return None if place is None else layers.stacks[place.stack].count

    def position(self, expr: BoundExpr, name: str) -> float:
        """Where a tensor's layer stands among an expression's layers, 0 to 1; outside them 0."""
        layers = self.layers(expr)
        place = layers.locate(name)
        if place is None:
            return 0.0
        count = layers.stacks[place.stack].count
        return place.layer / (count - 1) if count > 1 else 1.0

    def _check_shapes(self, expr: Stack) -> None:
        """Report a model whose layers have no shape in common with those of the first part's.

        The layers of one model may differ among themselves, so all of them are looked at.
        """
        first, *others = dict.fromkeys(first_source(part) for part in expr.parts)
        shapes = self._layer_shapes(first)
        for other in others:
            wrong = [
                f"{suffix}: {_listed(shapes[suffix])} and {_listed(found)}"
                for suffix, found in self._layer_shapes(other).items()
                if suffix in shapes and not found & shapes[suffix]
            ]
            if wrong:
                self._problems.report(
                    "E0318",
                    f"the layers of `{first.reference}` and `{other.reference}` differ in shape",
                    expr.span,
                    notes=tuple(wrong),
                    hint="only layers of one architecture and one width can be stacked",
                )

    def _layer_shapes(self, source: Source) -> dict[str, set[tuple[int, ...]]]:
        """The shapes that each of a layer's tensors has in any of a checkpoint's layers."""
        layers = self.layers(source)
        found: dict[str, set[tuple[int, ...]]] = {}
        for name, tensor in source.checkpoint.tensors.items():
            if (place := layers.locate(name)) is not None:
                found.setdefault(place.suffix, set()).add(tensor.shape)
        return found


def _listed(shapes: Iterable[tuple[int, ...]]) -> str:
    return " or ".join(str(list(shape)) for shape in sorted(shapes))


def merge_inputs(merge: Merge) -> list[BoundExpr]:
    """A merge's inputs, the base first: it gives the result its names and shape."""
    rows = [row.value for row in merge.rows]
    return rows if merge.base is None else [merge.base, *rows]


def first_source(expr: BoundExpr) -> Source:
    """The checkpoint that config and tokenizer are copied from: the base, else the first source."""
    while not isinstance(expr, Source):
        match expr:
            case Stage() | Sliced():
                expr = expr.value
            case Merge():
                expr = merge_inputs(expr)[0]
            case Stack():
                expr = expr.parts[0]
            case Choice():
                expr = expr.arms[0][1]
            case Mixture():
                expr = expr.base
    return expr


def config_source(output: Output) -> Source:
    """The checkpoint whose config and small files an output has."""
    return first_source(output.config or output.value)


def is_delta(expr: BoundExpr) -> bool:
    """Whether an expression is of the kind `delta`: its first operand tells where it's a merge."""
    while not isinstance(expr, Source | Stack | Mixture):
        match expr:
            case Stage() | Sliced():
                expr = expr.value
            case Merge():
                if expr.method.gives_delta:
                    return True
                expr = expr.rows[0].value
            case Choice():
                expr = expr.arms[0][1]
    return isinstance(expr, Source) and isinstance(expr.checkpoint, Adapter)


def is_sparse(expr: BoundExpr) -> bool:
    """Whether an expression changes some tensors only: it is made of adapters alone."""
    return all(isinstance(source.checkpoint, Adapter) for source in sources_of(expr))


def added_adapter(merge: Merge) -> Source | None:
    """The adapter of `model + lora { … }`."""
    if merge.method is not combination or is_delta(merge.rows[0].value):
        return None
    added = merge.rows[1].value
    is_adapter = isinstance(added, Source) and isinstance(added.checkpoint, Adapter)
    return added if isinstance(added, Source) and is_adapter else None


def sources_of(expr: BoundExpr) -> list[Source]:
    """Every checkpoint that an expression reads, each once, in recipe order."""
    found: dict[Source, None] = {}
    seen: set[BoundExpr] = set()
    stack: list[BoundExpr] = [expr]
    while stack:
        here = stack.pop()
        if here in seen:
            continue
        seen.add(here)
        if isinstance(here, Source):
            found[here] = None
        stack.extend(reversed(children(here)))
    return list(found)


def children(expr: BoundExpr) -> Sequence[BoundExpr]:
    """The expressions that an expression is made of."""
    match expr:
        case Source():
            return ()
        case Stage() | Sliced():
            return (expr.value,)
        case Merge():
            beside = [model for row in expr.rows for model in row.models.values()]
            return [*merge_inputs(expr), *beside]
        case Stack():
            return expr.parts
        case Choice():
            return [value for _, value in expr.arms]
        case Mixture():
            shared = [] if expr.shared is None else [expr.shared]
            gates = [expr.gate] if isinstance(expr.gate, Source) else []
            return [expr.base, *(expert.value for expert in (*expr.experts, *shared)), *gates]


def _union(parts: Iterable[dict[str, None]]) -> dict[str, None]:
    first, *rest = parts
    merged = first
    for part in rest:
        if part.keys() != merged.keys():
            merged = merged | part
    return merged


def _with_count(layers: Layers, count: int) -> Layers:
    return Layers(tuple(LayerStack(stack.prefix, count) for stack in layers.stacks))
