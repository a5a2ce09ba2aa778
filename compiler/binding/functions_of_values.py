"""`len(…)`, `min(…)`, `max(…)`, `round(…)`, `abs(…)` -> a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Span
from .terms import ModelList, Resolved, Unknown, describe

Real = int | float


def _round(numbers: Sequence[Real]) -> Real:
    digits = int(numbers[1]) if len(numbers) > 1 else 0
    rounded = round(numbers[0], digits)
    return int(rounded) if digits <= 0 else rounded


_ON_NUMBERS: Mapping[str, tuple[Callable[[Sequence[Real]], Real], int, int | None]] = {
    "min": (min, 1, None),
    "max": (max, 1, None),
    "round": (_round, 1, 2),
    "abs": (lambda numbers: abs(numbers[0]), 1, 1),
}
FUNCTIONS = ("len", *_ON_NUMBERS)


def apply_function(
    name: str, given: Sequence[Resolved], span: Span, problems: Diagnostics
) -> Resolved:
    """The value of one of FUNCTIONS. Reports E0221 for arguments that it can't take."""
    if any(isinstance(value, Unknown) for value in given):
        return Unknown(span)
    if name == "len":
        if len(given) == 1 and isinstance(given[0], syntax.List | ModelList):
            return syntax.Number(len(given[0].items), span)
        return _refuse(name, "one list", given, span, problems)
    function, fewest, most = _ON_NUMBERS[name]
    if name in ("min", "max") and len(given) == 1 and isinstance(given[0], syntax.List):
        given = [item for item in given[0].items if isinstance(item, syntax.Number)]
    numbers = [value.value for value in given if isinstance(value, syntax.Number)]
    if len(numbers) < len(given) or not fewest <= len(numbers) <= (most or len(numbers)):
        wanted = {None: "numbers, or a list of them", 1: "one number"}.get(
            most, "one or two numbers"
        )
        return _refuse(name, wanted, given, span, problems)
    return syntax.Number(function(numbers), span)


def _refuse(
    name: str, wanted: str, given: Sequence[Resolved], span: Span, problems: Diagnostics
) -> Unknown:
    found = ", ".join(describe(value) for value in given) or "nothing"
    problems.report("E0221", f"`{name}` takes {wanted}, found {found}", span)
    return Unknown(span)
