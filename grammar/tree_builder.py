"""Reductions of the parser -> syntax tree nodes, each with the span of what it was written as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from lark import Transformer, v_args

from .syntax import (
    Argument,
    Arm,
    Binary,
    Block,
    Boolean,
    Conditional,
    Define,
    Each,
    ExprSyntax,
    For,
    FunctionCall,
    Import,
    Interval,
    Let,
    List,
    Match,
    Name,
    Negate,
    Number,
    Operator,
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
    Taken,
    Use,
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

    def import_file(
        self,
        word: Token,
        path: Token,
        _as: Token,
        alias: Token,
        settings: tuple[tuple[Setting, ...], Token] | None,
    ) -> Import:
        given, end = settings if settings else ((), alias)
        span = word.span.to(end.span)
        return Import(self.string(path), alias.text, given, alias.span, span)

    def use_file(self, word: Token, path: Token) -> Use:
        return Use(self.string(path), word.span.to(path.span))

    def define(
        self,
        word: Token,
        name: Token,
        _open: Token,
        parameters: tuple[Taken, ...] | None,
        _close: Token,
        _equal: Token,
        value: ExprSyntax,
    ) -> Define:
        return Define(name.text, parameters or (), value, name.span, word.span.to(value.span))

    def parameters(self, *rest: Any) -> tuple[Taken, ...]:
        return tuple(x for x in rest if isinstance(x, Taken))

    def taken(self, name: Token, _equal: Token | None, default: ExprSyntax | None) -> Taken:
        return Taken(name.text, default, name.span)

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
        sign = cast(Operator, op.text)
        return Binary(sign, left, right, op.span, left.span.to(right.span))

    def conditional(
        self,
        word: Token,
        condition: ExprSyntax,
        _then: Token,
        chosen: ExprSyntax,
        _else: Token,
        other: ExprSyntax,
    ) -> Conditional:
        return Conditional(condition, chosen, other, word.span.to(other.span))

    def interval(self, start: ExprSyntax, _range: Token, stop: ExprSyntax) -> Interval:
        return Interval(start, stop, start.span.to(stop.span))

    def call(
        self, name: Token, _open: Token, arguments: tuple[Argument, ...] | None, close: Token
    ) -> FunctionCall:
        return FunctionCall(name.text, arguments or (), name.span, name.span.to(close.span))

    def arguments(self, *rest: Any) -> tuple[Argument, ...]:
        return tuple(x for x in rest if isinstance(x, Argument))

    def argument(self, *parts: Any) -> Argument:
        if len(parts) == 1:
            return Argument(None, parts[0], parts[0].span)
        name, _, value = parts
        return Argument(name.text, value, name.span.to(value.span))

    def each(
        self,
        word: Token,
        name: Token,
        _in: Token,
        values: ExprSyntax,
        _open: Token,
        *rest: Any,
    ) -> Each:
        rows = tuple(x for x in rest if isinstance(x, RowSyntax))
        return Each(name.text, values, rows, name.span, word.span.to(rest[-1].span))

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

    def arm(self, pattern: Pattern, maybe: Token | None, _colon: Token, value: ExprSyntax) -> Arm:
        asked = replace(pattern, optional=maybe is not None)
        return Arm(asked, value, pattern.span.to(value.span))

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
