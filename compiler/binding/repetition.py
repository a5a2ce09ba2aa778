"""`for … { … }` inside an expression -> its turns: values of a list, or rows of a block.

Each turn has a scope of its own, in which the loop's name is defined. A row that is written once
and bound in several scopes goes on its way as `Placed` nodes, each evaluated in its own scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Span
from .scope import Scope
from .terms import ModelList, Resolved, Term, Unknown, describe, is_value

MOST_TURNS = 10_000


class Loops(Protocol):
    """What repetition asks of expressions."""

    scope: Scope
    problems: Diagnostics

    def evaluate(self, node: syntax.ExprSyntax) -> Resolved: ...


def loop_values(loops: Loops, node: syntax.ExprSyntax) -> Sequence[Resolved] | None:
    """What a `for` goes through; None where that isn't known.

    Reports E0204 where it is no list.
    """
    if isinstance(node, syntax.List):  # its items may be models, too
        return [loops.evaluate(item) for item in node.items]
    found = loops.evaluate(node)
    if isinstance(found, ModelList):
        return found.items
    if isinstance(found, syntax.List):
        return [item for item in found.items if is_value(item)]
    if not isinstance(found, Unknown):
        message = f"`for` goes through a list, found {describe(found)}"
        loops.problems.report("E0204", message, node.span)
    return None


def turns(loops: Loops, each: syntax.Each) -> Iterator[Scope]:
    """A scope for each turn; one in which the name is unknown where the list isn't known."""
    values = loop_values(loops, each.values)
    for value in [Unknown(each.values.span)] if values is None else values:
        scope = loops.scope.inner()
        scope.define(each.name, each.name_span, value, loops.problems)
        yield scope


def unrolled(loops: Loops, block: syntax.Block) -> tuple[syntax.Block, bool]:
    """The block with its `for`s written out, and whether the number of its rows is known.

    Reports E0126 for columns after a `for`.
    """
    if not any(isinstance(row.value, syntax.Each) for row in block.rows):
        return block, True
    known = True
    items: list[syntax.RowSyntax | syntax.Setting] = []
    for item in block.items:
        if isinstance(item, syntax.RowSyntax) and isinstance(item.value, syntax.Each):
            rows, certain = _rows(loops, item, item.value)
            items += rows
            known = known and certain
        else:
            items.append(item)
    return replace(block, items=tuple(items)), known


def _rows(
    loops: Loops, row: syntax.RowSyntax, each: syntax.Each
) -> tuple[list[syntax.RowSyntax], bool]:
    if row.columns:
        message = "columns stand after the rows inside a `for`, not after it"
        loops.problems.report("E0126", message, row.columns[0].span)
    before, rows, known = loops.scope, [], True
    for scope in turns(loops, each):
        loops.scope = scope
        known = known and not isinstance(scope.use(each.name), Unknown)
        for inner in each.rows:
            if isinstance(inner.value, syntax.Each):
                deeper, certain = _rows(loops, inner, inner.value)
                rows += deeper
                known = known and certain
            else:
                rows.append(_in(scope, inner))
        loops.scope = before
    return rows, known


def _in(scope: Scope, row: syntax.RowSyntax) -> syntax.RowSyntax:
    columns = tuple(
        replace(c, value=syntax.Placed(c.value, scope, c.value.span)) for c in row.columns
    )
    return replace(row, value=syntax.Placed(row.value, scope, row.value.span), columns=columns)


def each_value(loops: Loops, each: syntax.Each) -> Resolved:
    """The list of one value a turn. Reports E0126 where a turn has not exactly one value."""
    if len(each.rows) != 1 or each.rows[0].columns:
        message = "a `for` that makes a list has one value in its braces"
        loops.problems.report("E0126", message, each.span)
        return Unknown(each.span)
    before, found = loops.scope, []
    for scope in turns(loops, each):
        loops.scope = scope
        found.append(loops.evaluate(each.rows[0].value))
        loops.scope = before
    return listed(found, each.span, loops.problems)


def interval(loops: Loops, node: syntax.Interval) -> Resolved:
    """The whole numbers from start to stop. Reports E0204 and E0223."""
    ends = []
    for end in (node.start, node.stop):
        value = loops.evaluate(end)
        if isinstance(value, Unknown):
            return Unknown(node.span)
        if not isinstance(value, syntax.Number) or value.value != int(value.value):
            shown = value.value if isinstance(value, syntax.Number) else describe(value)
            message = f"the ends of a range are whole numbers, found {shown}"
            loops.problems.report("E0204", message, end.span)
            return Unknown(node.span)
        ends.append(int(value.value))
    if ends[1] - ends[0] >= MOST_TURNS:
        message = f"the range {ends[0]}..{ends[1]} has more than {MOST_TURNS:,} numbers"
        loops.problems.report("E0223", message, node.span)
        return Unknown(node.span)
    numbers = (syntax.Number(number, node.span) for number in range(ends[0], ends[1] + 1))
    return syntax.List(tuple(numbers), node.span)


def listed(items: Sequence[Resolved], span: Span, problems: Diagnostics) -> Resolved:
    """Resolved items as one list, of values or of models. Reports E0204 where it holds both."""
    if any(isinstance(item, Unknown) for item in items):
        return Unknown(span)
    models = (Term, ModelList)
    if any(isinstance(item, models) for item in items):
        wrong = next((i for i in items if not isinstance(i, (*models, syntax.String))), None)
        if wrong is not None:
            message = f"a list holds models or values, found {describe(wrong)} among models"
            problems.report("E0204", message, wrong.span)
            return Unknown(span)
        return ModelList(tuple(items), span)
    return syntax.List(tuple(item for item in items if is_value(item)), span)
