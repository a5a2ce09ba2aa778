"""A merge and a tensor's names -> the value of each of its parameters there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...ops.parameters import Value
from ..binding.bound import ByName, Gradient, Merge, Setting, Uncovered, evaluate
from ..binding.model_structure import Structures
from .findings import Findings

_MISSING: Any = object()


class TensorPlace(NamedTuple):
    """Where a tensor stands: its name in the merge, in the model that the merge stands in, and
    its layer's position among the merge's, 0 to 1."""

    name: str
    outer: str
    position: float


def parameters(
    merge: Merge,
    inner: Sequence[str],
    place: TensorPlace,
    structures: Structures,
    findings: Findings,
) -> tuple[tuple[dict[str, Value], ...], dict[str, Value]] | None:
    """(columns of each row, settings) for one tensor, or None where a parameter has no value.

    inner: the tensor's name in each row's model.
    """

    def find(key: str | tuple[int, str], setting: Setting, shown: str) -> Any:
        if not isinstance(setting, (ByName, Gradient)):
            return setting
        depth = None
        if isinstance(setting, ByName):
            depth = structures.depth(merge, place.name) if setting.needs_depth else None
            findings.tried(setting, shown, depth)
        try:
            return evaluate(setting, shown, place.position, depth)
        except Uncovered:
            label = key if isinstance(key, str) else key[1]
            span = merge.spans.get(key, setting.span if isinstance(setting, ByName) else merge.span)
            findings.uncovered(span, label, shown)
            return _MISSING

    columns: list[dict[str, Value]] = [
        {key: find((number, key), setting, name) for key, setting in row.columns.items()}
        for number, (row, name) in enumerate(zip(merge.rows, inner, strict=True))
    ]
    settings = {key: find(key, setting, place.outer) for key, setting in merge.settings.items()}
    found = [*settings.values(), *(value for row in columns for value in row.values())]
    if any(value is _MISSING for value in found):
        return None
    if merge.method.position is not None:
        settings[merge.method.position.name] = place.position
    return tuple(columns), settings
