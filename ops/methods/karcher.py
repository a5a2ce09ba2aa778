from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..gram import VANISHING, combine, length, on_gram, split
from ..method import Call, method
from ..parameters import Factor
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    return call.sources[0] if len(set(call.sources)) == 1 else call


def mean_on_sphere(size: float, *values: float) -> list[float]:
    """Coefficients of the inputs in their mean, from their Gram matrix, max_iter and tol."""
    matrix, (max_iter, tol) = split(size, values)
    norms = np.sqrt(np.diag(matrix))
    present = norms > 0.0
    if not present.any():
        return [0.0] * len(norms)
    inverse = np.where(present, 1.0 / np.where(present, norms, 1.0), 0.0)
    share = present / present.sum()
    # from here on vectors are coefficients of the unit vectors u_i, and cosines are their Gram
    cosines = matrix * np.outer(inverse, inverse)
    mean = share
    if length(mean, cosines) < max(tol, VANISHING):
        mean = np.eye(len(norms))[int(np.argmax(present))]
    mean = mean / length(mean, cosines)
    for _ in range(int(max_iter)):
        cosine = np.clip(cosines @ mean, -1.0, 1.0)
        theta = np.arccos(cosine)
        sine = np.sin(theta)
        moves = present & (theta >= tol) & (sine > VANISHING)  # no way leads to the antipode
        pull = np.where(moves, share * theta / np.where(moves, sine, 1.0), 0.0)
        tangent = pull - float(pull @ cosine) * mean
        step = length(tangent, cosines)
        if step < tol or step == 0.0:
            break
        mean = np.cos(step) * mean + np.sin(step) / step * tangent
        mean = mean / length(mean, cosines)
    return [float(c) for c in mean * inverse * norms.mean()]


@method(simplify=_simplify)
def karcher(
    xs: Sequence[Tensor],
    *,
    max_iter: int = 10,
    tol: Factor = 1e-5,
) -> Tensor:
    """The mean on the sphere: the direction of least squared angle to all models.

    With u_i the unit vectors of the flattened tensors (zero ones drop out), m begins as their
    normalised mean (where that vanishes, as the first). At most `max_iter` times m moves along a
    great circle, m = cos|T| m + sin|T| T/|T|, with T the mean of θ_i / sin θ_i (u_i - cos θ_i m)
    over the u_i, 0 for those whose angle θ_i to m is under `tol`; it ends when |T| < tol. The
    result is m times the mean norm, that of zero inputs included.

    Source: Karcher, Riemannian center of mass and mollifier smoothing, CPAM 1977. Sweeps: one for
    the Gram matrix, on which it iterates, one to write; memory: tiles.
    """
    coefficients = on_gram(mean_on_sphere, len(xs), xs, max_iter, tol)
    return combine(xs, coefficients)
