from __future__ import annotations

from typing import Any

from ..functions import equal, where
from ..method import Call, method
from ..parameters import Factor
from ..symbols import Tensor

_GAIN = 1.8


def _simplify(call: Call) -> Call | int:
    a, b, c = call.sources
    return a if call.settings["alpha"] == 0 or b == c or a == b else call


@method(simplify=_simplify)
def train_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Factor = 1.0,
) -> Tensor:
    """Add a difference as far as the model hasn't got it yet, as training would.

    a + 1.8 α (b - c) |b - a| / (|b - c| + |b - a|), element by element; where a equals b already
    nothing is added, and where b = c = a neither. The factor 1.8 is the method's own, so that
    α = 1 is about as strong as `add_difference`.

    Source: common usage among mergers of diffusion models ("train difference" of SuperMerger).
    Sweeps: one; memory: tiles.
    """
    difference = b - c
    missing = abs(b - a)
    whole: Any = abs(difference) + missing
    share = missing / where(equal(whole, 0.0), 1.0, whole)
    result: Tensor = a + difference * share * (alpha * _GAIN)
    return result
