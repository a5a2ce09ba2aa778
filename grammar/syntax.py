"""The syntax tree of a recipe: what both front ends (text, YAML) produce, each node with its span.

Nodes are frozen and compare by value, spans aside. Names aren't resolved and kinds aren't checked
here: that is the compiler's binding phase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .diagnostics import SourceText, Span


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
class Size:
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
    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pattern:
    """`word`: a substring of the tensor's name; `glob`: the whole name; `default`: everything."""

    kind: Literal["word", "glob", "default"]
    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Arm:
    pattern: Pattern
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Match:
    """`match { pattern: value, … }`: picks by tensor name, the first match wins."""

    arms: tuple[Arm, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    op: Literal["+", "-", "*"]
    left: Expr
    right: Expr
    op_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Negate:
    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Slice:
    """`operand[start:stop]`: layers start up to stop, half-open; a bound left out is None."""

    operand: Expr
    start: Expr | None
    stop: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Setting:
    """`name = value` in a block, or a column `name=value` of a row.

    `quoted`: the name was written as a string, as a token's text is in `union`.
    """

    name: str
    value: Expr
    name_span: Span = _span()
    span: Span = _span()
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A source of a block with its own columns."""

    value: Expr
    columns: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Block:
    """`name { rows and settings }`: a merge method, `stack`, `cast`, `lora` or `union`."""

    name: str
    items: tuple[Row | Setting, ...]
    name_span: Span = _span()
    span: Span = _span()

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(item for item in self.items if isinstance(item, Row))

    @property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(item for item in self.items if isinstance(item, Setting))


Expr: TypeAlias = (
    Number | Boolean | Size | String | Name | List | Match | Binary | Negate | Slice | Block
)

# Statements -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    value: Expr
    keep: bool
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    value: Expr
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: Expr
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Save:
    """`save value to path { settings }`. YAML names no path: None until `--out` says."""

    value: Expr
    path: String | None
    settings: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class For:
    name: str
    values: Expr
    body: tuple[Statement, ...]
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Import:
    path: String
    alias: str
    alias_span: Span = _span()
    span: Span = _span()


Statement: TypeAlias = Version | Let | Param | Set | Save | For | Import


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
