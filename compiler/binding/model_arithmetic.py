"""Two operands and an operator -> a value, a model or a delta, by the kinds of the language.

A model minus a model is a delta; deltas add up, take a number as their scale, and are added to
models. Scales and signs are kept with a delta until it is used, so `base + 0.6 * d - 0.1 * e` is
two combinations and no scaling of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Span
from ...ops import delta_arithmetic as arithmetic
from ...ops.method import Method
from .bound import BoundExpr, Merge, MergeInput, Setting
from .parameter_values import setting_of
from .terms import ModelList, Resolved, Term, TermValue, Unknown, describe, map_numbers

Real: TypeAlias = int | float

_OPERATORS: dict[str, Callable[[Real, Real], Real]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_VERBS = {"+": "added to", "-": "subtracted from", "*": "multiplied by", "/": "divided by"}
_AVERAGE = "`linear` averages models; `a + (b - base)` adds to a what b has learned"
_HINTS = {
    ("+", "model", "model"): _AVERAGE,
    (
        "*",
        "value",
        "model",
    ): "a delta takes a factor, `0.5 * (model - base)`; `linear` weighs models",
    ("-", "delta", "model"): "a model comes first: `model - delta`",
    ("*", "model", "model"): _AVERAGE,
    ("+", "value", "model"): "only a delta is added to a model",
    ("+", "value", "delta"): "a number is a delta's factor: `0.5 * delta`",
}


class Arithmetic:
    """Applies the language's operators to resolved operands; complaints go to `problems`."""

    def __init__(self, problems: Diagnostics):
        self._problems = problems

    def negate(self, operand: Resolved, node: syntax.Negate) -> Resolved:
        if isinstance(operand, Unknown):
            return operand
        if isinstance(operand, ModelList):
            return self._refuse(f"{describe(operand)} has no negative", node.span)
        if isinstance(operand, Term):
            if operand.kind == "model":
                message = "a model has no negative"
                hint = "a model is subtracted from another: `model - base`"
                return self._refuse(message, node.span, hint)
            return replace(operand, scale=_times(operand.scale, -1, node.span), span=node.span)
        negative = map_numbers(operand, operator.neg)
        if negative is None:
            return self._refuse(f"{describe(operand)} has no negative", node.span)
        return replace(negative, span=node.span)

    def apply(self, node: syntax.Binary, left: Resolved, right: Resolved) -> Resolved:
        """The result of `left op right`. Reports E0204 where their kinds don't go together."""
        span = node.span
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return Unknown(span)
        if node.op in COMPARISONS:
            return self._compare(node, left, right)
        if isinstance(left, ModelList) or isinstance(right, ModelList):
            return self._refuse_kinds(node, left, right)
        if not isinstance(left, Term) and not isinstance(right, Term):
            return self._values(node, left, right)
        if isinstance(left, Term) and isinstance(right, Term):
            match node.op, left.kind, right.kind:
                case "-", "model", "model":
                    return self._difference(left, right, span)
                case (("+" | "-"), _, "delta"):
                    minus = node.op == "-"
                    return self._sum(left, self._negative(right) if minus else right, span)
                case "+", "delta", "model":
                    return self._sum(right, left, span)
        elif node.op == "/" and isinstance(right, syntax.Number):
            if isinstance(left, Term) and left.kind == "delta":
                return self._divided(left, right, node)
        elif node.op == "*":
            factor, term = (right, left) if isinstance(left, Term) else (left, right)
            if isinstance(term, Term) and term.kind == "delta" and not isinstance(factor, Term):
                return self._scaled(factor, term, node)
        return self._refuse_kinds(node, left, right)

    def expression(self, term: Term) -> BoundExpr | None:
        """A term's expression with its scale applied."""
        if term.scale is None or term.expr is None:
            return term.expr
        return self._merge(arithmetic.scaled, (term.expr,), term.scale, term.span)

    def _values(self, node: syntax.Binary, left: TermValue, right: TermValue) -> Resolved:
        if node.op == "/" and isinstance(right, syntax.Number) and right.value == 0:
            return self._refuse_zero(node)
        if isinstance(left, syntax.Number) and isinstance(right, syntax.Number):
            return syntax.Number(_compute(node.op, left.value, right.value), node.span)
        result = None
        if node.op == "/" and isinstance(right, syntax.Number):
            divisor = right.value
            result = map_numbers(left, lambda number: _compute("/", number, divisor))
        if node.op == "*" and isinstance(left, syntax.Number):
            result = _times(right, left.value, node.span)
        elif node.op == "*" and isinstance(right, syntax.Number):
            result = _times(left, right.value, node.span)
        if result is None:
            return self._refuse_kinds(node, left, right)
        return replace(result, span=node.span)

    def _compare(self, node: syntax.Binary, left: Resolved, right: Resolved) -> Resolved:
        plain = (syntax.Number, syntax.Boolean, syntax.String, syntax.Name)
        if isinstance(left, plain) and isinstance(right, plain):
            numbers = isinstance(left, syntax.Number) and isinstance(right, syntax.Number)
            alike = type(left.value) is type(right.value) and node.op in ("==", "!=")
            if numbers or alike:
                return syntax.Boolean(COMPARISONS[node.op](left.value, right.value), node.span)
        message = f"{describe(left)} can't be compared with {describe(right)} by `{node.op}`"
        return self._refuse(message, node.op_span)

    def _divided(self, term: Term, divisor: syntax.Number, node: syntax.Binary) -> Resolved:
        if divisor.value == 0:
            return self._refuse_zero(node)
        return replace(
            term, scale=_times(term.scale, 1 / divisor.value, divisor.span), span=node.span
        )

    def _refuse_zero(self, node: syntax.Binary) -> Unknown:
        self._problems.report("E0222", "nothing can be divided by 0", node.op_span)
        return Unknown(node.span)

    def _difference(self, left: Term, right: Term, span: Span) -> Term:
        if left.expr is None or right.expr is None:
            return Term("delta", None, span)
        merge = self._merge(arithmetic.difference, (left.expr, right.expr), None, span)
        return Term("delta", merge, span)

    def _sum(self, left: Term, right: Term, span: Span) -> Term:
        """left + right, where right is a delta; of two deltas the one with a scale comes second."""
        if left.scale is not None and right.scale is None:
            left, right = right, left
        first, second = self.expression(left), right.expr
        if first is None or second is None:
            return Term(left.kind, None, span)
        scale = right.scale or syntax.Number(1, right.span)
        merge = self._merge(arithmetic.combination, (first, second), scale, span)
        return Term(left.kind, merge, span)

    def _negative(self, term: Term) -> Term:
        return replace(term, scale=_times(term.scale, -1, term.span))

    def _scaled(self, factor: TermValue, term: Term, node: syntax.Binary) -> Resolved:
        if map_numbers(factor, operator.pos) is None:
            return self._refuse_kinds(node, factor, term)
        if term.scale is None:
            return replace(term, scale=_times(factor, 1, factor.span), span=node.span)
        if isinstance(factor, syntax.Number):
            return replace(
                term, scale=_times(term.scale, factor.value, factor.span), span=node.span
            )
        if isinstance(term.scale, syntax.Number):
            scale = _times(factor, term.scale.value, factor.span)
            return replace(term, scale=scale, span=node.span)
        return Term(term.kind, self.expression(term), node.span, factor)

    def _merge(
        self, method: Method, inputs: tuple[BoundExpr, ...], scale: TermValue | None, span: Span
    ) -> Merge:
        settings: Mapping[str, Setting] = {}
        spans: dict[str | tuple[int, str], Span] = {}
        if scale is not None:
            (parameter,) = method.parameters
            settings = {"scale": setting_of(parameter, scale, scale.span, self._problems)}
            spans["scale"] = scale.span
        rows = tuple(MergeInput(value, {}, value.span) for value in inputs)
        return Merge(method, rows, None, settings, spans, span)

    def _refuse_kinds(self, node: syntax.Binary, left: Resolved, right: Resolved) -> Unknown:
        first, second = (t.kind if isinstance(t, Term) else "value" for t in (left, right))
        hint = _HINTS.get((node.op, first, second))
        if hint is None and node.op in ("+", "*"):
            hint = _HINTS.get((node.op, second, first))
        if hint is None and node.op == "/" and second != "value":
            hint = "a delta is divided by a number: `delta / 2`"
        if node.op == "-" or (node.op == "*" and isinstance(right, Term)):
            left, right = right, left  # `a - b` subtracts b from a
        message = f"{describe(left)} can't be {_VERBS[node.op]} {describe(right)}"
        return self._refuse(message, node.op_span, hint)

    def _refuse(self, message: str, span: Span, hint: str | None = None) -> Unknown:
        self._problems.report("E0204", message, span, hint=hint)
        return Unknown(span)


def _compute(op: str, left: Real, right: Real) -> Real:
    try:
        return _OPERATORS[op](left, right)
    except OverflowError:  # refused where a parameter gets it
        return math.inf


def _times(scale: TermValue | None, factor: Real, span: Span) -> TermValue | None:
    """A scale (None: 1) times a number. None if the product is 1, or no product of numbers."""
    if scale is None:
        scale = syntax.Number(1, span)
    product = map_numbers(scale, lambda number: _compute("*", number, factor))
    return None if isinstance(product, syntax.Number) and product.value == 1 else product
