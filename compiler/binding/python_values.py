"""A call of `mergec.merge` -> its parameters, bound as a recipe's: same checks, same errors.

The call is written as a block of the language, which ParameterBinder binds; only what is peculiar
to Python is looked at here. Nothing has a place in a text, so errors have none.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, SourceText, Span
from ...grammar.patterns import check_pattern, pattern_of
from ...grammar.rules import check_match
from ...ops.dtypes import BY_NAME
from ...ops.method import Method
from ...ops.parameters import Parameter, Value
from .bound import Setting, evaluate
from .parameter_values import ParameterBinder
from .terms import Resolved, resolved

StateDict = Mapping[str, Any]
_NOWHERE = Span(SourceText("<python>", ""), 0, 0)


@dataclass(frozen=True)
class Values:
    """A call's parameters: each source's columns and the settings, complete.

    beside: the models of each column of models, one per source; none where it isn't given.
    """

    columns: tuple[Mapping[str, Setting], ...]
    settings: Mapping[str, Setting]
    beside: Mapping[Parameter, Sequence[StateDict]] = field(default_factory=dict)

    def at(
        self, name: str, position: float, depth: int | None
    ) -> tuple[tuple[dict[str, Value], ...], dict[str, Value]]:
        """The columns and settings of a tensor, by its name and its layer's position."""
        rows = tuple(
            {key: evaluate(value, name, position, depth) for key, value in row.items()}
            for row in self.columns
        )
        return rows, {key: evaluate(v, name, position, depth) for key, v in self.settings.items()}


def bind_values(
    method: Method, count: int, given: Mapping[str, Any], problems: Diagnostics
) -> Values:
    """The parameters of a call with `count` models.

    Reports what ParameterBinder reports, and E0325 where a list hasn't a value for each model.
    """
    found = Diagnostics()
    values = {name.rstrip("_"): value for name, value in given.items()}
    writer = _Writer(method, count, found)
    beside = {p: writer.models(p, values.pop(p.name, None)) for p in method.model_columns}
    block = writer.block(values)
    _check_patterns(block, found)
    parameters = ParameterBinder(
        block,
        method.name,
        [
            p
            for p in method.parameters
            if not p.filled and p.kind != "model" and p.name not in writer.refused
        ],
        _as_it_is,
        found,
    ).bind()
    for problem in found.items:
        problems.items.append(replace(problem, span=None, related=()))
    return Values(parameters.columns, parameters.settings, beside)


def not_a_model(model: object) -> str | None:
    """Why something isn't a mapping of names to torch tensors, or None."""
    import torch

    if not isinstance(model, Mapping):
        return f"is a {type(model).__name__}, not a state dict"
    for name, tensor in model.items():
        if not isinstance(tensor, torch.Tensor):
            return f"has a {type(tensor).__name__} at {name!r}, not a tensor"
        if not isinstance(name, str):
            return f"has a tensor named {name!r}, not by a string"
        if str(tensor.dtype).removeprefix("torch.") not in BY_NAME:
            return f"has a tensor `{name}` of {tensor.dtype}, which can't be merged"
    return None


def _check_patterns(block: syntax.Block, problems: Diagnostics) -> None:
    columns = (column for row in block.rows for column in row.columns)
    for setting in (*block.settings, *columns):
        if isinstance(match := setting.value, syntax.Match):
            check_match(match, problems)
            for arm in match.arms:
                if (problem := check_pattern(arm.pattern)) is not None:
                    problems.report("E0125", problem)


def _as_it_is(node: syntax.ExprSyntax, words: object) -> Resolved:
    return resolved(node)


class _Writer:
    """Writes a call's values as a block of the language; `refused` are left out of it."""

    def __init__(self, method: Method, count: int, problems: Diagnostics):
        self._method = method
        self._count = count
        self._problems = problems
        self.refused: set[str] = set()

    def block(self, values: Mapping[str, Any]) -> syntax.Block:
        columns = {p.name for p in self._method.columns}
        rows: list[list[syntax.Setting]] = [[] for _ in range(self._count)]
        items: list[syntax.RowSyntax | syntax.Setting] = []
        for name, value in values.items():
            if name in columns and isinstance(value, (list, tuple)):
                if len(value) != self._count:
                    self._refuse(name, len(value))
                    continue
                for row, one in zip(rows, value, strict=True):
                    row += [_setting(name, one)] if one is not None else []
            elif value is not None:
                items.append(_setting(name, value))
        model = syntax.String("model", _NOWHERE)
        written = [syntax.RowSyntax(model, tuple(row), _NOWHERE) for row in rows]
        return syntax.Block(self._method.name, (*items, *written), _NOWHERE, _NOWHERE)

    def _refuse(self, name: str, length: int) -> None:
        self.refused.add(name)
        message = f"`{name}` has {length} values for {self._count} models"
        self._problems.report("E0325", message, hint="one value each, or one for all")

    def models(self, parameter: Parameter, given: Any) -> Sequence[StateDict]:
        """The state dicts of a column of models."""
        if given is None:
            if parameter.required:
                message = f"each source of `{self._method.name}` needs a model for"
                self._problems.report("E0302", f"{message} `{parameter.name}`")
            return ()
        fits = isinstance(given, (list, tuple)) and len(given) == self._count
        if not fits or any(not_a_model(model) for model in given):
            message = f"`{parameter.name}` must be a list of {self._count} state dicts"
            self._problems.report("E0325", message, hint="one for each model")
            return ()
        models: Sequence[StateDict] = given
        return models


def _setting(name: str, value: Any) -> syntax.Setting:
    return syntax.Setting(name, _node(value), _NOWHERE, _NOWHERE)


def _node(value: Any) -> syntax.ExprSyntax:
    """A Python value in the language's syntax; what has no syntax stands as its text."""
    if isinstance(value, bool):
        return syntax.Boolean(value, _NOWHERE)
    if isinstance(value, numbers.Integral):
        return syntax.Number(int(value), _NOWHERE)
    if isinstance(value, numbers.Real):
        return syntax.Number(float(value), _NOWHERE)
    if isinstance(value, (list, tuple)):
        return syntax.List(tuple(_node(item) for item in value), _NOWHERE)
    if isinstance(value, Mapping):
        patterns = [pattern_of(str(key), _NOWHERE) for key in value]
        pairs = zip(patterns, value.values(), strict=True)
        arms = (syntax.Arm(pattern, _node(one), _NOWHERE) for pattern, one in pairs)
        return syntax.Match(tuple(arms), _NOWHERE)
    return syntax.String(value if isinstance(value, str) else repr(value)[:40], _NOWHERE)
