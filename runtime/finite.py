"""NaN and infinity in an input -> an error that names the tensor, the source and the element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..compiler.graph import Load
from ..grammar.diagnostics import MergecError, RunError

_EXPONENT = {"bfloat16": 0x7F80, "float16": 0x7C00, "float8_e5m2": 0x7C, "float8_e4m3fn": 0x7F}
"""The bits that are all set in a value that isn't finite."""


def nonfinite_error(
    checked: Iterable[tuple[Load, np.ndarray[Any, Any]]], start: int
) -> MergecError:
    """The error for a tile whose inputs (stored bits) hold a value that isn't finite.

    start: the tensor's index of the tile's first element.
    """
    for load, bits in checked:
        exponent = _EXPONENT.get(load.tensor.dtype.name)
        bad = ~np.isfinite(bits) if exponent is None else (bits & exponent) == exponent
        if bad.any():
            index = start + int(np.argmax(bad))
            return RunError.of(
                "E0608",
                f"`{load.tensor.name}` of {load.checkpoint.reference} holds NaN or infinity",
                notes=(f"the first is at element {index} of the flattened tensor",),
                hint="`set nonfinite = allow` merges it all the same",
            )
    return RunError.of("E0608", "an input holds a number that is too large for the arithmetic")
