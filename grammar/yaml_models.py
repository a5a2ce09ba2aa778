"""Model references of mergekit's YAML -> expressions.

org/model@main+me/lora                                   "org/model@main" + lora { "me/lora" }
{model: {path: org/model, revision: main}, lora: …}      the same
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from .diagnostics import Span
from .syntax import Binary, Block, ExprSyntax, Name, RowSyntax, Setting, Slice, String
from .yaml_nodes import Field, YamlReader, is_null

_REFERENCE_KEYS = ("model", "lora")
_PATH_KEYS = ("path", "revision")


class ModelReader:
    """Reads references. A path that is a stage's name is that stage, noted in `used`.

    rounded_to: the dtype that models are rounded to when they are loaded.
    """

    def __init__(
        self, reader: YamlReader, stages: Mapping[str, str], rounded_to: ExprSyntax | None = None
    ):
        self.reader = reader
        self.stages = stages
        self.used: set[str] = set()
        self.rounded_to = rounded_to

    def model(self, field: Field) -> ExprSyntax | None:
        """The model that a `model:` or `base_model:` field names, rounded where that is asked."""
        found = self.reference(field)
        if found is None or self.rounded_to is None:
            return found
        return cast(found, self.rounded_to)

    def reference(self, field: Field) -> ExprSyntax | None:
        """The model that a `model:` or `base_model:` field names; None where it's malformed."""
        node = field.value
        if not isinstance(node, yaml.MappingNode):
            text = self.reader.text(node)
            return self._parse(text, node) if text is not None else None
        fields = self.reader.fields(node, "a model reference", _REFERENCE_KEYS)
        if "model" not in fields:
            self.reader.complain(node, "a model reference needs a `model`")
            return None
        model, lora = self._path(fields["model"]), None
        if "lora" in fields and not is_null(fields["lora"].value):
            lora = self._path(fields["lora"])
            if lora is None:
                return None
        return self._combine(model, lora, self.reader.span(node)) if model else None

    def _path(self, field: Field) -> str | None:
        """One path with its revision, as text."""
        node = field.value
        if not isinstance(node, yaml.MappingNode):
            return self.reader.text(node)
        fields = self.reader.fields(node, f"`{field.key}`", _PATH_KEYS)
        if "path" not in fields:
            self.reader.complain(node, f"`{field.key}` needs a `path`")
            return None
        path = self.reader.text(fields["path"].value)
        revision = fields.get("revision")
        if path is None or revision is None or is_null(revision.value):
            return path
        name = self.reader.text(revision.value)
        return f"{path}@{name}" if name is not None else None

    def _parse(self, text: str, node: yaml.Node) -> ExprSyntax | None:
        if text in self.stages:
            return self._combine(text, None, self.reader.span(node))
        model, *loras = text.split("+")
        if len(loras) > 1 or not all((model, *loras)):
            self.reader.complain(
                node,
                f"`{text}` isn't a model reference",
                "references look like `org/name`, `org/name@revision`, `model+lora`",
            )
            return None
        return self._combine(model, loras[0] if loras else None, self.reader.span(node))

    def _combine(self, model: str, lora: str | None, span: Span) -> ExprSyntax:
        base: ExprSyntax = String(model, span)
        if model in self.stages:
            self.used.add(model)
            base = Name(self.stages[model], span)
        if lora is None:
            return base
        adapter = Block("lora", (RowSyntax(String(lora, span), (), span),), span, span)
        return Binary("+", base, adapter, span, span)


def first_model(expr: ExprSyntax | None) -> String | Name | None:
    """The model that gives an expression's result its config: the base, else the first source."""
    while not isinstance(expr, String | Name | None):
        match expr:
            case Block():
                base = next((s.value for s in expr.settings if s.name == "base"), None)
                expr = base or (expr.rows[0].value if expr.rows else None)
            case Binary():
                expr = expr.left
            case Slice():
                expr = expr.operand
            case _:
                return None
    return expr


def cast(value: ExprSyntax, dtype: ExprSyntax) -> ExprSyntax:
    """`cast { value, dtype = … }`: the value rounded to a dtype."""
    setting = Setting("dtype", dtype, dtype.span, dtype.span)
    return Block("cast", (RowSyntax(value, (), value.span), setting), dtype.span, value.span)
