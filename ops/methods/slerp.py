from __future__ import annotations

from typing import Any

from ..functions import arccos, dot, maximum, minimum, sin, sqrt, where
from ..method import Call, method
from ..parameters import Factor
from ..symbols import Scalar, Tensor


def _simplify(call: Call) -> Call | int:
    a, b = call.sources
    if call.settings["t"] == 0 or a == b:
        return a
    return b if call.settings["t"] == 1 else call


def _norm_or_one(square: Scalar) -> Any:
    norm = sqrt(square)
    return where(norm <= 1e-8, 1.0, norm)


@method(base="first", simplify=_simplify)
def slerp(a: Tensor, b: Tensor, *, t: Factor) -> Tensor:
    """Spherical interpolation from the first model (t = 0) to the second (t = 1).

    With θ the angle between the flattened tensors: (sin((1-t)θ) a + sin(tθ) b) / sin θ, on the
    tensors as they are. Nearly parallel or antiparallel tensors (|cos θ| > 0.9995) are blended
    linearly, (1-t) a + t b. A norm of at most 1e-8 counts as 1. t isn't clamped.

    Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985. Sweeps: one for the
    inner products, one to write; memory: tiles.
    """
    cosine = dot(a, b) / (_norm_or_one(dot(a, a)) * _norm_or_one(dot(b, b)))
    cosine = minimum(maximum(cosine, -1.0), 1.0)
    theta = arccos(cosine)
    flat = abs(cosine) > 0.9995
    near_a = where(flat, 1.0 - t, sin((1.0 - t) * theta) / sin(theta))
    near_b = where(flat, t, sin(t * theta) / sin(theta))
    result: Tensor = a * near_a + b * near_b
    return result
