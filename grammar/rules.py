"""Recipe -> problems: the rules of the language that its grammar can't say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from .diagnostics import Diagnostics, Label, RecipeError
from .syntax import Block, For, Match, Recipe, RowSyntax, Save, Setting, Statement, Version
from .tokens import Token

LANGUAGE_VERSION = 1


def check_version(tokens: list[Token]) -> None:
    """Raises RecipeError if the text declares a version that this program doesn't know.

    It's asked before anything else, since a newer language may well not parse.
    """
    words = [token for token in tokens if token.type != "NEWLINE"][:2]
    if [word.type for word in words] != ["MERGEC", "NUMBER"] or words[1].quiet:
        return
    number = words[1].value
    if number != LANGUAGE_VERSION or not isinstance(number, int):
        newer = isinstance(number, int) and number > LANGUAGE_VERSION
        raise RecipeError.of(
            "E0107",
            f"this recipe is written in version {words[1].text} of the language, and this mergec "
            f"knows version {LANGUAGE_VERSION}",
            span=words[1].span,
            hint="upgrade mergec" if newer else f"write `mergec {LANGUAGE_VERSION}`",
        )


def check_rules(recipe: Recipe, problems: Diagnostics) -> None:
    """Reports every breach of the rules in a recipe read from text."""
    for index, statement in enumerate(_statements(recipe.statements)):
        if isinstance(statement, Version) and index > 0:
            problems.report(
                "E0121", "`mergec` with a version must be the first statement", statement.span
            )
    for node in _walk(recipe.statements):
        if isinstance(node, Match):
            check_match(node, problems)
        elif isinstance(node, Block):
            _check_block(node, problems)
        elif isinstance(node, RowSyntax):
            _check_unique(node.columns, problems)
        elif isinstance(node, Save):
            _check_quoted(node.settings, problems)
            _check_unique(node.settings, problems)


def _statements(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        if isinstance(statement, For):
            yield from _statements(statement.body)


def _walk(node: object) -> Iterator[object]:
    """A node (or a tuple of nodes) and everything below it, in the order of the text."""
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif dataclasses.is_dataclass(node):
        yield node
        for field in dataclasses.fields(node):
            if field.compare:
                yield from _walk(getattr(node, field.name))


def check_match(match: Match, problems: Diagnostics) -> None:
    """Reports E0106 for a `match` without a default, and E0120 for an arm after it."""
    defaults = [i for i, arm in enumerate(match.arms) if arm.pattern.kind == "default"]
    if not defaults:
        problems.report(
            "E0106",
            "this `match` has no default arm",
            match.span,
            hint="add `_: value` as its last arm, for the tensors that no pattern matches",
        )
    elif defaults[0] < len(match.arms) - 1:
        default = match.arms[defaults[0]]
        problems.report(
            "E0120",
            "this arm is never reached: `_` before it matches everything",
            match.arms[defaults[0] + 1].span,
            hint="`_` must be the last arm",
            related=(Label(default.span, "matches everything"),),
        )


def _check_block(block: Block, problems: Diagnostics) -> None:
    if block.name not in ("union", "rename"):
        _check_quoted(block.settings, problems)
    _check_unique(block.settings, problems)


def _check_quoted(settings: tuple[Setting, ...], problems: Diagnostics) -> None:
    for setting in settings:
        if setting.quoted:
            problems.report(
                "E0110",
                "the name of a setting takes no quotes",
                setting.name_span,
                hint="only tokens in `union { … }` and names in `rename { … }` are quoted",
            )


def _check_unique(settings: tuple[Setting, ...], problems: Diagnostics) -> None:
    seen: dict[tuple[str, bool], Setting] = {}
    for setting in settings:
        first = seen.setdefault((setting.name, setting.quoted), setting)
        if first is not setting:
            problems.report(
                "E0112",
                f"`{setting.name}` is given twice",
                setting.name_span,
                related=(Label(first.name_span, "first given here"),),
            )
