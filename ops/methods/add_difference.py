from __future__ import annotations

from ..method import Call, method
from ..parameters import Factor
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    a, b, c = call.sources
    return a if call.settings["alpha"] == 0 or b == c else call


@method(simplify=_simplify)
def add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Factor = 1.0,
) -> Tensor:
    """Add to a model what a second has learned since a third.

    a + α (b - c). The same as `a + α * (b - c)` in the language.

    Source: common usage among mergers of diffusion models ("add difference"); Ilharco et al.,
    Editing models with task arithmetic, ICLR 2023 (task analogies). Sweeps: one; memory: tiles.
    """
    return a + (b - c) * alpha
