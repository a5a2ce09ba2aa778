"""Recipe -> canonical text: two spaces, aligned columns, comments and single blank lines kept.

What was on one line stays there if it fits; everything else has one item a line. A column's `match`
goes on one line whenever it fits. Formatting its own output changes nothing, and the output parses
to the same tree.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from .expression_text import (
    POSTFIX,
    SUM,
    WHOLE,
    binding,
    bounds,
    define_head,
    expression,
    for_head,
    import_head,
    negated_needs,
    one_line,
    operand_needs,
    save_path,
    setting_name,
)
from .syntax import (
    Argument,
    Arm,
    Binary,
    Block,
    Comment,
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
    Negate,
    Param,
    Recipe,
    RowSyntax,
    Save,
    Set,
    Setting,
    Slice,
    Statement,
)

_WIDTH = 100
_ROW_WIDTH = 120  # rows are a table, which is worth a longer line
_STEP = "  "

_Item: TypeAlias = Statement | RowSyntax | Setting | Arm | ExprSyntax | Argument
_Braced: TypeAlias = Block | Match | For | Save | Each | Import
_ItemT = TypeVar("_ItemT", bound=_Item)


def format_recipe(recipe: Recipe) -> str:
    """The canonical text of a recipe from either front end."""
    formatter = _Formatter(recipe)
    whole = (0, len(recipe.source.text) + 1)
    _, text = formatter.body(recipe.statements, whole, "", formatter.statement)
    return text + "\n" if text else ""


@dataclass
class _Line:
    """An item of a body, or a comment on its own line; its text may go on over further lines.

    kind, cells: neighbours of one kind are aligned, cell by cell; without cells a line isn't.
    """

    text: str
    kind: str
    cells: tuple[str, ...] = ()
    blank_before: bool = False
    trailing: str | None = None

    @property
    def is_single(self) -> bool:
        return "\n" not in self.text


class _Formatter:
    def __init__(self, recipe: Recipe):
        self.text = recipe.source.text
        self.comments = recipe.comments
        self.starts = [comment.span.start for comment in recipe.comments]
        # The items of a YAML recipe come from all over its text: its blank lines say nothing.
        self.from_yaml = any(isinstance(s, Save) and s.path is None for s in recipe.statements)

    # Places in the source

    def comments_in(self, start: int, end: int) -> Sequence[Comment]:
        first = bisect.bisect_left(self.starts, start)
        return self.comments[first : bisect.bisect_left(self.starts, end)]

    def may_be_flat(self, node: _Item, *, in_column: bool = False) -> bool:
        """Whether neither comments in its bodies nor their line breaks keep it off one line."""
        return not any(
            self.comments_in(*_body_of(part))
            or (not in_column and "\n" in self.text[part.span.start : part.span.end])
            for part in _braced_parts(node)
        )

    def _blank_between(self, start: int, end: int, indent: str) -> bool:
        if self.from_yaml:
            return not indent
        return self.text.count("\n", start, end) > 1

    # Bodies: the file, a `for`, a block, a match, a list, the settings of a save

    def body(
        self,
        items: Sequence[_ItemT],
        region: tuple[int, int],
        indent: str,
        render: Callable[[_ItemT, str], _Line],
    ) -> tuple[str | None, str]:
        """The comment right after the opening bracket, if any, and the text of a body's lines."""
        lines: list[_Line] = []
        header: str | None = None
        position = region[0]

        def add(line: _Line, start: int, end: int) -> None:
            nonlocal position
            line.blank_before = bool(lines) and self._blank_between(position, start, indent)
            lines.append(line)
            position = end

        def add_comments(end: int) -> None:
            nonlocal header, position
            for comment in self.comments_in(position, end):
                start = comment.span.start
                if comment.own_line:
                    add(_Line(comment.text, "comment"), start, comment.span.end)
                elif not lines and header is None:
                    header = comment.text
                elif lines and lines[-1].trailing is None and lines[-1].kind != "comment":
                    lines[-1].trailing = comment.text
                else:
                    add(_Line(comment.text, "comment"), start, comment.span.end)
                position = comment.span.end

        for item in items:
            add_comments(item.span.start)
            for comment in self._stray_comments(item):
                add(_Line(comment.text, "comment"), item.span.start, item.span.start)
            add(render(item, indent), item.span.start, item.span.end)
        add_comments(region[1])
        return header, _join(_aligned(lines, indent), indent)

    def _stray_comments(self, item: _Item) -> Iterator[Comment]:
        """Comments inside an item that no body inside it holds: they move in front of it."""
        bodies = [_body_of(part) for part in _braced_parts(item)]
        for comment in self.comments_in(item.span.start, item.span.end):
            if not any(start <= comment.span.start < end for start, end in bodies):
                yield comment

    def _braced(
        self,
        items: Sequence[_ItemT],
        region: tuple[int, int],
        indent: str,
        render: Callable[[_ItemT, str], _Line],
    ) -> str:
        header, text = self.body(items, region, indent + _STEP, render)
        opening = f"{{  {header}" if header else "{"
        return f"{opening}\n{text}\n{indent}}}" if text else f"{opening}\n{indent}}}"

    # Items

    def statement(self, node: Statement, indent: str) -> _Line:
        if isinstance(node, For):
            flat = one_line(node)
            if self.may_be_flat(node) and len(indent) + len(flat) <= _WIDTH:
                return _Line(flat, "for")
            body = self._braced(node.body, _body_of(node), indent, self.statement)
            return _Line(f"{for_head(node)} {body}", "for")
        if isinstance(node, Save):
            return _Line(self._save(node, indent), "save")
        if isinstance(node, Import):
            text = self._with_settings(import_head(node), node, indent)
            return _Line(text, "other")
        if isinstance(node, Define):
            head = define_head(node)
            value = self.expression(node.value, indent, len(indent) + len(head) + 3)
            return _Line(f"{head} = {value}", "def")
        if not isinstance(node, Let | Param | Set):
            return _Line(one_line(node), "other")
        kind = type(node).__name__.lower()
        head = f"{kind} {node.name}"
        tail = " keep" if isinstance(node, Let) and node.keep else ""
        column = len(indent) + len(head) + 3
        value = self.expression(node.value, indent, column, len(tail)) + tail
        return _Line(f"{head} = {value}", kind, (head, f"= {value}"))

    def _save(self, node: Save, indent: str) -> str:
        path = f" to {save_path(node)}"
        region = _body_of(node)
        bare = not node.settings and not self.comments_in(*region)
        tail = len(path) if bare else len(path) + 2
        text = "save " + self.expression(node.value, indent, len(indent) + 5, tail) + path
        return self._with_settings(text, node, indent)

    def _with_settings(self, text: str, node: Save | Import, indent: str) -> str:
        """A statement and its settings in braces, if it has any."""
        region = _body_of(node)
        if not node.settings and not self.comments_in(*region):
            return text
        inside = ", ".join(map(one_line, node.settings))
        fits = _last_width(text, indent) + len(inside) + 5 <= _WIDTH
        stays = self.from_yaml or "\n" not in self.text[region[0] : region[1]]
        if fits and stays and not self.comments_in(*region):
            return f"{text} {{ {inside} }}"
        return f"{text} {self._braced(node.settings, region, indent, self.item)}"

    def item(self, node: RowSyntax | Setting, indent: str) -> _Line:
        """A row or a setting of a block."""
        if isinstance(node, RowSyntax):
            return self._row(node, indent)
        name = setting_name(node)
        value = self.expression(node.value, indent, len(indent) + len(name) + 3)
        return _Line(f"{name} = {value}", "setting", (name, f"= {value}"))

    def arm(self, node: Arm, indent: str) -> _Line:
        pattern = one_line(node.pattern) + ":"
        value = self.expression(node.value, indent, len(indent) + len(pattern) + 1)
        return _Line(f"{pattern} {value}", "arm", (pattern, value))

    def _row(self, node: RowSyntax, indent: str) -> _Line:
        text = self.expression(node.value, indent, len(indent))
        cells = [text]
        for column in node.columns:
            name = setting_name(column) + "="
            start = _last_width(text, indent) + 2
            value = self.expression(column.value, indent, start + len(name), in_column=True)
            cells.append(name + value)
            text = f"{text}  {name}{value}"
        aligned = len(cells) > 1 and not any(_braced_parts(node.value))
        return _Line(text, "row", tuple(cells) if aligned else ())

    # Expressions

    def expression(
        self,
        node: ExprSyntax,
        indent: str,
        column: int,
        tail: int = 0,
        *,
        need: int = WHOLE,
        in_column: bool = False,
    ) -> str:
        """The text of an expression that begins at `column` (from 0) on a line.

        tail: characters that follow on its last line; need: as in expression_text.expression.
        """
        flat = expression(node, need)
        width = _ROW_WIDTH if in_column else _WIDTH
        if self.may_be_flat(node, in_column=in_column) and column + len(flat) + tail <= width:
            return flat
        if binding(node) < need:
            return f"({self.expression(node, indent, column + 1, tail + 1)})"
        if isinstance(node, Block):
            if node.items or self.comments_in(*_body_of(node)):
                return f"{node.name} {self._braced(node.items, _body_of(node), indent, self.item)}"
        elif isinstance(node, Match):
            return f"match {self._braced(node.arms, _body_of(node), indent, self.arm)}"
        elif isinstance(node, Each):
            return f"{for_head(node)} {self._braced(node.rows, _body_of(node), indent, self.item)}"
        elif isinstance(node, FunctionCall) and node.arguments:
            return self._call(node, indent)
        elif isinstance(node, Conditional):
            return self._conditional(node, indent, column, tail)
        elif isinstance(node, Interval):
            left = self.expression(node.start, indent, column, need=SUM) + ".."
            start = _last_width(left, " " * column)
            return left + self.expression(node.stop, indent, start, tail, need=SUM)
        elif isinstance(node, List) and node.items:
            return self._list(node, indent)
        elif isinstance(node, Binary):
            needs = operand_needs(node)
            left = self.expression(node.left, indent, column, need=needs[0]) + f" {node.op} "
            start = _last_width(left, " " * column)
            return left + self.expression(node.right, indent, start, tail, need=needs[1])
        elif isinstance(node, Negate):
            needs_inside = negated_needs(node)
            return "-" + self.expression(node.operand, indent, column + 1, tail, need=needs_inside)
        elif isinstance(node, Slice):
            after = bounds(node)
            return (
                self.expression(node.operand, indent, column, tail + len(after), need=POSTFIX)
                + after
            )
        return flat

    def _conditional(self, node: Conditional, indent: str, column: int, tail: int) -> str:
        text = ""
        parts = (("if ", node.condition), (" then ", node.chosen), (" else ", node.other))
        for word, part in parts:
            text += word
            start = _last_width(text, " " * column)
            text += self.expression(part, indent, start, tail if part is node.other else 0)
        return text

    def _call(self, node: FunctionCall, indent: str) -> str:
        inner = indent + _STEP
        given = []
        for argument in node.arguments:
            name = "" if argument.name is None else f"{argument.name} = "
            value = self.expression(argument.value, inner, len(inner) + len(name), 1)
            given.append(inner + name + value)
        return f"{node.name}(\n" + ",\n".join(given) + f"\n{indent})"

    def _list(self, node: List, indent: str) -> str:
        inner = indent + _STEP
        items = [self.expression(item, inner, len(inner), 1) for item in node.items]
        return "[\n" + ",\n".join(inner + item for item in items) + f"\n{indent}]"


def _last_width(text: str, indent: str) -> int:
    """The column after the last line of a text whose first line begins after `indent`."""
    _, line_break, last = text.rpartition("\n")
    return len(last) if line_break else len(indent) + len(text)


def _body_of(node: _Braced) -> tuple[int, int]:
    """The characters between a node's braces (from some place before the opening one)."""
    if isinstance(node, Block):
        return node.name_span.end, node.span.end
    if isinstance(node, For | Each):
        return node.values.span.end, node.span.end
    if isinstance(node, Import):
        return node.alias_span.end, node.span.end
    if isinstance(node, Save):
        return (node.path.span.end if node.path else node.span.end), node.span.end
    return node.span.start, node.span.end


def _braced_parts(node: object) -> Iterator[_Braced]:
    """Every node in a tree that has a body, outer ones first."""
    if isinstance(node, tuple):
        for item in node:
            yield from _braced_parts(item)
    elif dataclasses.is_dataclass(node):
        if isinstance(node, Block | Match | For | Save | Each | Import):
            yield node
        for field in dataclasses.fields(node):
            if field.compare:
                yield from _braced_parts(getattr(node, field.name))


def _aligned(lines: list[_Line], indent: str) -> list[_Line]:
    """The same lines, where runs of one kind on single lines have their cells aligned."""
    run: list[_Line] = []
    for line in [*lines, _Line("", "end")]:
        breaks = line.kind != "comment" and (
            (bool(run) and line.kind != run[0].kind) or not line.is_single
        )
        if breaks or line.blank_before:
            _align_run(run, indent)
            run = []
        if line.cells and line.is_single:
            run.append(line)
    return lines


def _align_run(run: list[_Line], indent: str) -> None:
    widths: list[int] = []
    for line in run:
        for index, cell in enumerate(line.cells[:-1]):
            widths[index:] = [max(len(cell), *widths[index : index + 1], 0), *widths[index + 1 :]]
    is_table = bool(run) and run[0].kind == "row"
    gap, limit = ("  ", _ROW_WIDTH) if is_table else (" ", _WIDTH)
    texts = []
    for line in run:
        padded = [cell.ljust(width) for cell, width in zip(line.cells[:-1], widths, strict=False)]
        texts.append(gap.join((*padded, line.cells[-1])))
    if all(len(indent) + len(text) <= limit for text in texts):
        for line, text in zip(run, texts, strict=True):
            line.text = text


def _join(lines: list[_Line], indent: str) -> str:
    text = []
    for line in lines:
        blank = "\n" if line.blank_before else ""
        trailing = f"  {line.trailing}" if line.trailing else ""
        text.append(f"{blank}{indent}{line.text}{trailing}")
    return "\n".join(text)
