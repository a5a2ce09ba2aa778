"""Syntax tree -> text on one line: what `parse` reads back to the same tree."""

from __future__ import annotations

import functools
import re

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
    Param,
    Pattern,
    RowSyntax,
    Save,
    Set,
    Setting,
    SizeSyntax,
    Slice,
    String,
    Use,
    Version,
)

# How tightly an expression binds; one looser than its place needs goes into parentheses.
WHOLE, COMPARISON, EXTENT, SUM, PRODUCT, UNARY, POSTFIX, ATOM = range(1, 9)
DEFAULT_PATH = "./merged"  # where a YAML recipe is saved, for it names no path itself

_BINDING = {"*": PRODUCT, "/": PRODUCT, "+": SUM, "-": SUM}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quote(text: str) -> str:
    """A string as a recipe writes it."""
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def number(value: int | float) -> str:
    """A number as a recipe writes it: `1e-5`, not `1e-05`."""
    return re.sub(r"e([+-])0+(?=\d)", r"e\1", repr(value)).replace("e+", "e")


def binding(expr: ExprSyntax) -> int:
    """How tightly an expression's outermost operator binds."""
    if isinstance(expr, Binary):
        return _BINDING.get(expr.op, COMPARISON)
    if isinstance(expr, Conditional):
        return WHOLE
    if isinstance(expr, Interval):
        return EXTENT
    if isinstance(expr, Negate) or (isinstance(expr, Number) and repr(expr.value)[0] == "-"):
        return UNARY
    return POSTFIX if isinstance(expr, Slice) else ATOM


def operand_needs(expr: Binary) -> tuple[int, int]:
    """How tightly the left and the right operand must bind to stand without parentheses."""
    own = binding(expr)
    return (EXTENT, EXTENT) if own == COMPARISON else (own, own + 1)


def negated_needs(expr: Negate) -> int:
    """The same for a negated operand: `-2` would be read as a number."""
    return ATOM + 1 if isinstance(expr.operand, Number) else UNARY


@functools.singledispatch
def one_line(node: object) -> str:
    """The node's text on one line."""
    raise TypeError(f"not a node: {node!r}")


def expression(expr: ExprSyntax, need: int = WHOLE) -> str:
    """The expression's text on one line, in parentheses where it binds looser than `need`."""
    text = one_line(expr)
    return text if binding(expr) >= need else f"({text})"


@one_line.register
def _(node: Number) -> str:
    return number(node.value)


@one_line.register
def _(node: Boolean) -> str:
    return "true" if node.value else "false"


@one_line.register
def _(node: SizeSyntax) -> str:
    return node.text


@one_line.register
def _(node: String) -> str:
    return quote(node.value)


@one_line.register
def _(node: Name) -> str:
    return node.value


@one_line.register
def _(node: List) -> str:
    return "[" + ", ".join(map(one_line, node.items)) + "]"


@one_line.register
def _(node: Pattern) -> str:
    text = quote(node.text) if node.kind == "glob" else node.text
    return f"{text}?" if node.optional else text


@one_line.register
def _(node: Arm) -> str:
    return f"{one_line(node.pattern)}: {one_line(node.value)}"


@one_line.register
def _(node: Match) -> str:
    return "match " + braced(map(one_line, node.arms))


@one_line.register
def _(node: Binary) -> str:
    left, right = operand_needs(node)
    return f"{expression(node.left, left)} {node.op} {expression(node.right, right)}"


@one_line.register
def _(node: Conditional) -> str:
    parts = map(one_line, (node.condition, node.chosen, node.other))
    return "if {} then {} else {}".format(*parts)


@one_line.register
def _(node: Interval) -> str:
    return f"{expression(node.start, SUM)}..{expression(node.stop, SUM)}"


@one_line.register
def _(node: FunctionCall) -> str:
    return f"{node.name}({', '.join(map(one_line, node.arguments))})"


@one_line.register
def _(node: Argument) -> str:
    return one_line(node.value) if node.name is None else f"{node.name} = {one_line(node.value)}"


@one_line.register
def _(node: Each) -> str:
    return f"{for_head(node)} {braced(map(one_line, node.rows))}"


@one_line.register
def _(node: Negate) -> str:
    return "-" + expression(node.operand, negated_needs(node))


@one_line.register
def _(node: Slice) -> str:
    return expression(node.operand, POSTFIX) + bounds(node)


@one_line.register
def _(node: Setting) -> str:
    return f"{setting_name(node)} = {one_line(node.value)}"


@one_line.register
def _(node: RowSyntax) -> str:
    columns = (f"{setting_name(column)}={one_line(column.value)}" for column in node.columns)
    return " ".join((one_line(node.value), *columns))


@one_line.register
def _(node: Block) -> str:
    return f"{node.name} " + braced(map(one_line, node.items))


@one_line.register
def _(node: Version) -> str:
    return f"mergec {node.number}"


@one_line.register
def _(node: Let) -> str:
    return f"let {node.name} = {one_line(node.value)}" + (" keep" if node.keep else "")


@one_line.register
def _(node: Param) -> str:
    return f"param {node.name} = {one_line(node.value)}"


@one_line.register
def _(node: Set) -> str:
    return f"set {node.name} = {one_line(node.value)}"


@one_line.register
def _(node: Import) -> str:
    text = import_head(node)
    return f"{text} {braced(map(one_line, node.settings))}" if node.settings else text


@one_line.register
def _(node: Use) -> str:
    return f"use {one_line(node.path)}"


@one_line.register
def _(node: Define) -> str:
    return f"{define_head(node)} = {one_line(node.value)}"


@one_line.register
def _(node: Save) -> str:
    text = f"save {one_line(node.value)} to {save_path(node)}"
    return f"{text} {braced(map(one_line, node.settings))}" if node.settings else text


@one_line.register
def _(node: For) -> str:
    return f"{for_head(node)} {braced(map(one_line, node.body))}"


def bounds(node: Slice) -> str:
    """`[a:b]` of a slice."""
    start, stop = (
        one_line(bound) if bound is not None else "" for bound in (node.start, node.stop)
    )
    return f"[{start}:{stop}]"


def setting_name(node: Setting) -> str:
    return quote(node.name) if node.quoted else node.name


def save_path(node: Save) -> str:
    return quote(node.path.value if node.path is not None else DEFAULT_PATH)


def import_head(node: Import) -> str:
    return f"import {one_line(node.path)} as {node.alias}"


def define_head(node: Define) -> str:
    taken = (
        p.name if p.default is None else f"{p.name} = {one_line(p.default)}"
        for p in node.parameters
    )
    return f"def {node.name}({', '.join(taken)})"


def for_head(node: For | Each) -> str:
    values = node.values
    if isinstance(values, Interval):
        text = "..".join(_end(end) for end in (values.start, values.stop))
    elif isinstance(values, Name | List | FunctionCall):
        text = one_line(values)
    else:
        text = f"({one_line(values)})"
    return f"for {node.name} in {text}"


def _end(expr: ExprSyntax) -> str:
    """An end of a `for`'s range, which a `{` follows."""
    plain = isinstance(expr, Name | FunctionCall) or (
        isinstance(expr, Number) and binding(expr) == ATOM
    )
    return one_line(expr) if plain else f"({one_line(expr)})"


def braced(items: map[str]) -> str:
    inside = ", ".join(items)
    return f"{{ {inside} }}" if inside else "{}"
