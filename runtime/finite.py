"""NaN and infinity in an input -> an error that names the tensor, the source and the element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..compiler.graph.graph import Load
from ..compiler.kernels.arguments import NONFINITE
from ..grammar.diagnostics import MergecError, RunError


def nonfinite_error(
    checked: Iterable[tuple[Load, np.ndarray[Any, Any]]], start: int
) -> MergecError:
    """The error for a tile whose inputs (stored bits) hold a value that isn't finite.

    start: the tensor's index of the tile's first element.
    """
    for load, bits in checked:
        exponent = NONFINITE.get(load.tensor.dtype.name)
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
