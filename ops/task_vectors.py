"""Mathematics that the task-vector methods share: trimming, dropping, sign consensus, combining.

A task vector δ is a model's tensor minus the base's. Everything here accumulates: the number of
values alive at once doesn't grow with the number of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np

from .functions import (
    equal,
    floor,
    largest,
    maximum,
    minimum,
    numel,
    on_rows,
    selected,
    total,
    where,
)
from .method import Call, Random
from .method_error import MethodError
from .parameters import Switch
from .symbols import Number, Tensor

Rows: TypeAlias = np.ndarray[Any, Any]
Rescale: TypeAlias = Annotated[Literal["none", "density", "l1"], Switch(true="l1", false="none")]


Scope: TypeAlias = Literal["tensor", "model"]
"""Whether a threshold is a tensor's own or one for all of a model's tensors."""


def trim(delta: Tensor, source: int, density: Number, scope: Scope = "tensor") -> Any:
    """δ with only its k = max(1, ⌊density·n⌋) largest magnitudes; all of it at density ≥ 1.

    With `scope = model` n counts the elements of all the source's tensors, and so does k.
    """
    if density >= 1:
        return delta
    if density <= 0:
        return 0.0
    pool = source if scope == "model" else None
    count = maximum(floor(density * numel(delta, pool)), 1.0)
    return where(selected(delta, largest(delta, count, pool)), delta, 0.0)


def trim_middle(delta: Tensor, density: Number, gamma: Number) -> Any:
    """δ without its ⌊gamma·n⌋ largest magnitudes, and of the rest only the ⌊density·n⌋ largest.

    Where fewer than ⌊density·n⌋ are left by that, the smallest ⌊density·n⌋ of all stay; all of it
    at density ≥ 1.
    """
    if density >= 1:
        return delta
    if density <= 0:
        return 0.0
    count = floor(density * numel(delta))
    reach = maximum(numel(delta) - floor(gamma * numel(delta)), count)  # from the smallest up
    without = selected(delta, largest(delta, numel(delta) - reach))
    within = selected(delta, largest(delta, numel(delta) - reach + count))
    return where(within & ~without, delta, 0.0)


def drop(delta: Tensor, source: int, density: Number, random: Random) -> Any:
    """δ with each element kept with probability density; all of it at density ≥ 1."""
    if density >= 1:
        return delta
    if density <= 0:
        return 0.0
    return where(random.bernoulli(source, density, delta), delta, 0.0)


def drop_by_rank(
    delta: Tensor, source: int, density: Number, epsilon: Number, random: Random
) -> tuple[Any, Any]:
    """(δ with elements kept at random, their probabilities), the larger in its row the likelier.

    The probability grows with the rank of |δ| in its row from density - epsilon to density +
    epsilon; the lowest column is first among equals. At density ≥ 1 everything is kept.
    """
    if density >= 1:
        return delta, 1.0
    if density <= 0:
        return 0.0, 1.0
    (probability,) = on_rows(rank_probabilities, 1, delta, density, epsilon)
    return where(random.bernoulli(source, probability, delta), delta, 0.0), probability


def rank_probabilities(rows: Rows, density: float, epsilon: float) -> list[Rows]:
    """density ± epsilon by the rank of each magnitude in its row, a row of one density itself."""
    width = rows.shape[1]
    if width == 1:
        return [np.full(rows.shape, density, dtype=np.float32)]
    # magnitude and place in one word: sorting plain words is several times faster than argsort
    words = np.abs(rows, dtype=np.float32).view(np.uint32).astype(np.uint64)
    words <<= np.uint64(32)
    words |= np.arange(rows.size, dtype=np.uint64).reshape(rows.shape)
    words.sort(axis=1)
    words &= np.uint64(0xFFFFFFFF)
    result: Rows = np.empty(rows.size, dtype=np.float32)
    result[words.view(np.int64)] = np.linspace(density - epsilon, density + epsilon, width)
    return [result.reshape(rows.shape)]


def rescale_kept(kept: Any, delta: Tensor, density: Number, rescale: str) -> Any:
    """Make up for what was dropped: by 1/density, or so that the sum of magnitudes is as before."""
    if rescale == "none" or density >= 1 or density <= 0:
        return kept
    if rescale == "density":
        return kept * (1.0 / density)
    before, after = total(abs(delta)), total(abs(kept))
    return kept * (before / where(after > 0.0, after, 1.0))


def combine_sum(
    base: Tensor, vectors: Sequence[Any], weight: Sequence[Number], lambda_: Number, normalize: bool
) -> Tensor:
    """base + λ Σ v_i, the sum divided by Σ w_i if asked (|Σ w_i| < 1e-8 counts as 1)."""
    mixed: Any = _sum(vectors)
    factor: Any = lambda_
    if normalize:
        divisor = _sum(weight)
        factor = factor / where(abs(divisor) < 1e-8, 1.0, divisor)
    merged: Tensor = base + mixed * factor
    return merged


def combine_consensus(
    base: Tensor, vectors: Sequence[Any], weight: Sequence[Number], lambda_: Number, normalize: bool
) -> Tensor:
    """base + λ Σ of the v_i whose sign is the majority's: the sign of Σ v_i, + where that is 0.

    With normalize the sum is divided, element by element, by Σ w_i over those kept (0 counts as 1).
    """
    positive = _sum(vectors) >= 0.0
    above = _sum([maximum(v, 0.0) for v in vectors])
    below = _sum([minimum(v, 0.0) for v in vectors])
    mixed = where(positive, above, below)
    if normalize:
        for_above = _sum([where(v > 0.0, w, 0.0) for v, w in zip(vectors, weight, strict=True)])
        for_below = _sum([where(v < 0.0, w, 0.0) for v, w in zip(vectors, weight, strict=True)])
        divisor = where(positive, for_above, for_below)
        mixed = mixed / where(equal(divisor, 0.0), 1.0, divisor)
    merged: Tensor = base + mixed * lambda_
    return merged


def drop_silent_rows(call: Call, *, consensus: bool) -> Call | int:
    """A task-vector call without the sources that can't change it; the base if none is left.

    A source of weight 0 adds nothing, nor does one that is the base itself, unless its weight still
    counts in the divisor.
    """
    counts = bool(call.settings["normalize"]) and not consensus
    base = call.base
    assert base is not None
    if call.settings["lambda"] == 0:
        return base
    rows = [
        i
        for i, source in enumerate(call.sources)
        if call.columns[i]["weight"] != 0 and (source != base or counts)
    ]
    return call.keep(rows) if rows else base


def drop_unchanged_rows(call: Call) -> Call | int:
    """A call that counts changes beyond epsilon, without the sources that are the base itself."""
    assert call.base is not None
    if float(call.settings["epsilon"] or 0.0) < 0:  # even no change counts
        return call
    rows = [i for i, source in enumerate(call.sources) if source != call.base]
    return call.keep(rows) if rows else call.base


def drop_silent_rows_by_rank(call: Call, *, consensus: bool) -> Call | int:
    """`drop_silent_rows` for methods that drop by rank. MethodError: impossible probabilities."""
    for columns in call.columns:
        density, epsilon = float(columns["density"] or 0.0), float(columns["epsilon"] or 0.0)
        ends = density - epsilon, density + epsilon
        if 0 < density < 1 and not all(0 < chance < 1 for chance in ends):
            raise MethodError(
                f"density ± epsilon, {density:g} ± {epsilon:g}, must lie between 0 and 1"
            )
    return drop_silent_rows(call, consensus=consensus)


def _sum(values: Sequence[Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
