"""`NAME=VALUE` of the command line -> the value of a `param`, of the type of its default."""

from __future__ import annotations

from ...grammar import parse_text, syntax
from ...grammar.diagnostics import Diagnostics, RecipeError, SourceText, Span
from .expressions import Expressions
from .terms import Resolved, Term, TermValue, Unknown, describe

SOURCE_NAME = "--set"


def override(
    name: str, text: str, default: TermValue, expressions: Expressions, problems: Diagnostics
) -> Resolved:
    """The value that a text stands for, in the language's syntax.

    A text without quotes is also a string where the default is one, so that a shell needs no
    second pair. Reports E0218 where the text isn't one value or the types differ, and the syntax
    errors of the text.
    """
    if isinstance(default, syntax.String) and not text.lstrip().startswith('"'):
        source = SourceText(SOURCE_NAME, text)
        return syntax.String(text, Span(source, 0, len(text)))
    source = SourceText(SOURCE_NAME, f"param {name} = {text}")
    place = Span(source, 0, len(source.text))
    try:
        statements = parse_text(source).statements
    except RecipeError as error:
        problems.items += error.diagnostics
        return Unknown(place)
    if len(statements) != 1 or not isinstance(statements[0], syntax.Param):
        problems.report("E0218", f"the value of `{name}` must be one value", place)
        return Unknown(place)
    node = statements[0].value
    value = expressions.evaluate(node)
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Term) or type(value) is not type(default):
        message = f"`{name}` must be {describe(default)}, found {describe(value)}"
        hint = "the default of a `param` fixes its type"
        problems.report("E0218", message, node.span, hint=hint)
        return Unknown(place)
    return value
