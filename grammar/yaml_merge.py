"""One document of mergekit's YAML -> the expression that it merges.

models: [a, b]                      method { "a" …, "b" … }
slices: [{sources: [a, b]}, …]      stack { method { "a"[0:4] …, "b"[0:4] … }, … }
slices of a passthrough             stack { "a"[0:4] scale=…, … }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from .diagnostics import Label, Span, did_you_mean
from .signature import Signature, Signatures
from .syntax import Block, ExprSyntax, Number, RowSyntax, Setting, Slice
from .yaml_models import ModelReader
from .yaml_nodes import Field, YamlReader, is_null
from .yaml_parameters import MERGEKIT_KEYS, MERGEKIT_PARAMETERS, Level, ParameterReader

_BODIES = ("models", "slices", "modules")
IDLE: Mapping[str, str | None] = {
    **dict.fromkeys(sorted(MERGEKIT_PARAMETERS), "parameters stand under `parameters`"),
    **dict.fromkeys(MERGEKIT_KEYS, None),
    "revision": "a revision is written `org/name@revision`",
    "layer_range": "`models` merges whole models, `slices` ranges of their layers",
    "random_seed": "`set seed = …` in a .merge recipe sets it",
}
"""What does nothing where it isn't known, though mergekit's users write it there."""

_BODY_HINT = "`models` merges whole models, `slices` ranges of their layers"


@dataclass(frozen=True, slots=True)
class _Source:
    """A row before the base is told apart: its model, and its model's slice with its columns."""

    model: ExprSyntax
    row: RowSyntax


@dataclass(frozen=True, slots=True)
class _Base:
    """What `base_model` names, and where."""

    model: ExprSyntax
    field: Field


def merge_expression(
    fields: Mapping[str, Field],
    document: yaml.Node,
    reader: YamlReader,
    models: ModelReader,
    signatures: Signatures,
) -> ExprSyntax | None:
    """The merge that a document describes; None (and at least one report) where it has errors."""
    if "merge_method" not in fields:
        reader.complain(document, "a recipe needs a `merge_method`")
        return None
    method = reader.text(fields["merge_method"].value)
    if method is None:
        return None
    place = reader.span(fields["merge_method"].value)
    signature = signatures.get(method)
    if signature is None:
        hint = did_you_mean(method, signatures) or "`mergec methods` lists them"
        reader.problems.report("E0201", f"unknown method `{method}`", place, hint=hint)
        return None
    return _MergeReader(reader, models, method, place, signature).read(fields, document)


class _MergeReader:
    def __init__(
        self,
        reader: YamlReader,
        models: ModelReader,
        method: str,
        place: Span,
        signature: Signature,
    ):
        self.reader = reader
        self.models = models
        self.method = method
        self.place = place
        self.signature = signature
        self.parameters = ParameterReader(reader, method, signature)
        self._base_is_named = False

    def read(self, fields: Mapping[str, Field], document: yaml.Node) -> ExprSyntax | None:
        base = self._base(fields)
        self._base_is_named = "base_model" in fields
        levels = [
            self.parameters.level(fields.get("parameters")),
            self.parameters.implied(self.place),
        ]
        return self._body(fields, document, base, levels)

    def _base(self, fields: Mapping[str, Field]) -> _Base | None:
        field = fields.get("base_model")
        if field is None or is_null(field.value):
            return None
        model = self.models.model(field)
        return _Base(model, field) if model is not None else None

    def _need_base(self, fields: Mapping[str, Field]) -> None:
        """Report, once, that neither the recipe nor this slice of it names a base."""
        if self._base_is_named or "base_model" in fields:
            return
        self._base_is_named = True
        if self.signature.base in ("required", "first"):
            role = "its base" if self.signature.base == "required" else "the model at t = 0"
            self.reader.problems.report(
                "E0303",
                f"`{self.method}` needs a `base_model`",
                self.place,
                hint=f"`base_model: …` names {role}",
            )

    def _body(
        self,
        fields: Mapping[str, Field],
        node: yaml.Node,
        base: _Base | None,
        levels: list[Level],
    ) -> ExprSyntax | None:
        """The merge under whichever of `models`, `slices`, `modules` a mapping has."""
        given = [key for key in _BODIES if key in fields]
        if not given:
            self.reader.problems.report(
                "E0123", "neither `models` nor `slices` is given", self.place, hint=_BODY_HINT
            )
            return None
        if len(given) > 1:
            self.reader.problems.report(
                "E0115",
                f"`{given[0]}` and `{given[1]}` exclude each other",
                fields[given[1]].key_span,
                hint=_BODY_HINT,
                related=(Label(fields[given[0]].key_span, "also given here"),),
            )
            return None
        if given[0] != "slices":
            self._need_base(fields)
        if given[0] == "models":
            return self._whole_models(fields["models"], base, levels)
        if given[0] == "slices":
            return self._slices(fields["slices"], base, levels)
        return self._module(fields["modules"], node, base, levels)

    def _module(
        self, field: Field, node: yaml.Node, base: _Base | None, levels: list[Level]
    ) -> ExprSyntax | None:
        modules = list(self.reader.fields(field.value, "`modules`").values())
        if len(modules) != 1:
            self.reader.complain(field.value, "`modules` must have exactly one module here")
            return None
        keys = ("models", "slices", "parameters")
        fields = self.reader.fields(modules[0].value, "a module", keys, IDLE)
        if not isinstance(modules[0].value, yaml.MappingNode):
            return None
        own = self.parameters.level(fields.get("parameters"))
        return self._body(fields, node, base, [own, *levels])

    # Whole models

    def _whole_models(self, field: Field, base: _Base | None, levels: list[Level]) -> Block | None:
        sources = []
        for item in self.reader.items(field):
            fields = self._source_fields(item, ("model", "parameters"))
            source = self._source(fields, item, None, levels) if fields else None
            if source is not None:
                sources.append(source)
        listed = base is None or any(source.model == base.model for source in sources)
        joins = self.signature.base == "unused" or (
            self.signature.base == "first" and not _is_of_old(sources, base)
        )
        if base is not None and not listed and joins:
            span = self.reader.span(base.field.value)
            row = RowSyntax(base.model, self.parameters.columns(levels), span)
            sources.append(_Source(base.model, row))
        return self._merge(sources, base, levels, self._span_of(field))

    def _source_fields(self, item: yaml.Node, keys: tuple[str, ...]) -> dict[str, Field]:
        fields = self.reader.fields(item, "a source", keys, IDLE)
        if "model" not in fields and isinstance(item, yaml.MappingNode):
            self.reader.complain(item, "a source needs a `model`")
            return {}
        return fields

    def _source(
        self,
        fields: Mapping[str, Field],
        item: yaml.Node,
        layers: tuple[Number, Number] | None,
        levels: list[Level],
    ) -> _Source | None:
        model = self.models.model(fields["model"])
        own = self.parameters.level(fields.get("parameters"), of_source=True)
        if model is None:
            return None
        value: ExprSyntax = model
        if layers is not None:
            value = Slice(model, *layers, model.span.to(layers[1].span))
        columns = self.parameters.columns([own, *levels])
        return _Source(model, RowSyntax(value, columns, self.reader.span(item)))

    def _span_of(self, field: Field) -> Span:
        return field.key_span.to(self.reader.span(field.value))

    # Slices

    def _slices(self, field: Field, base: _Base | None, levels: list[Level]) -> Block:
        rows: list[RowSyntax] = []
        for item in self.reader.items(field):
            row = self._slice(item, base, levels)
            if row is not None:
                rows.append(row)
        return Block("stack", tuple(rows), field.key_span, self._span_of(field))

    def _slice(self, item: yaml.Node, base: _Base | None, levels: list[Level]) -> RowSyntax | None:
        keys = ("sources", "base_model", "parameters")
        fields = self.reader.fields(item, "a slice", keys, IDLE)
        if "sources" not in fields:
            if isinstance(item, yaml.MappingNode):
                self.reader.complain(item, "a slice needs `sources`")
            return None
        base = self._base(fields) or base
        self._need_base(fields)
        own = self.parameters.level(fields.get("parameters"))
        sources = []
        for node in self.reader.items(fields["sources"]):
            source = self._slice_source(node, [own, *levels])
            if source is None:
                return None
            sources.append(source)
        span = self.reader.span(item)
        if self.method == "passthrough":
            if len(sources) == 1:
                return sources[0].row
            if sources:
                self.reader.complain(
                    fields["sources"].value, "a slice of a passthrough has exactly one source"
                )
            return None
        merged = self._merge(sources, base, [own, *levels], span, sliced=True)
        return RowSyntax(merged, (), span) if merged else None

    def _slice_source(self, node: yaml.Node, levels: list[Level]) -> _Source | None:
        fields = self._source_fields(node, ("model", "layer_range", "parameters"))
        if not fields:
            return None
        layers = None
        if "layer_range" in fields:
            layers = self._layer_range(fields["layer_range"])
        else:
            self.reader.complain(
                node,
                "a source of a slice needs a `layer_range`",
                "`layer_range: [0, 32]` takes layers 0 to 31",
            )
        source = self._source(fields, node, layers, levels)
        return source if layers is not None else None

    def _layer_range(self, field: Field) -> tuple[Number, Number] | None:
        node = field.value
        bounds: list[Number] = []
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                value = self.reader.scalar(item) if isinstance(item, yaml.ScalarNode) else None
                if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                    bounds.append(Number(value, self.reader.span(item)))
        if (
            isinstance(node, yaml.SequenceNode)
            and len(bounds) == len(node.value) == 2
            and bounds[0].value < bounds[1].value
        ):
            return bounds[0], bounds[1]
        self.reader.complain(
            node,
            "`layer_range` must be two whole numbers, the second above the first",
            "`layer_range: [0, 32]` takes layers 0 to 31",
        )
        return None

    # Both

    def _merge(
        self,
        sources: list[_Source],
        base: _Base | None,
        levels: list[Level],
        span: Span,
        *,
        sliced: bool = False,
    ) -> Block | None:
        """One merge; `base` becomes a setting, or the first row, as the method has it."""
        if not sources:
            return None
        items: list[RowSyntax | Setting] = [source.row for source in sources]
        if base is not None and self.signature.base != "unused":
            own = [source for source in sources if source.model == base.model]
            if self.signature.base == "first" and not own and _is_of_old(sources, base):
                own = [sources[1]]  # what mergekit took for the base when it didn't look for it
                self._report_old_slerp(base)
            if sliced and not own:
                self.reader.problems.report(
                    "E0323",
                    "`base_model` isn't one of this slice's sources",
                    span,
                    hint="add it as a source, with the layers that it takes part with",
                    related=(Label(self._span_of(base.field), "the base"),),
                )
                return None
            rows = [source.row for source in sources if not own or source is not own[0]]
            if self.signature.base == "first":
                items = [own[0].row, *rows]
            else:
                value = own[0].row.value if sliced else base.model
                place = base.field.key_span
                items = [Setting("base", value, place, place.to(value.span)), *rows]
                if not rows and self.signature.sources == (1, None):
                    return self._copy_of_base(own[0], span)
        items += self.parameters.settings(levels)
        return Block(self.method, tuple(items), self.place, span)

    def _copy_of_base(self, base: _Source, span: Span) -> Block:
        self.reader.problems.report(
            "W0107",
            f"`{self.method}` has no effect: nothing but the base is listed, which is copied",
            self.place,
        )
        row = RowSyntax(base.row.value, (), base.row.span)
        return Block("passthrough", (row,), self.place, span)

    def _report_old_slerp(self, base: _Base) -> None:
        self.reader.problems.report(
            "W0302",
            "`base_model` is neither of the two sources: t = 0 is the second, t = 1 the first",
            self.reader.span(base.field.value),
            hint="to say so write the second as `base_model`; for the other order write the first, "
            "and in both cases t counts from the base",
            notes=(
                "so mergekit computed before 22 January 2024; today it refuses this recipe",
                "config and tokenizer come from the `base_model`",
            ),
        )


def _is_of_old(sources: list[_Source], base: _Base | None) -> bool:
    """Whether two sources are merged and the base, which names a third model, isn't one of them."""
    return (
        base is not None
        and len(sources) == 2
        and all(source.model != base.model for source in sources)
    )
