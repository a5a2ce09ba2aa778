"""The syntax tree of a recipe: what both front ends (text, YAML) produce, each node with its span.

Nodes are frozen and compare by value, spans aside. Names aren't resolved and kinds aren't checked
here: that is the compiler's binding phase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .diagnostics import Diagnostic, SourceText, Span


def _span() -> Span:
    """A span field: carried by every node, ignored when nodes are compared."""
    return field(compare=False, repr=False)  # type: ignore[no-any-return]


# Expressions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SizeSyntax:
    """A number of bytes (`5GB`, `512MiB`), with the text that it was written as."""

    value: int
    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name, perhaps dotted (`m14.core`): a binding, a dtype, a method's option."""

    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class List:
    items: tuple[ExprSyntax, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pattern:
    """`word`: a substring of the tensor's name; `glob`: whole segments of it (see patterns.py);
    `default`: everything. optional: written with a `?`, it may match nothing."""

    kind: Literal["word", "glob", "default"]
    text: str
    span: Span = _span()

    optional: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    pattern: Pattern
    value: ExprSyntax
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Match:
    """`match { pattern: value, … }`: picks by tensor name, the first match wins."""

    arms: tuple[Arm, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    op: Operator
    left: ExprSyntax
    right: ExprSyntax
    op_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if condition then chosen else other`."""

    condition: ExprSyntax
    chosen: ExprSyntax
    other: ExprSyntax
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Interval:
    """`start..stop`: the whole numbers from start to stop, both in it."""

    start: ExprSyntax
    stop: ExprSyntax
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Argument:
    """What a function is given: by position, or by name."""

    name: str | None
    value: ExprSyntax
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`name(arguments)`: a function of the language, or one that `def` makes."""

    name: str
    arguments: tuple[Argument, ...]
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Each:
    """`for name in values { rows }`: a list of one value a turn, or rows of a block."""

    name: str
    values: ExprSyntax
    rows: tuple[RowSyntax, ...]
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Negate:
    operand: ExprSyntax
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Slice:
    """`operand[start:stop]`: layers start up to stop, half-open; a bound left out is None."""

    operand: ExprSyntax
    start: ExprSyntax | None
    stop: ExprSyntax | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Setting:
    """`name = value` in a block, or a column `name=value` of a row.

    `quoted`: the name was written as a string, as a token's text is in `union`.
    """

    name: str
    value: ExprSyntax
    name_span: Span = _span()
    span: Span = _span()
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class RowSyntax:
    """A source of a block with its own columns."""

    value: ExprSyntax
    columns: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Block:
    """`name { rows and settings }`: a merge method, `stack`, `cast`, `lora` or `union`."""

    name: str
    items: tuple[RowSyntax | Setting, ...]
    name_span: Span = _span()
    span: Span = _span()

    @property
    def rows(self) -> tuple[RowSyntax, ...]:
        return tuple(item for item in self.items if isinstance(item, RowSyntax))

    @property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(item for item in self.items if isinstance(item, Setting))


@dataclass(frozen=True, slots=True)
class Placed:
    """An expression whose names are looked up in a scope of its own: a row of one turn of a `for`.

    Binding makes it of other nodes; no text has it.
    """

    node: ExprSyntax
    scope: Any
    span: Span = _span()


ExprSyntax: TypeAlias = (
    Number
    | Boolean
    | SizeSyntax
    | String
    | Name
    | List
    | Match
    | Binary
    | Conditional
    | Interval
    | FunctionCall
    | Each
    | Negate
    | Slice
    | Block
    | Placed
)
Operator: TypeAlias = Literal["+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!="]

# Statements -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    value: ExprSyntax
    keep: bool
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    value: ExprSyntax
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: ExprSyntax
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Save:
    """`save value to path { settings }`. YAML names no path: None until `--out` says."""

    value: ExprSyntax
    path: String | None
    settings: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class For:
    name: str
    values: ExprSyntax
    body: tuple[Statement, ...]
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Import:
    """`import path as alias { settings }`: another recipe, its `param`s given values."""

    path: String
    alias: str
    settings: tuple[Setting, ...]
    alias_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Use:
    """`use path`: a Python file of merge methods."""

    path: String
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Taken:
    """What a function takes: a name, and a default for what may be left out."""

    name: str
    default: ExprSyntax | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Define:
    """`def name(parameters) = value`: a part of a recipe that is used with several values."""

    name: str
    parameters: tuple[Taken, ...]
    value: ExprSyntax
    name_span: Span = _span()
    span: Span = _span()


Statement: TypeAlias = Version | Let | Param | Set | Save | For | Import | Use | Define


@dataclass(frozen=True, slots=True)
class Comment:
    """A `#` comment, its text with the `#`; `own_line` tells it from one at the end of a line."""

    text: str
    own_line: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Recipe:
    statements: tuple[Statement, ...]
    source: SourceText = field(compare=False, repr=False)
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
