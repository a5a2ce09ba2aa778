"""mergekit-moe's YAML -> Recipe: a mixture of experts, saved.

base_model: org/base            save moe {
gate_mode: hidden                 base = "org/base"
experts:                    ->    gate = hidden
  - source_model: org/math        "org/math"  prompts=["solve"]
    positive_prompts: [solve]     "org/code"  prompts=["def f"]
  - source_model: org/code      }
    positive_prompts: [def f]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

from .diagnostics import SourceText
from .syntax import (
    Block,
    Boolean,
    ExprSyntax,
    List,
    Name,
    Number,
    Recipe,
    RowSyntax,
    Save,
    Setting,
    String,
)
from .yaml_models import ModelReader
from .yaml_nodes import Field, YamlReader, is_null
from .yaml_output import output_settings

_KEYS = (
    "base_model",
    "experts",
    "gate_mode",
    "dtype",
    "experts_per_token",
    "shared_experts",
    "architecture",
)
_EXPERT_KEYS = (
    "source_model",
    "positive_prompts",
    "negative_prompts",
    "noise_scale",
    "residual_scale",
)
_GATES = {
    "random": "random",
    "uniform_random": "uniform",
    "hidden": "hidden",
    "hidden_last": "hidden",
    "hidden_avg": "hidden_avg",
    "cheap_embed": "cheap_embed",
}
_ARCHITECTURES = {
    "mixtral": "mixtral",
    "deepseek": "deepseek",
    "qwen3": "qwen3_moe",
    "qwen": "qwen2_moe",
}


def is_mixture(roots: list[yaml.Node]) -> bool:
    """Whether a file is mergekit-moe's: one document with `experts`."""
    return len(roots) == 1 and any(
        isinstance(key, yaml.ScalarNode) and key.value == "experts"
        for key, _ in (roots[0].value if isinstance(roots[0], yaml.MappingNode) else ())
    )


def mixture_recipe(root: yaml.Node, reader: YamlReader, source: SourceText) -> Recipe:
    """The recipe of a mixture. Raises RecipeError with all errors of the file."""
    fields = reader.fields(root, "a mixture of experts", _KEYS)
    models = ModelReader(reader, {})
    span = reader.span(root)
    items = list(_settings(fields, reader, models))
    experts = [_expert(node, reader, models, False) for node in _items(fields, "experts", reader)]
    shared = [
        _expert(node, reader, models, True) for node in _items(fields, "shared_experts", reader)
    ]
    asked = output_settings({k: f for k, f in fields.items() if k == "dtype"}, reader, models)
    reader.problems.raise_errors()
    rows = [row for row in (*experts, *shared) if row is not None]
    block = Block("moe", (*items, *rows), fields["experts"].key_span, span)
    save = Save(block, None, asked, span)
    return Recipe((save,), source, warnings=tuple(reader.problems.warnings))


def _items(fields: Mapping[str, Field], key: str, reader: YamlReader) -> list[yaml.Node]:
    field = fields.get(key)
    return [] if field is None or is_null(field.value) else reader.items(field)


def _settings(
    fields: Mapping[str, Field], reader: YamlReader, models: ModelReader
) -> Iterator[Setting]:
    if "base_model" in fields and (base := models.reference(fields["base_model"])):
        yield _setting("base", fields["base_model"], base)
    for key, name, words in (
        ("gate_mode", "gate", _GATES),
        ("architecture", "architecture", _ARCHITECTURES),
    ):
        field = fields.get(key)
        if field is None or is_null(field.value):
            continue
        text = reader.text(field.value) or ""
        known = next((w for w in words if text.lower().startswith(w)), None)
        known = text if text in words else known if words is _ARCHITECTURES else None
        if known is None:
            hint = f"known are {', '.join(words)}"
            reader.complain(field.value, f"`{key}` can't be `{text}`", hint)
        else:
            yield _setting(name, field, Name(words[known], reader.span(field.value)))
    field = fields.get("experts_per_token")
    if field is not None and not is_null(field.value):
        yield _setting("top_k", field, _number(field, reader))


def _expert(
    node: yaml.Node, reader: YamlReader, models: ModelReader, shared: bool
) -> RowSyntax | None:
    fields = reader.fields(node, "an expert", _EXPERT_KEYS)
    if "source_model" not in fields:
        reader.complain(node, "an expert needs a `source_model`")
        return None
    value = models.reference(fields["source_model"])
    if value is None:
        return None
    columns = []
    for key, name in (("positive_prompts", "prompts"), ("negative_prompts", "negative")):
        if texts := _items(fields, key, reader):
            found = [String(reader.text(t) or "", reader.span(t)) for t in texts]
            span = reader.span(fields[key].value)
            columns.append(_setting(name, fields[key], List(tuple(found), span)))
    scale = fields.get("residual_scale")
    if scale is not None and not is_null(scale.value):
        columns.append(_setting("residual_scale", scale, _number(scale, reader)))
    noise = fields.get("noise_scale")
    if noise is not None and not is_null(noise.value) and reader.scalar(noise.value) != 0:
        reader.complain(noise.value, "`noise_scale` is not supported: experts are as they are")
    span = reader.span(node)
    if shared:
        columns.append(Setting("shared", Boolean(True, span), span, span))
    return RowSyntax(value, tuple(columns), span)


def _number(field: Field, reader: YamlReader) -> ExprSyntax:
    value, span = reader.scalar(field.value), reader.span(field.value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        reader.complain(field.value, f"`{field.key}` must be a number")
        value = 1
    return Number(value, span)


def _setting(name: str, field: Field, value: ExprSyntax) -> Setting:
    return Setting(name, value, field.key_span, field.key_span.to(value.span))
