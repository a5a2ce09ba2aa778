"""`def name(…) = …` and its calls: part of a recipe, checked where it stands, bound where used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, did_you_mean
from .scope import Scope
from .terms import ModelList, Resolved, Term, Unknown, describe, is_value

_NUMERIC = (syntax.Number, syntax.List, syntax.Match)
"""Values that may stand for one another: a number, a gradient, a number by tensor name."""


@dataclass(frozen=True, eq=False)
class Function:
    """What `def` names. defaults: the values of parameters that may be left out."""

    define: syntax.Define
    scope: Scope
    defaults: Mapping[str, Resolved]


class Evaluates(Protocol):
    """What definitions ask of expressions."""

    scope: Scope
    opening: bool
    problems: Diagnostics

    def evaluate(self, node: syntax.ExprSyntax) -> Resolved: ...


def define(expressions: Evaluates, node: syntax.Define) -> Function | Unknown:
    """The function, its body checked with arguments of which nothing is known.

    Reports E0203 for two parameters of one name, and what its body reports.
    """
    problems = expressions.problems
    before = len(problems.items)
    defaults = {
        taken.name: expressions.evaluate(taken.default)
        for taken in node.parameters
        if taken.default is not None
    }
    function = Function(node, expressions.scope, defaults)
    arguments = {t.name: defaults.get(t.name, Unknown(t.span)) for t in node.parameters}
    opening, expressions.opening = expressions.opening, False
    _body(expressions, function, arguments)
    expressions.opening = opening
    wrong = any(problem.severity == "error" for problem in problems.items[before:])
    return Unknown(node.span) if wrong else function


def call(
    expressions: Evaluates,
    function: Function,
    node: syntax.FunctionCall,
) -> Resolved:
    """What a call stands for. Reports E0218 and E0221 for arguments that don't fit, and what its
    body reports, with the place of the call."""
    arguments = _arguments(expressions, function, node)
    if arguments is None:
        return Unknown(node.span)
    problems = expressions.problems
    before = len(problems.items)
    result = _body(expressions, function, arguments)
    called = Label(node.span, f"`{node.name}` is called here")
    problems.items[before:] = [
        replace(problem, related=(*problem.related, called)) for problem in problems.items[before:]
    ]
    return result


def _body(
    expressions: Evaluates, function: Function, arguments: Mapping[str, Resolved]
) -> Resolved:
    scope = function.scope.function()
    for taken in function.define.parameters:
        scope.define(taken.name, taken.span, arguments[taken.name], expressions.problems)
    around, expressions.scope = expressions.scope, scope
    result = expressions.evaluate(function.define.value)
    expressions.scope = around
    return result


def _arguments(
    expressions: Evaluates, function: Function, node: syntax.FunctionCall
) -> dict[str, Resolved] | None:
    """The value of each parameter; None where the call is wrong."""
    problems, taken = expressions.problems, function.define.parameters
    names = [parameter.name for parameter in taken]
    given: dict[str, syntax.Argument] = {}
    right = True
    for position, argument in enumerate(node.arguments):
        name = argument.name
        if name is None and position < len(names):
            name = names[position]
        if name not in names or name in given:
            right = False
            _report_argument(problems, node, argument, names)
        elif name is not None:
            given[name] = argument
    found: dict[str, Resolved] = {}
    for name in names:
        if name in given:
            value = expressions.evaluate(given[name].value)
            right = _fits(function, name, value, given[name], problems) and right
            found[name] = value
        elif name in function.defaults:
            found[name] = function.defaults[name]
        elif right:
            right = False
            hint = f"it is `def {node.name}({', '.join(names)})`"
            problems.report("E0221", f"`{node.name}` needs `{name}`", node.span, hint=hint)
    return found if right else None


def _report_argument(
    problems: Diagnostics,
    node: syntax.FunctionCall,
    argument: syntax.Argument,
    names: Sequence[str],
) -> None:
    if argument.name is None:
        message = f"`{node.name}` takes {len(names)} arguments, found {len(node.arguments)}"
    elif argument.name in names:
        message = f"`{node.name}` is given `{argument.name}` twice"
    else:
        message = f"`{node.name}` takes no `{argument.name}`"
    hint = did_you_mean(argument.name, names) if argument.name else None
    problems.report("E0221", message, argument.span, hint=hint)


def _fits(
    function: Function,
    name: str,
    value: Resolved,
    argument: syntax.Argument,
    problems: Diagnostics,
) -> bool:
    default = function.defaults.get(name)
    if default is None or isinstance(value, Unknown) or same_kind(default, value):
        return True
    message = f"`{name}` must be {describe(default)}, found {describe(value)}"
    hint = f"the default of a parameter fixes its kind: {name} of `{function.define.name}`"
    problems.report("E0218", message, argument.span, hint=hint)
    return False


def same_kind(default: Resolved, value: Resolved) -> bool:
    """Whether a value may stand where a default does."""
    if isinstance(default, _NUMERIC) and isinstance(value, _NUMERIC):
        return True
    models = (Term, ModelList, syntax.String)  # a string can be a model's reference
    if isinstance(default, models) and isinstance(value, models):
        return True
    return is_value(default) and type(default) is type(value)
