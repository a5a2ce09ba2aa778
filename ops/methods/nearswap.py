from __future__ import annotations

from ..functions import maximum, minimum
from ..method import Call, method
from ..parameters import Factor
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    assert call.base is not None
    still = float(call.settings["t"] or 0.0) <= 0 or call.sources[0] == call.base
    return call.base if still else call


@method(simplify=_simplify)
def nearswap(x: Tensor, base: Tensor, *, t: Factor) -> Tensor:
    """The base, moved to the other model where the two are near.

    w = t / max(|b - x|, 1e-6), clamped to 0 to 1; w x + (1-w) b: elements that differ by at most t
    are swapped, others move by about t.

    Source: Alchemonaut, QuartetAnemoi-70B, 2024. Sweeps: one; memory: tiles.
    """
    share = minimum(maximum(t / maximum(abs(base - x), 1e-6), 0.0), 1.0)
    result: Tensor = x * share + base * (1.0 - share)
    return result
