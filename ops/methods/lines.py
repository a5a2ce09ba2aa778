from __future__ import annotations

from collections.abc import Sequence

from ..gram import combine
from ..method import Call, method
from ..parameters import Factor, Position, Weight
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    base = call.base
    assert base is not None
    rows = [
        i
        for i, source in enumerate(call.sources)
        if call.columns[i]["weight"] != 0 and source != base
    ]
    alpha, beta, position = (call.settings[name] for name in ("alpha", "beta", "position"))
    if not rows or (alpha == 0 and (beta == 0 or position == 0)):
        return base
    return call.keep(rows)


@method(simplify=_simplify)
def lines(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    weight: Sequence[Weight] = (1.0,),
    alpha: Factor = 0.0,
    beta: Factor = 1.0,
    position: Position,
) -> Tensor:
    """Task arithmetic whose scale grows with depth: shallow layers stay near the base.

    b + (α + β p) Σ w_i (x_i - b), with p = l / (L - 1) for layer l of L (1 if there is only one).
    Tensors outside the layers (embeddings, final norm, head) have p = 0 and are scaled by α. Put
    it on one merged model (`lines { merged, base = b }`) to scale the result of any other method.

    Source: Wang et al., LiNeS: post-training layer scaling prevents forgetting and enhances model
    merging, ICLR 2025. Sweeps: one; memory: tiles.
    """
    scale = alpha + beta * position
    vectors = [x - base for x in xs]
    return base + combine(vectors, weight) * scale
