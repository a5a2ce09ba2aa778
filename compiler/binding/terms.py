"""What an expression of a recipe stands for once its names are resolved.

A value stays the syntax node that it was written as, with its names replaced and its arithmetic
done; a model or a delta is a `Term`; `Unknown` is what an error leaves behind, so that one mistake
is reported once and binding goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeGuard

from ...checkpoints.renames import RenameRule
from ...grammar import syntax
from ...grammar.diagnostics import Span
from .bound import BoundExpr

TermValue: TypeAlias = (
    syntax.Number
    | syntax.Boolean
    | syntax.SizeSyntax
    | syntax.String
    | syntax.Name
    | syntax.List
    | syntax.Match
)
"""A resolved value: a Name in it is a dtype or a method's option, a Match's arms are values."""

ExprKind: TypeAlias = Literal["model", "delta"]


@dataclass(frozen=True, slots=True)
class Term:
    """A model, or a delta times `scale` (None: 1), which is applied where the delta is used.

    expr is None where it isn't known: after an error, or where nothing needs its checkpoints.
    """

    kind: ExprKind
    expr: BoundExpr | None
    span: Span
    scale: TermValue | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything at all: what was written there is wrong, and has been reported."""

    span: Span


@dataclass(frozen=True, slots=True)
class ModelList:
    """A list that holds models (or deltas), and perhaps values: strings that may be references."""

    items: tuple[Resolved, ...]
    span: Span


Resolved: TypeAlias = TermValue | Term | ModelList | Unknown


@dataclass(frozen=True, slots=True)
class Imported:
    """The names of an imported recipe; None where it couldn't be loaded."""

    file: str
    names: Mapping[str, Meaning] | None


if TYPE_CHECKING:
    from .definitions import Function

Meaning: TypeAlias = "Resolved | Imported | Function"
"""What a name may stand for."""


def describe(thing: Meaning) -> str:
    """A thing as a message names it: `a number`, `a model`."""
    if isinstance(thing, Term):
        return f"a {thing.kind}"
    return {
        syntax.Number: "a number",
        syntax.Boolean: "true or false",
        syntax.SizeSyntax: "a size",
        syntax.String: "a string",
        syntax.Name: "a word",
        syntax.List: "a list",
        syntax.Match: "a `match`",
        Imported: "an import",
        ModelList: "a list of models",
    }.get(type(thing), "a function")


def map_numbers(value: TermValue, change: Callable[[int | float], int | float]) -> TermValue | None:
    """The value with every number in it changed; None if it holds anything but numbers."""
    if isinstance(value, syntax.Number):
        return syntax.Number(change(value.value), value.span)
    if isinstance(value, syntax.List):
        items = [map_numbers(item, change) for item in value.items if is_value(item)]
        if len(items) < len(value.items) or None in items:
            return None
        return syntax.List(tuple(item for item in items if item is not None), value.span)
    if isinstance(value, syntax.Match):
        arms = []
        for arm in value.arms:
            changed = map_numbers(arm.value, change) if is_value(arm.value) else None
            if changed is None:
                return None
            arms.append(syntax.Arm(arm.pattern, changed, arm.span))
        return syntax.Match(tuple(arms), value.span)
    return None


def resolved(node: syntax.ExprSyntax) -> TermValue:
    """An item of a resolved value, which is resolved too."""
    assert is_value(node)
    return node


def is_value(thing: object) -> TypeGuard[TermValue]:
    return isinstance(thing, TermValue)


class Evaluator(Protocol):
    """What blocks ask of the expressions around them."""

    def evaluate(self, node: syntax.ExprSyntax, words: Collection[str] = ()) -> Resolved: ...
    def expect(self, node: syntax.ExprSyntax, kinds: tuple[ExprKind, ...], what: str) -> Term: ...
    def expression(self, term: Term) -> BoundExpr | None: ...
    def adapter(self, node: syntax.ExprSyntax) -> BoundExpr | None: ...
    def renamed(
        self, node: syntax.ExprSyntax, rules: tuple[RenameRule, ...], span: Span
    ) -> BoundExpr | None: ...
