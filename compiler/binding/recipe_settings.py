"""`set` statements -> Settings: names and values checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, Span, did_you_mean, nearest
from ...ops.dtypes import BY_NAME, DType
from .bound import Settings
from .parameter_values import Evaluate
from .terms import Resolved, Unknown, describe

FLOATS = tuple(name for name, dtype in BY_NAME.items() if dtype.is_float)
_WORDS = {
    "dtype": FLOATS,
    "compute": ("float32", "float64"),
    "missing": ("error", "copy", "skip"),
    "nonfinite": ("error", "allow"),
}
_KNOWN = ("seed", *_WORDS)
_SEED_LIMIT = 2**64


class RecipeSettings:
    """Collects a recipe's `set` values; complaints go to `problems`."""

    def __init__(self, problems: Diagnostics):
        self.value = Settings()
        self._problems = problems
        self._places: dict[str, Span] = {}

    def set(self, statement: syntax.Set, evaluate: Evaluate) -> None:
        """Reports E0210 (unknown setting), E0211 (a value that it refuses), E0203 (set twice)."""
        name = statement.name
        if name not in _KNOWN:
            hint = did_you_mean(name, _KNOWN) or f"known settings: {', '.join(_KNOWN)}"
            message = f"unknown setting `{name}`"
            self._problems.report("E0210", message, statement.name_span, hint=hint)
            return
        first = self._places.setdefault(name, statement.name_span)
        if first is not statement.name_span:
            self._problems.report(
                "E0203",
                f"`{name}` is already set",
                statement.name_span,
                related=(Label(first, "first set here"),),
            )
            return
        value = evaluate(statement.value, _WORDS.get(name, ()))
        checked: Any = None
        if name == "seed":
            checked = whole_number("seed", value, statement.value.span, self._problems)
        else:
            checked = word(name, _WORDS[name], value, statement.value.span, self._problems)
            if name in ("dtype", "compute") and checked is not None:
                checked = BY_NAME[checked]
        if checked is not None:
            self.value = replace(self.value, **{name: checked})


def word(
    name: str, known: tuple[str, ...], value: Resolved, place: Span, problems: Diagnostics
) -> str | None:
    """A value that must be one of some words; else reports E0211."""
    if isinstance(value, Unknown):
        return None
    if isinstance(value, syntax.Name | syntax.String):
        if value.value in known:
            return value.value
        found, near = f"`{value.value}`", nearest(value.value, known)
    else:
        found, near = describe(value), None
    message = f"`{name}` must be one of {', '.join(known)}, found {found}"
    problems.report("E0211", message, place, hint=f"did you mean `{near}`?" if near else None)
    return None


def float_type(name: str, value: Resolved, place: Span, problems: Diagnostics) -> DType | None:
    """A value that must name a floating-point dtype; else reports E0211."""
    found = word(name, FLOATS, value, place, problems)
    return None if found is None else BY_NAME[found]


def whole_number(
    name: str, value: Resolved, place: Span, problems: Diagnostics, *, least: int = 0
) -> int | None:
    """A value that must be a whole number of 64 bits; else reports E0211."""
    if isinstance(value, Unknown):
        return None
    found = describe(value)
    if isinstance(value, syntax.Number):
        if least <= value.value < _SEED_LIMIT and value.value == int(value.value):
            return int(value.value)
        found = str(value.value)
    message = f"`{name}` must be a whole number from {least}, found {found}"
    problems.report("E0211", message, place)
    return None
