"""Recipe text -> Recipe: the `.merge` front end.

tokens.py reads words, layout.py settles brackets and separators, merge.lark gives the syntax of one
statement, tree_builder.py makes the nodes, rules.py checks what the grammar can't say.

An item that fails to parse (a statement, or a row, setting or arm inside one) is reported, replaced
by an ERROR token that the grammar accepts, and its statement is parsed again: so every error of the
file is found, and each is reported once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import lark

from .complaints import explain_failure, looks_like_yaml
from .diagnostics import Diagnostics, SourceText
from .kept_table import load_parser
from .line_layout import CLOSERS, END, lay_out
from .rules import check_rules, check_version
from .syntax import Recipe, Statement
from .tokens import Token, tokenize
from .tree_builder import TreeBuilder

_MAX_ERRORS_PER_STATEMENT = 20


def parse_text(source: SourceText) -> Recipe:
    """The syntax tree of a `.merge` recipe.

    Raises RecipeError with all syntax errors of the text.
    """
    problems = Diagnostics()
    tokens, comments = tokenize(source, problems)
    check_version(tokens)
    looks_like_yaml(tokens)
    statements = []
    for chunk in lay_out(tokens, problems):
        statement = _parse_statement(chunk, problems)
        if statement is not None:
            statements.append(statement)
    recipe = Recipe(tuple(statements), source, tuple(comments))
    check_rules(recipe, problems)
    problems.raise_errors()
    return recipe


@functools.cache
def _parser() -> lark.Lark:
    grammar = Path(__file__).with_name("merge.lark").read_text(encoding="utf-8")
    options = {
        "transformer": TreeBuilder(),
        "keep_all_tokens": True,
        "maybe_placeholders": True,
    }
    return load_parser(grammar, _NoLexer, options)


class _NoLexer(lark.lexer.Lexer):
    """Tokens are fed to the parser one by one; it reads no text itself."""

    def __init__(self, _config: object):
        pass

    def lex(self, *_: object) -> Iterator[lark.Token]:
        return iter(())


def _parse_statement(tokens: list[Token], problems: Diagnostics) -> Statement | None:
    """One statement's tree, or None (and at least one report) where it has errors."""
    failed = False
    for _ in range(_MAX_ERRORS_PER_STATEMENT):
        outcome = _run_parser(tokens)
        if not isinstance(outcome, _Failure):
            return None if failed else outcome
        failed = True
        place = tokens[outcome.index]
        if not place.quiet and place.type != "JUNK":
            explain_failure(tokens, outcome.index, outcome.accepted, problems)
        first, last = _failed_item(tokens, outcome.index)
        if first == 0:
            return None
        error = Token("ERROR", "", place.span, quiet=True)
        tokens = [*tokens[:first], error, *tokens[last:]]
    return None


class _Failure:
    """Where parsing stopped, and the token types that would have been right there."""

    def __init__(self, index: int, accepted: frozenset[str]):
        self.index = index
        self.accepted = accepted


def _run_parser(tokens: list[Token]) -> Statement | _Failure:
    state = _parser().parse_interactive()
    result: object = None
    for index, token in enumerate(tokens):
        try:
            result = state.feed_token(cast(lark.Token, token))
        except lark.UnexpectedToken:
            return _Failure(index, frozenset(state.accepts()))  # type: ignore[no-untyped-call]
    return cast(Statement, result)


def _failed_item(tokens: list[Token], index: int) -> tuple[int, int]:
    """The token range of the innermost item around a failure that isn't an ERROR already."""
    while True:
        first, last = _item_start(tokens, index), _item_end(tokens, index)
        lone = tokens[first:last]
        if first == 0 or (lone and not (len(lone) == 1 and lone[0].type == "ERROR")):
            return first, last
        index = first - 1
        while tokens[index].type != "LBRACE":  # an empty item between separators
            index -= 1


def _item_start(tokens: list[Token], index: int) -> int:
    depth = 0
    for i in range(index - 1, -1, -1):
        type_ = tokens[i].type
        if type_ in CLOSERS.values():
            depth += 1
        elif type_ in CLOSERS and depth:
            depth -= 1
        elif depth == 0 and type_ in ("LBRACE", "SEP"):
            return i + 1
    return 0


def _item_end(tokens: list[Token], index: int) -> int:
    depth = 0
    for i in range(index, len(tokens)):
        type_ = tokens[i].type
        if type_ in CLOSERS:
            depth += 1
        elif type_ in CLOSERS.values() and depth:
            depth -= 1
        elif type_ == END or (depth == 0 and type_ in ("RBRACE", "SEP")):
            return i
    return len(tokens) - 1
