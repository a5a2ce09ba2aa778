"""A merge -> the type of what it gives, and what its parameters hang on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from ...ops.dtypes import BY_NAME, promote
from ...ops.parameters import Value
from ..binding.bound import ByName, Gradient, Merge
from ..graph.graph import Space, TensorType, tensor_type

Variation: TypeAlias = Literal["", "by layer", "by name"]


def result_type(
    merge: Merge, settings: Mapping[str, Value], types: Sequence[TensorType]
) -> TensorType:
    """The type of one tensor; weak inputs don't count beside others."""
    rounds_to = merge.method.rounds_to
    if rounds_to is not None:
        dtype = BY_NAME[str(settings[rounds_to])]
        return tensor_type(types[0].shape, dtype, types[0].space, True)
    strong = [kind for kind in types if not kind.weak]
    dtype = (strong or types)[0].dtype
    for kind in strong or types:
        if kind.dtype is not dtype:
            dtype = promote(dtype, kind.dtype)
    return tensor_type(types[0].shape, dtype, _space(merge, types), False, not strong)


def _space(merge: Merge, types: Sequence[TensorType]) -> Space:
    deltas = all(kind.space == "delta" for kind in types)
    return "delta" if deltas or merge.method.gives_delta else "weight"


def variation(merge: Merge) -> Variation:
    """Whether a merge's parameters are the same for every tensor, or what they hang on."""
    columns = [value for row in merge.rows for value in row.columns.values()]
    kinds = {type(setting) for setting in [*merge.settings.values(), *columns]}
    method = merge.method
    found: Variation = "by layer" if Gradient in kinds or method.position is not None else ""
    if ByName in kinds or method.model_columns:
        found = "by name"
    return found
