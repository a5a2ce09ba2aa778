from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions import dot, floor, largest, maximum, numel, selected, total, where
from ..method import Call, method
from ..parameters import Factor
from ..symbols import Tensor


def _simplify(call: Call) -> Call | int:
    assert call.base is not None
    return call.base if all(source == call.base for source in call.sources) else call


@method(simplify=_simplify)
def sce(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    select_topk: Factor = 1.0,
) -> Tensor:
    """Select what varies most between models, weigh models by their energy, erase minority signs.

    Of the elements of δ_i = x_i - b the ⌊select_topk · nonzero⌋ of largest variance over the models
    stay (nonzero: how many have any; among equals the lowest index first); at select_topk ≥ 1 all
    do. The majority sign is that of Σ δ_i (+ at 0); ω_i = Σ δ_i², divided by the sum of those (1/N
    if the mean squares add up to under 1e-6). b + Σ ω_i δ_i / max(Σ ω_i, 1e-6), both over the
    models whose δ_i has the majority sign.

    Source: Wan et al., FuseChat, 2024. Sweeps: one or two to find the cut (none at select_topk
    ≥ 1), one for the energies, one to write; memory: tiles and a histogram.
    """
    deltas: list[Any] = [x - base for x in xs]
    if select_topk < 1:
        variance = _variance(deltas)
        count = floor(total(where(variance > 0.0, 1.0, 0.0)) * select_topk)
        stays = selected(variance, largest(variance, count))
        deltas = [where(stays, delta, 0.0) for delta in deltas]
    squares = [dot(delta, delta) / numel(base) for delta in deltas]
    energy = _sum(squares)
    negligible = energy < 1e-6
    divisor = where(negligible, 1.0, energy)
    sign = where(_sum(deltas) >= 0.0, 1.0, -1.0)
    mixed: Any = 0.0
    share: Any = 0.0
    for delta, square in zip(deltas, squares, strict=True):
        omega = where(negligible, 1.0 / len(deltas), square / divisor)
        agrees = delta * sign > 0.0
        mixed = mixed + where(agrees, delta, 0.0) * omega
        share = share + where(agrees, omega, 0.0)
    merged: Tensor = base + mixed / maximum(share, 1e-6)
    return merged


def _variance(deltas: Sequence[Any]) -> Any:
    """The population variance over models, element by element, exactly 0 where all are equal."""
    moved = [delta - deltas[0] for delta in deltas[1:]]  # taken about the first, nothing cancels
    if not moved:
        return deltas[0] * 0.0
    mean = _sum(moved) / len(deltas)
    squares = mean * mean
    for other in moved:
        squares = squares + (other - mean) * (other - mean)
    return squares / len(deltas)


def _sum(values: Sequence[Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
