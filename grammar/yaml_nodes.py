"""YAML text -> nodes with spans, and the readers of single values that the YAML front end needs.

Values are read from nodes, not from Python objects, so that every complaint has its place. What
YAML 1.1 calls a string though it looks like a number (`1e-5`) is a number here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import yaml

from .diagnostics import Diagnostics, Label, SourceText, Span, did_you_mean
from .tokens import MAX_DIGITS

_OCTAL = re.compile(r"[-+]?0[0-7_]+")  # as YAML 1.1 has it
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MERGE_TAG = "tag:yaml.org,2002:merge"
_MAX_NESTING = 20
_NONE_IDLE: Mapping[str, str | None] = {}

Scalar = bool | int | float | str | None


_MOST_NESTING = 200
"""Levels of a document; real recipes have ten."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, and remembers those that an alias names."""

    def __init__(self, text: str):
        super().__init__(text)
        self.aliased: set[yaml.Node] = set()
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > _MOST_NESTING:
            raise RecursionError
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and node is not None:
            self.aliased.add(node)
        return node


@dataclass(frozen=True, slots=True)
class Field:
    """One `key: value` of a mapping."""

    key: str
    key_span: Span
    value: yaml.Node


class YamlReader:
    """Reads typed values from the nodes of one YAML text; complaints go to `problems`.

    lax: whether keys and parameters that nobody knows are warnings.
    """

    def __init__(self, source: SourceText, problems: Diagnostics, *, lax: bool = False):
        self.source = source
        self.problems = problems
        self._lax = lax
        self._aliased: set[yaml.Node] = set()

    def documents(self) -> list[yaml.Node]:
        """The root nodes of all documents that aren't empty; none where the YAML is invalid."""
        try:
            roots = list(self._compose())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._invalid(error.problem or error.context or "", mark.index if mark else 0)
            return []
        except yaml.reader.ReaderError as error:
            self._invalid(f"{error.reason} (U+{error.character:04X})", error.position)
            return []
        except (yaml.YAMLError, ValueError) as error:
            self._invalid(str(error), 0)
            return []
        except RecursionError:
            self.problems.report("E0109", "this YAML is nested too deeply", self._place(0, 0))
            return []
        return [root for root in roots if not is_empty(root)]

    def _compose(self) -> Iterator[yaml.Node]:
        loader = _Loader(self.source.text)
        try:
            while loader.check_node():
                if (root := loader.get_node()) is not None:
                    yield root
        finally:
            loader.dispose()
        self._aliased = loader.aliased

    def _invalid(self, reason: str, index: int) -> None:
        index = min(index, len(self.source.text))
        hint = None
        if self.source.text[index : index + 1] == "\t":
            hint = "YAML is indented with spaces, not with tabs"
        reason = " ".join(reason.split())
        place = self._place(index, index + 1)
        self.problems.report("E0111", f"this isn't valid YAML: {reason}", place, hint=hint)

    def _place(self, start: int, end: int) -> Span:
        return Span(self.source, start, min(end, len(self.source.text)))

    def span(self, node: yaml.Node, _nesting: int = 0) -> Span:
        """A node's own text: without the blank lines and comments that follow a collection."""
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
            inside = start <= last.start_mark.index < end  # an alias lies elsewhere
            if inside and _nesting < _MAX_NESTING:
                end = self.span(last, _nesting + 1).end
        text = self.source.text[start:end]
        return self._place(start, start + len(text.rstrip()))

    def fields(
        self,
        node: yaml.Node,
        what: str,
        known: Collection[str] | None = None,
        idle: Mapping[str, str | None] = _NONE_IDLE,
    ) -> dict[str, Field]:
        """A mapping's fields by key. Unknown keys are reported and left out.

        what: what the mapping is, in a message: "a recipe", "a slice".
        idle: keys that mergekit's users write here though they do nothing, with a hint for each.
        """
        if not isinstance(node, yaml.MappingNode):
            self.complain(node, f"{what} must be a mapping of keys to values")
            return {}
        found: dict[str, Field] = {}
        for field in self._all_fields(node, set()):
            if field.key in found:
                continue
            if known is None or field.key in known:
                found[field.key] = field
            elif field.key in idle:
                message = f"`{field.key}` of {what} has no effect"
                self.problems.report("W0107", message, field.key_span, hint=idle[field.key])
            elif not self.is_aside(field):
                hint = did_you_mean(field.key, known) or f"known keys: {', '.join(known)}"
                message = f"{what} has no key `{field.key}`"
                self.unknown("E0113", message, field.key_span, hint)
        return found

    def is_aside(self, field: Field) -> bool:
        """Whether a field is for the writer alone: `x-…`, or it holds what aliases name."""
        if field.key.startswith("x-"):
            return True
        pending = [field.value]
        while pending:
            node = pending.pop()
            if node in self._aliased:
                return True
            if isinstance(node, yaml.SequenceNode):
                pending += node.value
            elif isinstance(node, yaml.MappingNode):
                pending += [value for _, value in node.value]
        return False

    def unknown(self, code: str, message: str, place: Span, hint: str) -> None:
        """Reports a key or a parameter that nobody knows; a warning where it may be."""
        self.problems.report("W0108" if self._lax else code, message, place, hint=hint)

    def _all_fields(self, node: yaml.MappingNode, merged: set[yaml.MappingNode]) -> list[Field]:
        """The mapping's own fields, then those that `<<` merges into it and it lacks.

        merged: the nodes merged already: each counts once, however often it's named.
        """
        own: dict[str, Field] = {}
        added: list[Field] = []
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                for target in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(target, yaml.MappingNode):
                        self.complain(value, "`<<` takes a mapping")
                    elif target not in merged:
                        merged.add(target)
                        added += self._all_fields(target, merged)
            elif not isinstance(key, yaml.ScalarNode):
                self.complain(key, "a key must be a plain word")
            else:
                if key.value in own:
                    self._report_repeated(key, own[key.value].key_span)
                own[key.value] = Field(key.value, self.span(key), value)
        return [*own.values(), *(field for field in added if field.key not in own)]

    def _report_repeated(self, key: yaml.ScalarNode, first: Span) -> None:
        self.problems.report(
            "W0110",
            f"`{key.value}` is given twice: the last one counts",
            self.span(key),
            related=(Label(first, "this one has no effect"),),
        )

    def items(self, field: Field) -> list[yaml.Node]:
        """The items of a field that must be a list with at least one item."""
        if isinstance(field.value, yaml.SequenceNode) and field.value.value:
            return list(field.value.value)
        self.complain(field.value, f"`{field.key}` must be a list with at least one item")
        return []

    def scalar(self, node: yaml.Node) -> Scalar:
        """What a scalar stands for; a number may also be a string that reads as one."""
        if not isinstance(node, yaml.ScalarNode):
            self.complain(node, "expected a single value")
            return None
        kind = node.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() in ("true", "yes", "on")
        if kind == "int" and _OCTAL.fullmatch(node.value):
            self.complain(
                node,
                f"`{node.value}` begins with 0: YAML reads it as an octal number",
                "write it without the zero",
            )
            return None
        if kind in ("int", "float", "str") and _NUMBER.fullmatch(node.value):
            return self._number(node)
        if kind in ("int", "float"):
            self.complain(
                node, f"`{node.value}` isn't a number", "write it as `2`, `0.5` or `1e-5`"
            )
            return None
        return self.text(node)

    def _number(self, node: yaml.ScalarNode) -> int | float | None:
        if len(node.value) > MAX_DIGITS:
            self.complain(node, "this number is too long")
            return None
        digits = node.value.lstrip("+-")
        value: int | float = int(node.value) if digits.isdecimal() else float(node.value)
        if math.isinf(value):
            self.complain(node, f"`{node.value}` is too large a number")
            return None
        return value

    def text(self, node: yaml.Node) -> str | None:
        """A scalar's text as written, whatever YAML makes of it: names and paths are text."""
        if not isinstance(node, yaml.ScalarNode):
            self.complain(node, "expected a single value")
            return None
        if is_empty(node):
            self.complain(node, "expected a value, found none")
            return None
        value = str(node.value)
        if any("\ud800" <= char <= "\udfff" for char in value):
            self.complain(node, "this string isn't valid Unicode")
            return None
        return value

    def complain(self, node: yaml.Node, message: str, hint: str | None = None) -> None:
        """Reports a value of the wrong kind or form."""
        self.problems.report("E0114", message, self.span(node), hint=hint)


def is_empty(node: yaml.Node | None) -> bool:
    """Whether nothing is given, or null."""
    return node is None or (isinstance(node, yaml.ScalarNode) and not node.value) or is_null(node)


def is_null(node: yaml.Node) -> bool:
    """Whether a value is YAML's null, written or left out."""
    return str(node.tag).endswith(":null")
