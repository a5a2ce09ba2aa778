"""`parameters:` of mergekit's YAML -> settings and columns of a merge, as expressions.

A parameter may be given at four levels: the source, the slice, the module, the top. Each level's
value is one value for all tensors, or a list of `{filter, value}` whose filters are substrings of
the tensor's name. The levels of one parameter become the arms of one `match`, the nearest level
first:

    top:    density: 0.5                               density = match {
    source: density: [{filter: mlp, value: 0.9}]   ->      mlp: 0.9
                                                           _:   0.5
                                                       }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from .diagnostics import Span, did_you_mean
from .patterns import containing
from .signature import Signature
from .syntax import Arm, Boolean, ExprSyntax, List, Match, Name, Number, Pattern, Setting, String
from .tokens import is_dotted_name
from .yaml_nodes import Field, YamlReader, is_empty, is_null

# mergekit takes these anywhere, and they change no result.
IGNORED = frozenset(("int8_mask",))
# mergekit's `rescale` is a boolean; a `.merge` recipe names the rule.
_RESCALE = {True: "l1", False: "none"}
# It takes these for booleans, as pydantic does, in any case of letters.
_WORDS = (("0", "off", "f", "false", "n", "no"), ("1", "on", "t", "true", "y", "yes"))
_TRUTH = {word: bool(truth) for truth, words in enumerate(_WORDS) for word in words}
# Filters that match in nearly every model. Others may match nothing, which isn't an error in YAML.
_USUAL = frozenset(("self_attn", "mlp"))
_PERCENT = 2  # a density from here on was likely meant in percent, and is refused
# What its methods take, or took once: a recipe may give any of them to any method.
MERGEKIT_PARAMETERS = frozenset(
    (
        *("weight", "density", "scale", "t", "lambda", "normalize", "rescale", "epsilon", "gamma"),
        *(
            "filter_wise",
            "select_topk",
            "max_iter",
            "tol",
            "normalize_weights",
            "eps",
            "r",
            "alpha",
        ),
        *("nuslerp_row_wise", "nuslerp_flatten", "embed_slerp", "int8_mask", "residual_weight"),
        *("swapping", "diagonal_offset", "invert_offset", "random_p", "random_c", "randomize"),
        *("consensus_method", "sparsify_method", "default_lambda", "cov_weights"),
    )
)


# Its keys, which do nothing on another level than their own.
MERGEKIT_KEYS = (
    *("merge_method", "base_model", "dtype", "out_dtype", "tokenizer_source", "tokenizer"),
    *("chat_template", "name", "models", "slices", "modules", "sources", "model", "layer_range"),
    *("revision", "parameters", "random_seed"),
)


@dataclass(frozen=True, slots=True)
class YamlParameter:
    """One level's value of one parameter: arms in order, only the last perhaps for all tensors."""

    key_span: Span
    arms: tuple[Arm, ...]

    @property
    def is_total(self) -> bool:
        return bool(self.arms) and self.arms[-1].pattern.kind == "default"


Level = dict[str, YamlParameter]


class ParameterReader:
    """Reads and flattens the parameters of one document's method."""

    def __init__(self, reader: YamlReader, method: str, signature: Signature):
        self.reader = reader
        self.method = method
        self.signature = signature

    def level(self, field: Field | None, *, of_source: bool = False) -> Level:
        """The parameters under one `parameters:` key; unknown ones are reported and left out."""
        if field is None or is_empty(field.value):
            return {}
        level: Level = {}
        for name, entry in self.reader.fields(field.value, "`parameters`").items():
            if name not in IGNORED and self._known(entry, of_source):
                level[name] = YamlParameter(entry.key_span, self._arms(entry))
        return level

    def _known(self, entry: Field, of_source: bool) -> bool:
        name, columns, settings = entry.key, self.signature.columns, self.signature.settings
        if name in columns or (name in settings and not of_source):
            return True
        if name in settings:
            self.reader.problems.report(
                "W0107",
                f"`{name}` of one source has no effect: it is one value for the whole merge",
                entry.key_span,
                hint="move it to the `parameters` of the slice or of the recipe",
            )
        elif name in MERGEKIT_KEYS:
            message = f"`{name}` under `parameters` has no effect"
            hint = f"`{name}` is a key beside `parameters`"
            self.reader.problems.report("W0107", message, entry.key_span, hint=hint)
        elif name in MERGEKIT_PARAMETERS:
            message = f"`{name}` has no effect: `{self.method}` doesn't use it"
            self.reader.problems.report("W0107", message, entry.key_span)
        elif not self.reader.is_aside(entry):
            known = columns if of_source else (*columns, *settings)
            listed = f"its parameters here: {', '.join(known)}" if known else "it takes none here"
            hint = did_you_mean(name, known) or did_you_mean(name, MERGEKIT_PARAMETERS) or listed
            message = f"`{self.method}` has no parameter `{name}`"
            self.reader.unknown("E0304", message, entry.key_span, hint)
        return False

    def settings(self, levels: Sequence[Level]) -> tuple[Setting, ...]:
        """What the whole merge shares; `levels` begin with the nearest."""
        return self._flatten_all(self.signature.settings, levels)

    def columns(self, levels: Sequence[Level]) -> tuple[Setting, ...]:
        """One source's own values; `levels` begin with the source's."""
        return self._flatten_all(self.signature.columns, levels)

    def _flatten_all(self, names: Sequence[str], levels: Sequence[Level]) -> tuple[Setting, ...]:
        found = (self._flatten(name, levels) for name in names)
        return tuple(setting for setting in found if setting is not None)

    def _flatten(self, name: str, levels: Sequence[Level]) -> Setting | None:
        given = [level[name] for level in levels if name in level]
        arms: dict[str, Arm] = {}
        for parameter in given:
            for arm in parameter.arms:
                arms.setdefault(arm.pattern.text, arm)
            if parameter.is_total:
                break
        if not arms:
            return None
        span = given[0].key_span
        if not any(parameter.is_total for parameter in given):
            default = self._default(name, span)
            if default is not None:
                arms["_"] = Arm(Pattern("default", "_", span), default, span)
        chosen = tuple(arms.values())
        value: ExprSyntax
        if chosen[0].pattern.kind == "default":
            value = chosen[0].value
        else:
            value = Match(chosen, chosen[0].span.to(chosen[-1].span))
        return Setting(name, value, span, span.to(value.span))

    def implied(self, place: Span) -> Level:
        """What mergekit assumes and a `.merge` recipe doesn't, as a level below all others."""
        if "rescale" not in self.signature.settings:
            return {}
        default = self._default("rescale", place)
        if default in (None, Name("none", place)):
            return {}
        return {
            "rescale": YamlParameter(place, (Arm(Pattern("default", "_", place), default, place),))
        }

    def _default(self, name: str, span: Span) -> ExprSyntax | None:
        value = self.signature.defaults.get(name)
        if name == "rescale" and value is not None:
            return Name(_RESCALE[value not in (False, "none")], span)
        if isinstance(value, bool):
            return Boolean(value, span)
        if isinstance(value, int | float):
            return Number(value, span)
        return _word(value, span) if isinstance(value, str) else None

    # Values

    def _arms(self, entry: Field) -> tuple[Arm, ...]:
        node = entry.value
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not items:  # an empty list says nothing: the outer level counts
            return ()
        choices = [item for item in items if isinstance(item, yaml.MappingNode)]
        alone = items == [node]  # mergekit also takes a choice that isn't in a list
        if not choices or (alone and all(key.value != "value" for key, _ in choices[0].value)):
            value = self._value(entry.key, node)
            return self._arm(None, node, value)
        arms: list[Arm] = []
        for item in items:
            fields = self.reader.fields(item, "a choice by `filter`", ("filter", "value"))
            if "value" in fields:
                value = self._value(entry.key, fields["value"].value)
                filter_ = fields.get("filter")
                arms += self._arm(filter_.value if filter_ else None, item, value)
            elif isinstance(item, yaml.MappingNode):
                self.reader.complain(item, "a choice by `filter` needs a `value`")
            if arms and arms[-1].pattern.kind == "default":
                break
        return tuple(arms)

    def _arm(
        self, filter_: yaml.Node | None, node: yaml.Node, value: ExprSyntax | None
    ) -> tuple[Arm, ...]:
        if value is None:
            return ()
        span = self.reader.span(node)
        text = "*"
        if filter_ is not None and not is_null(filter_):
            text = self.reader.text(filter_) or "*"
        if text == "*":
            pattern = Pattern("default", "_", span)
        elif is_dotted_name(text):
            pattern = Pattern("word", text, span, optional=text not in _USUAL)
        else:
            pattern = Pattern("glob", containing(text), span, optional=True)
        return (Arm(pattern, value, span),)

    def _value(self, name: str, node: yaml.Node) -> ExprSyntax | None:
        span = self.reader.span(node)
        if isinstance(node, yaml.SequenceNode):
            items = [self._scalar(name, item) for item in node.value]
            present = tuple(item for item in items if item is not None)
            return List(present, span) if len(present) == len(items) else None
        return self._scalar(name, node)

    def _scalar(self, name: str, node: yaml.Node) -> ExprSyntax | None:
        if isinstance(node, yaml.CollectionNode):
            self.reader.complain(
                node,
                f"`{name}` must be a value, a list of values, or a list of `filter` and `value`",
            )
            return None
        value, span = self.reader.scalar(node), self.reader.span(node)
        kind = self.signature.kinds.get(name)
        if kind == "boolean" or name == "rescale":
            value = _TRUTH.get(str(value).lower(), value)
        elif isinstance(value, bool) and kind in ("number", "integer"):
            value = int(value)  # as mergekit counts
        elif name == "density" and isinstance(value, int | float) and 1 < value < _PERCENT:
            message = f"`density` of {value:g} keeps everything, as 1 does"
            self.reader.problems.report("W0107", message, span)
            value = 1
        if isinstance(value, bool):
            return Name(_RESCALE[value], span) if name == "rescale" else Boolean(value, span)
        if isinstance(value, int | float):
            return Number(value, span)
        if isinstance(value, str):
            return _word(value, span)
        if is_null(node):
            self.reader.complain(node, f"`{name}` has no value")
        return None


def _word(text: str, span: Span) -> ExprSyntax:
    return Name(text, span) if is_dotted_name(text) else String(text, span)
