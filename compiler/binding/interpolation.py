"""Strings with names and arithmetic in braces -> text: `"./t-{t * i}"`.

Double braces are left alone, for they belong to templates, and so is what reads as no expression.
Numbers are printed as people write them: 0.1 * 3 is 0.3.
"""

from __future__ import annotations

import functools
import re
from typing import Protocol

from ...grammar import RecipeError, SourceText, is_yaml, parse_text, syntax
from ...grammar.diagnostics import Diagnostics, did_you_mean
from ...grammar.expression_text import number
from .scope import Scope
from .terms import Meaning, Resolved, Unknown, describe

_BRACES = re.compile(r"(?<!\{)\{([^{}\n]*)\}(?!\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPRESSION = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[\w(][\w\s.+\-*/(),]*")
_CHOICE = re.compile(r".*(?:,|\.\.).*")  # in a pattern, a list or a range


class Texts(Protocol):
    """What interpolation asks of expressions."""

    scope: Scope
    problems: Diagnostics

    def evaluate(self, node: syntax.ExprSyntax) -> Resolved: ...


def as_text(value: Meaning) -> str | None:
    """A value as a string has it; None if it has no text."""
    match value:
        case syntax.Number():
            return number(_shown(value.value)).removesuffix(".0")
        case syntax.Boolean():
            return "true" if value.value else "false"
        case syntax.String() | syntax.Name():
            return value.value
        case syntax.SizeSyntax():
            return value.text
        case _:
            return None


def interpolate(texts: Texts, text: str, node: syntax.String | syntax.Pattern) -> str | None:
    """The text with what stands in braces replaced; None where one of them has no text.

    Reports E0207 for a name that isn't defined, and for what can't be put into a string.
    """
    if "{" not in text or is_yaml(node.span.source):
        return text
    pattern = isinstance(node, syntax.Pattern)
    replaced = {
        inside: _replacement(texts, inside, node)
        for inside in dict.fromkeys(_BRACES.findall(text))
        if not (pattern and _CHOICE.fullmatch(inside))
    }
    if None in replaced.values():
        return None

    def of(found: re.Match[str]) -> str:
        return (replaced[found[1]] or "") if found[1] in replaced else found[0]

    return _BRACES.sub(of, text)


def _replacement(texts: Texts, inside: str, node: syntax.String | syntax.Pattern) -> str | None:
    """The text that replaces an expression in braces, braces and all; None after a report."""
    problems = texts.problems
    value: Meaning | None
    if _NAME.fullmatch(inside):
        value = texts.scope.use(inside)
        if value is None:
            message = f"this string names `{inside}` in braces, which isn't defined"
            hint = did_you_mean(inside, texts.scope.names())
            problems.report("E0207", message, node.span, hint=hint)
            return None
    else:
        parsed = _parsed(inside) if _EXPRESSION.fullmatch(inside) else None
        if parsed is None:
            return "{" + inside + "}"
        value = texts.evaluate(parsed)
    text = as_text(value)
    if text is None and not isinstance(value, Unknown):
        message = f"`{inside}` is {describe(value)}, which can't be put into a string"
        problems.report("E0207", message, node.span)
    return text


@functools.lru_cache(maxsize=1024)
def _parsed(inside: str) -> syntax.ExprSyntax | None:
    try:
        (statement,) = parse_text(SourceText("{…}", f"let x = {inside}")).statements
    except (RecipeError, ValueError):
        return None
    return statement.value if isinstance(statement, syntax.Let) else None


def _shown(value: int | float) -> int | float:
    """A number without the last bits that arithmetic leaves."""
    return value if isinstance(value, int) else float(f"{value:.12g}")
