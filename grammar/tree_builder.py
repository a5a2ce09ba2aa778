"""Reductions of the parser -> syntax tree nodes, each with the span of what it was written as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast

from lark import Transformer, v_args

from .syntax import (
    Arm,
    Binary,
    Block,
    Boolean,
    ExprSyntax,
    For,
    Import,
    Let,
    List,
    Match,
    Name,
    Negate,
    Number,
    Param,
    Pattern,
    RowSyntax,
    Save,
    Set,
    Setting,
    SizeSyntax,
    Slice,
    Statement,
    String,
    Version,
)
from .tokens import Token


class Failed:
    """Stands in the tree where an item failed to parse; such a tree is never handed out."""


@v_args(inline=True)
class TreeBuilder(Transformer[Any, Any]):
    """One method a rule of merge.lark, called with the rule's tokens and nodes in order."""

    def error(self, _error: Token) -> Failed:
        return Failed()

    # Statements

    def version(self, word: Token, number: Token) -> Version:
        value = number.value
        return Version(value if isinstance(value, int) else 0, word.span.to(number.span))

    def let(
        self, word: Token, name: Token, _equal: Token, value: ExprSyntax, keep: Token | None
    ) -> Let:
        span = word.span.to(keep.span if keep else value.span)
        return Let(name.text, value, keep is not None, name.span, span)

    def param(self, word: Token, name: Token, _equal: Token, value: ExprSyntax) -> Param:
        return Param(name.text, value, name.span, word.span.to(value.span))

    def set(self, word: Token, name: Token, _equal: Token, value: ExprSyntax) -> Set:
        return Set(name.text, value, name.span, word.span.to(value.span))

    def save(
        self,
        word: Token,
        value: ExprSyntax,
        _to: Token,
        path: Token,
        settings: tuple[tuple[Setting, ...], Token] | None,
    ) -> Save:
        end = settings[1] if settings else path
        return Save(
            value, self.string(path), settings[0] if settings else (), word.span.to(end.span)
        )

    def settings(self, _open: Token, *rest: Any) -> tuple[tuple[Setting, ...], Token]:
        return tuple(x for x in rest if isinstance(x, Setting)), rest[-1]

    def statements(self, *rest: Any) -> tuple[Statement, ...]:
        return tuple(x for x in rest if not isinstance(x, Token | Failed))

    def for_each(
        self,
        word: Token,
        name: Token,
        _in: Token,
        values: ExprSyntax,
        _open: Token,
        body: tuple[Statement, ...],
        close: Token,
    ) -> For:
        return For(name.text, values, body, name.span, word.span.to(close.span))

    def import_file(self, word: Token, path: Token, _as: Token, alias: Token) -> Import:
        return Import(self.string(path), alias.text, alias.span, word.span.to(alias.span))

    # Expressions

    def number(self, token: Token) -> Number:
        return Number(cast("int | float", token.value), token.span)

    def size(self, token: Token) -> SizeSyntax:
        return SizeSyntax(cast(int, token.value), token.text, token.span)

    def string(self, token: Token) -> String:
        return String(str(token.value), token.span)

    def boolean(self, token: Token) -> Boolean:
        return Boolean(bool(token.value), token.span)

    def reference(self, token: Token) -> Name:
        return Name(token.text, token.span)

    def paren(self, left: Token, inner: ExprSyntax, right: Token) -> ExprSyntax:
        return replace(inner, span=left.span.to(right.span))

    def binary(self, left: ExprSyntax, op: Token, right: ExprSyntax) -> Binary:
        sign = cast(Literal["+", "-", "*"], op.text)
        return Binary(sign, left, right, op.span, left.span.to(right.span))

    def negate(self, minus: Token, operand: ExprSyntax) -> Number | Negate:
        span = minus.span.to(operand.span)
        literal = minus.span.source.text[operand.span.start] in ".0123456789"
        if isinstance(operand, Number) and literal:
            return Number(-operand.value, span)
        return Negate(operand, span)

    def slice(
        self,
        operand: ExprSyntax,
        _open: Token,
        start: ExprSyntax | None,
        _colon: Token,
        stop: ExprSyntax | None,
        close: Token,
    ) -> Slice:
        return Slice(operand, start, stop, operand.span.to(close.span))

    def list(self, left: Token, *rest: Any) -> List:
        items = tuple(x for x in rest if not isinstance(x, Token))
        return List(items, left.span.to(rest[-1].span))

    def match(self, word: Token, _open: Token, *rest: Any) -> Match:
        arms = tuple(x for x in rest if isinstance(x, Arm))
        return Match(arms, word.span.to(rest[-1].span))

    def arm(self, pattern: Pattern, _colon: Token, value: ExprSyntax) -> Arm:
        return Arm(pattern, value, pattern.span.to(value.span))

    def pattern(self, token: Token) -> Pattern:
        if token.type == "UNDERSCORE":
            return Pattern("default", "_", token.span)
        if token.type == "STRING":
            return Pattern("glob", str(token.value), token.span)
        return Pattern("word", token.text, token.span)

    def block(self, name: Token, _open: Token, *rest: Any) -> Block:
        items = tuple(x for x in rest if isinstance(x, RowSyntax | Setting))
        return Block(name.text, items, name.span, name.span.to(rest[-1].span))

    def row(self, value: ExprSyntax, *columns: Setting) -> RowSyntax:
        end = columns[-1].span if columns else value.span
        return RowSyntax(value, columns, value.span.to(end))

    def setting(self, name: Token, _equal: Token, value: ExprSyntax) -> Setting:
        quoted = name.type == "STRING"
        text = str(name.value) if quoted else name.text
        return Setting(text, value, name.span, name.span.to(value.span), quoted)

    column = setting
