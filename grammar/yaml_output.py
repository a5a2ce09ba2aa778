"""A YAML document's dtype, tokenizer and chat template -> settings of its `save`.

    tokenizer_source: union           tokenizer = union
    tokenizer_source: base            tokenizer = base
    tokenizer_source: org/model       tokenizer = "org/model"
    tokenizer:                        tokenizer = union {
      source: union                     pad_to = 64
      pad_to_multiple_of: 64      ->    "<|x|>" = "org/model"
      tokens:                         }
        "<|x|>": {source: org/model}

A `tokenizer` with tokens or padding whose source isn't the union has it as a setting:
`union { source = base, … }`. A token's embedding may also be `zero`, or another token's:
`token { "org/model", name = "<|y|>" }` or `token { "org/model", id = 5 }`; `force` wraps it:
`force { "org/model" }`.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from .diagnostics import Span
from .syntax import Block, ExprSyntax, Name, Number, RowSyntax, Setting, String
from .tokens import is_dotted_name
from .yaml_models import ModelReader
from .yaml_nodes import Field, YamlReader, is_null
from .yaml_options import YamlOptions

DTYPE_KEYS = ("out_dtype", "dtype")
TOKENIZER_KEYS = ("tokenizer_source", "tokenizer")
_TOKENIZER_FIELDS = ("source", "tokens", "pad_to_multiple_of")
_TOKEN_FIELDS = ("source", "force")
_TOKEN_SOURCE_FIELDS = ("kind", "model", "token", "token_id")


def output_settings(
    fields: Mapping[str, Field], reader: YamlReader, models: ModelReader
) -> tuple[Setting, ...]:
    """The settings of the `save` that a document asks for, in the order of the language page."""
    return _OutputReader(reader, models).settings(fields)


def input_dtype(
    fields: Mapping[str, Field], reader: YamlReader, options: YamlOptions
) -> ExprSyntax | None:
    """The dtype that inputs are rounded to: a short `dtype` beside another `out_dtype`.

    Without an `out_dtype` results are rounded to it once, and inputs only where mergekit's own
    roundings are asked for.
    """
    names = [_given_dtype(fields, key) for key in DTYPE_KEYS]
    if names[1] in (None, "float32", "float64"):
        return None
    if not options.round_like_mergekit and names[0] in (None, names[1]):
        return None
    return _dtype(fields["dtype"], reader)


def computed_dtype(fields: Mapping[str, Field], inputs: ExprSyntax | None) -> ExprSyntax | None:
    """The dtype that mergekit has a result in before it is rounded to `out_dtype`, if another."""
    return inputs if _given_dtype(fields, "out_dtype") is not None else None


def _given_dtype(fields: Mapping[str, Field], key: str) -> str | None:
    return (
        _dtype_name(fields[key].value) if key in fields and not is_null(fields[key].value) else None
    )


def _dtype_name(node: yaml.Node) -> str:
    return str(node.value).removeprefix("torch.")


def _dtype(field: Field, reader: YamlReader) -> ExprSyntax | None:
    if reader.text(field.value) is None:
        return None
    text = _dtype_name(field.value)
    if is_dotted_name(text):
        return Name(text, reader.span(field.value))
    reader.complain(
        field.value, f"`{text}` isn't a dtype", "dtypes are `float32`, `float16`, `bfloat16`"
    )
    return None


class _OutputReader:
    def __init__(self, reader: YamlReader, models: ModelReader):
        self.reader = reader
        self.models = models

    def settings(self, fields: Mapping[str, Field]) -> tuple[Setting, ...]:
        given = [key for key in TOKENIZER_KEYS if key in fields]
        if len(given) == 2:
            self.reader.problems.report(
                "E0115",
                "`tokenizer` and `tokenizer_source` exclude each other",
                fields["tokenizer_source"].key_span,
                hint="keep `tokenizer`: its `source` says the same",
            )
        values: list[tuple[str, Field, ExprSyntax | None]] = []
        for key in DTYPE_KEYS:
            if key in fields and not is_null(fields[key].value):
                values.append(("dtype", fields[key], _dtype(fields[key], self.reader)))
                break
        if "tokenizer" in fields:
            values.append(("tokenizer", fields["tokenizer"], self._tokenizer(fields["tokenizer"])))
        elif "tokenizer_source" in fields:
            field = fields["tokenizer_source"]
            values.append(("tokenizer", field, self._source(field)))
        if "chat_template" in fields:
            field = fields["chat_template"]
            values.append(("chat_template", field, self._word(field)))
        return tuple(
            Setting(name, value, field.key_span, field.key_span.to(value.span))
            for name, field, value in values
            if value is not None
        )

    def _word(self, field: Field) -> ExprSyntax | None:
        text, span = self.reader.text(field.value), self.reader.span(field.value)
        if text is None:
            return None
        return Name(text, span) if is_dotted_name(text) else String(text, span)

    def _source(self, field: Field) -> ExprSyntax | None:
        node = field.value
        if isinstance(node, yaml.ScalarNode) and node.value in ("union", "base"):
            return Name(node.value, self.reader.span(node))
        return self.models.reference(field)

    def _tokenizer(self, field: Field) -> ExprSyntax | None:
        if isinstance(field.value, yaml.ScalarNode):
            return self._source(field)
        fields = self.reader.fields(field.value, "`tokenizer`", _TOKENIZER_FIELDS)
        span = self.reader.span(field.value)
        source: ExprSyntax | None = Name("union", span)
        if "source" in fields:
            source = self._source(fields["source"])
        if source is None:
            return None
        items: list[Setting] = []
        if "pad_to_multiple_of" in fields:
            items += self._padding(fields["pad_to_multiple_of"])
        if "tokens" in fields:
            items += self._tokens(fields["tokens"])
        if not items:
            return source
        if source != Name("union", span):
            place = fields["source"].key_span
            items.insert(0, Setting("source", source, place, place.to(source.span)))
        return Block("union", tuple(items), field.key_span, span)

    def _padding(self, field: Field) -> list[Setting]:
        if is_null(field.value):
            return []
        value = self.reader.scalar(field.value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.reader.complain(field.value, f"`{field.key}` must be a whole number above 0")
            return []
        span = self.reader.span(field.value)
        return [Setting("pad_to", Number(value, span), field.key_span, field.key_span.to(span))]

    def _tokens(self, field: Field) -> list[Setting]:
        settings = []
        if is_null(field.value):
            return []
        for token, entry in self.reader.fields(field.value, "`tokens`").items():
            fields = self.reader.fields(entry.value, "a token", _TOKEN_FIELDS)
            if "source" not in fields:
                if isinstance(entry.value, yaml.MappingNode):
                    self.reader.complain(entry.value, "a token needs a `source`")
                continue
            value = self._token_source(fields["source"])
            if value is None:
                continue
            span = entry.key_span.to(value.span)
            if "force" in fields and self._flag(fields["force"]):
                value = Block("force", (RowSyntax(value, (), value.span),), value.span, value.span)
            settings.append(Setting(token, value, entry.key_span, span, quoted=True))
        return settings

    def _token_source(self, field: Field) -> ExprSyntax | None:
        node, span = field.value, self.reader.span(field.value)
        if not isinstance(node, yaml.MappingNode) or any(
            isinstance(key, yaml.ScalarNode) and key.value in ("path", "lora")
            for key, _ in node.value
        ):
            return self.models.reference(field)
        fields = self.reader.fields(node, "a token's `source`", _TOKEN_SOURCE_FIELDS)
        kind = self.reader.text(fields["kind"].value) if "kind" in fields else "model_token"
        if kind == "zero":
            return Name("zero", span)
        if kind != "model_token":
            self.reader.complain(
                fields["kind"].value, f"unknown kind `{kind}`", "kinds are `model_token`, `zero`"
            )
            return None
        if "model" not in fields or ("token" in fields) == ("token_id" in fields):
            self.reader.complain(
                node, "a token's `source` needs `model`, and `token` or `token_id`"
            )
            return None
        model = self.models.reference(fields["model"])
        which = self._which_token(fields, span)
        if model is None or which is None:
            return None
        return Block("token", (RowSyntax(model, (), model.span), which), span, span)

    def _which_token(self, fields: Mapping[str, Field], span: Span) -> Setting | None:
        if "token" in fields:
            text = self.reader.text(fields["token"].value)
            return Setting("name", String(text, span), span, span) if text is not None else None
        value = self.reader.scalar(fields["token_id"].value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return Setting("id", Number(value, span), span, span)
        self.reader.complain(fields["token_id"].value, "`token_id` must be a whole number")
        return None

    def _flag(self, field: Field) -> bool:
        value = self.reader.scalar(field.value)
        if not isinstance(value, bool):
            self.reader.complain(field.value, f"`{field.key}` must be true or false")
        return value is True
