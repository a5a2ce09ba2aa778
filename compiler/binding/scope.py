"""Names -> what they stand for: single assignment, no shadowing, every use remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, Span
from .terms import Meaning


@dataclass(frozen=True, slots=True)
class Definition:
    value: Meaning
    span: Span


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where the recipe defines a name: its place, the whole `let`, and whether it's in a `for`."""

    span: Span
    statement: Span
    in_loop: bool


class Scope:
    """The names of a recipe, or of one turn of a `for` in it (`inner`)."""

    def __init__(
        self,
        elsewhere: Mapping[str, Elsewhere],
        outer: Scope | None = None,
        *,
        shadows: bool = False,
    ):
        self._elsewhere = elsewhere
        self._outer = outer
        self._shadows = shadows
        self._names: dict[str, Definition] = {}
        # By the place of the definition, so that the turns of a loop count as one.
        self._defined: dict[int, tuple[str, Span]] = {} if outer is None else outer._defined
        self._used: set[int] = set() if outer is None else outer._used

    @classmethod
    def of(cls, statements: tuple[syntax.Statement, ...]) -> Scope:
        """An empty scope that knows which names the statements will define."""
        elsewhere: dict[str, Elsewhere] = {}
        for name, definition in _definitions(statements, False):
            elsewhere.setdefault(name, definition)
        return cls(elsewhere)

    def inner(self) -> Scope:
        """The scope of one turn of a `for`."""
        return Scope(self._elsewhere, self, shadows=self._shadows)

    def function(self) -> Scope:
        """The scope of a function's body: what it names doesn't depend on where it is used."""
        return Scope(self._elsewhere, self, shadows=True)

    def define(self, name: str, span: Span, value: Meaning, problems: Diagnostics) -> None:
        """Give a name its meaning; a name that has one keeps it, which is reported (E0203)."""
        first = self._names.get(name) if self._shadows else self._find(name)
        if first is not None:
            problems.report(
                "E0203",
                f"`{name}` is already defined",
                span,
                hint="a name has one meaning; choose another name",
                related=(Label(first.span, "first defined here"),),
            )
            return
        self._names[name] = Definition(value, span)
        self._defined[span.start] = (name, span)

    def use(self, name: str) -> Meaning | None:
        """What a name stands for; None if it isn't defined (yet)."""
        if (definition := self._find(name)) is None:
            return None
        self._used.add(definition.span.start)
        return definition.value

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def names(self) -> set[str]:
        """All names that can be used here."""
        return set(self._names) | (self._outer.names() if self._outer else set())

    def elsewhere(self, name: str) -> Elsewhere | None:
        """Where the recipe defines a name that can't be used here."""
        return self._elsewhere.get(name)

    def unused(self) -> Iterator[tuple[str, Span]]:
        """Names, with their places, that nothing used."""
        for start, named in self._defined.items():
            if start not in self._used:
                yield named

    def _find(self, name: str) -> Definition | None:
        if name in self._names:
            return self._names[name]
        return self._outer._find(name) if self._outer else None


def _definitions(
    statements: tuple[syntax.Statement, ...], in_loop: bool
) -> Iterator[tuple[str, Elsewhere]]:
    for statement in statements:
        match statement:
            case syntax.Let() | syntax.Param() | syntax.Define():
                place = Elsewhere(statement.name_span, statement.span, in_loop)
                yield statement.name, place
            case syntax.Import():
                yield statement.alias, Elsewhere(statement.alias_span, statement.span, in_loop)
            case syntax.For():
                yield statement.name, Elsewhere(statement.name_span, statement.name_span, True)
                yield from _definitions(statement.body, True)
            case _:
                pass
