"""The merge methods in plain numpy float64, written from their published formulas alone.

Every function takes the inputs in recipe order as float64 arrays, the base where the method has
one, and the parameters by their names in a recipe (`lambda_` for lambda), one value a source for
columns. Random methods take their masks. Nothing here is shared with the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Numbers: TypeAlias = Sequence[float]

# Averages ---------------------------------------------------------------------------------------


def linear(xs: list[Array], *, weight: Numbers, normalize: bool = True) -> Array:
    mixed = sum(w * x for w, x in zip(weight, xs, strict=True))
    return np.asarray(mixed / sum(weight) if normalize else mixed)


def passthrough(xs: list[Array], *, scale: Sequence[float | None] = (None,)) -> Array:
    return xs[0] if scale[0] is None else xs[0] * scale[0]


def slerp(xs: list[Array], *, t: float) -> Array:
    a, b = xs
    norms = [1.0 if np.linalg.norm(x) <= 1e-8 else float(np.linalg.norm(x)) for x in (a, b)]
    cosine = float(np.clip(np.vdot(a, b) / (norms[0] * norms[1]), -1, 1))
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    theta = np.arccos(cosine)
    blended = np.sin((1 - t) * theta) * a + np.sin(t * theta) * b
    return np.asarray(blended / np.sin(theta))


def nuslerp(
    xs: list[Array],
    base: Array | None = None,
    *,
    weight: Numbers,
    nuslerp_row_wise: bool = False,
    nuslerp_flatten: bool = True,
) -> Array:
    total = weight[0] + weight[1]
    t = 0.5 if abs(total) < 1e-6 else weight[1] / total
    offset = 0.0 if base is None else base
    a, b = (x - offset for x in xs)
    shape = a.shape
    axis = 0 if nuslerp_row_wise and not nuslerp_flatten else -1
    if nuslerp_flatten:
        a, b = a.ravel(), b.ravel()

    def norm(x: Array) -> Array:
        return np.maximum(np.linalg.norm(x, axis=axis, keepdims=True), 1e-7)

    cosine = np.clip((a * b).sum(axis=axis, keepdims=True) / (norm(a) * norm(b)), -1, 1)
    flat = 1 - cosine**2 <= 1e-16
    theta = np.arccos(np.where(flat, 0.0, cosine))
    blended = (np.sin((1 - t) * theta) * a + np.sin(t * theta) * b) / np.sin(theta)
    result = np.where(flat, (1 - t) * a + t * b, blended)
    return np.asarray(result.reshape(shape) + offset)


def multislerp(
    xs: list[Array],
    base: Array | None = None,
    *,
    weight: Numbers,
    normalize_weights: bool = True,
    eps: float = 1e-8,
) -> Array:
    if len(xs) == 1:
        return xs[0]
    offset = 0.0 if base is None else base
    ws = np.asarray(weight) / (sum(weight) if normalize_weights else 1.0)
    vectors = [x - offset for x in xs]
    norms = [float(np.linalg.norm(v)) for v in vectors]
    units = [v / (n + eps) for v, n in zip(vectors, norms, strict=True)]
    mean = sum(w * u for w, u in zip(ws, units, strict=True))
    length = float(np.linalg.norm(mean))
    if length < eps:
        if len(xs) > 2:
            raise ValueError("the directions cancel")
        return np.asarray(sum(w * v for w, v in zip(ws, vectors, strict=True)) + offset)
    mean = mean / length
    tangent = sum(w * (u - np.vdot(u, mean) * mean) for w, u in zip(ws, units, strict=True))
    tau = float(np.linalg.norm(tangent)) + eps
    direction = mean * np.cos(tau) + tangent * (np.sin(tau) / tau)
    return np.asarray(direction * sum(w * n for w, n in zip(ws, norms, strict=True)) + offset)


def karcher(xs: list[Array], *, max_iter: int = 10, tol: float = 1e-5) -> Array:
    norms = [float(np.linalg.norm(x)) for x in xs]
    units = [x / n for x, n in zip(xs, norms, strict=True) if n > 0]
    if not units:
        return np.zeros_like(xs[0])
    mean = sum(units) / len(units)
    mean = mean / np.linalg.norm(mean)
    for _ in range(max_iter):
        tangent = np.zeros_like(mean)
        for unit in units:
            cosine = float(np.clip(np.vdot(unit, mean), -1, 1))
            theta = np.arccos(cosine)
            if theta >= tol:
                tangent += theta / np.sin(theta) * (unit - cosine * mean) / len(units)
        length = float(np.linalg.norm(tangent))
        if length < tol:
            break
        mean = np.cos(length) * mean + np.sin(length) * tangent / length
        mean = mean / np.linalg.norm(mean)
    return np.asarray(mean * sum(norms) / len(xs))


# Task vectors -----------------------------------------------------------------------------------


def _ranked(delta: Array) -> Array:
    """The flat indices of δ, largest magnitude first, among equals the lowest index."""
    return np.argsort(-np.abs(delta).ravel(), kind="stable")


def _only(delta: Array, kept: Array) -> Array:
    mask = np.zeros(delta.size, dtype=bool)
    mask[kept] = True
    return np.where(mask.reshape(delta.shape), delta, 0.0)


def keep_largest(delta: Array, density: float) -> Array:
    if density >= 1:
        return delta
    if density <= 0:
        return np.zeros_like(delta)
    return _only(delta, _ranked(delta)[: max(1, int(density * delta.size))])


def keep_middle(delta: Array, density: float, gamma: float) -> Array:
    """Without the ⌊γn⌋ largest and without the smallest, so that ⌊ρn⌋ stay."""
    if density >= 1:
        return delta
    n = delta.size
    kept, top = int(density * n), int(gamma * n)
    bottom = max(0, n - kept - top)
    return _only(delta, _ranked(delta)[n - bottom - kept : n - bottom])


def rescaled(kept: Array, delta: Array, density: float, rescale: str) -> Array:
    if rescale == "none" or not 0 < density < 1:
        return kept
    if rescale == "density":
        return kept / density
    after = float(np.abs(kept).sum())
    return kept * (float(np.abs(delta).sum()) / after) if after > 0 else kept


def _combine(
    base: Array,
    deltas: list[Array],
    weight: Numbers,
    lambda_: float,
    normalize: bool,
    consensus: bool,
) -> Array:
    weighted = np.stack([w * d for w, d in zip(weight, deltas, strict=True)])
    weights = np.stack([np.full(base.shape, w, dtype=np.float64) for w in weight])
    if consensus:
        majority = np.where(weighted.sum(0) >= 0, 1.0, -1.0)
        agrees = np.sign(weighted) == majority
        weighted, weights = weighted * agrees, weights * agrees
    mixed, divisor = weighted.sum(0), weights.sum(0)
    if normalize:
        tiny = divisor == 0 if consensus else np.abs(divisor) < 1e-8
        mixed = mixed / np.where(tiny, 1.0, divisor)
    return np.asarray(base + lambda_ * mixed)


def _family(
    sparsify: Callable[..., Array], consensus: bool, normalize_default: bool, rescale_default: str
) -> Callable[..., Array]:
    """A method of the task-arithmetic family; `sparsify` takes δ and the source's own columns."""

    def merge(
        xs: list[Array],
        base: Array,
        *,
        weight: Numbers,
        density: Numbers | None = None,
        lambda_: float = 1.0,
        normalize: bool = normalize_default,
        rescale: str = rescale_default,
        scope: str = "tensor",
        **columns: Sequence[Any],
    ) -> Array:
        assert scope == "tensor"
        densities = density or [1.0] * len(xs)
        deltas = []
        for i, x in enumerate(xs):
            own = {name: values[i] for name, values in columns.items()}  # gamma, or masks
            kept = sparsify(x - base, densities[i], **own)
            deltas.append(rescaled(kept, x - base, densities[i], rescale))
        return _combine(base, deltas, weight, lambda_, normalize, consensus)

    return merge


def _keep_mask(delta: Array, density: float, masks: Array) -> Array:
    if density >= 1:
        return delta
    return np.where(masks.reshape(delta.shape) & (density > 0), delta, 0.0)


def task_arithmetic(
    xs: list[Array],
    base: Array,
    *,
    weight: Numbers,
    lambda_: float = 1.0,
    normalize: bool = False,
) -> Array:
    return _combine(base, [x - base for x in xs], weight, lambda_, normalize, consensus=False)


ties = _family(keep_largest, True, True, "none")
breadcrumbs = _family(keep_middle, False, False, "none")
breadcrumbs_ties = _family(keep_middle, True, False, "none")
dare_linear = _family(_keep_mask, False, False, "density")
dare_ties = _family(_keep_mask, True, False, "density")


def _keep_by_rank(
    delta: Array, density: float, masks: Array, epsilon: float, divide: bool
) -> Array:
    kept = _keep_mask(delta, density, masks)
    return kept / della_probabilities(delta, density, epsilon) if divide else kept


def _della(consensus: bool, normalize_default: bool) -> Callable[..., Array]:
    """DELLA's own rescaling divides each element by its probability to be kept."""

    def merge(
        xs: list[Array],
        base: Array,
        *,
        density: Numbers,
        epsilon: Numbers,
        rescale: str = "density",
        **others: Any,
    ) -> Array:
        divide = [rescale == "density" and d < 1 for d in density]
        inner = _family(_keep_by_rank, consensus, normalize_default, "none")
        columns = {"density": density, "epsilon": epsilon, "divide": divide}
        how = "none" if rescale == "density" else rescale
        return inner(xs, base, rescale=how, **columns, **others)

    return merge


della_linear = _della(False, False)
della = _della(True, True)


def della_probabilities(delta: Array, density: float, epsilon: float) -> Array:
    """Each element's probability to be kept, by its rank in its row: ρ-ε smallest, ρ+ε largest."""
    rows = np.abs(delta).reshape(-1, delta.shape[-1])
    if rows.shape[1] == 1:
        return np.full(delta.shape, density)
    ranks = np.argsort(np.argsort(rows, axis=1, kind="stable"), axis=1, kind="stable")
    share = ranks / max(1, rows.shape[1] - 1)
    return np.asarray((density - epsilon + 2 * epsilon * share).reshape(delta.shape))


# Others -----------------------------------------------------------------------------------------


def model_stock(xs: list[Array], base: Array, *, filter_wise: bool = False) -> Array:
    shape = base.shape
    columns = shape[-1] if filter_wise else base.size
    rows = [x.reshape(-1, columns) for x in xs]
    origin = base.reshape(rows[0].shape)
    deltas = [x - origin for x in rows]
    cosines = []
    for one, other in combinations(deltas, 2):
        norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
        cosines.append((one * other).sum(-1) / np.maximum(norms, 1e-6))
    count, mean = len(xs), np.mean(cosines, axis=0)
    below = 1 + (count - 1) * mean
    tiny = np.abs(below) < 1e-6
    t = np.where(tiny, 0.0, count * mean / np.where(tiny, 1.0, below))[:, None]
    return np.asarray((t * np.mean(rows, axis=0) + (1 - t) * origin).reshape(shape))


def nearswap(xs: list[Array], base: Array, *, t: float) -> Array:
    (x,) = xs
    w = np.clip(t / np.maximum(np.abs(base - x), 1e-6), 0, 1)
    return np.asarray(w * x + (1 - w) * base)


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True) + 1e-8)


def arcee_fusion(xs: list[Array], base: Array) -> Array:
    (x,) = xs
    p, q = _softmax(x), _softmax(base)
    score = np.abs(x - base) * (p * np.log(p / q)).sum(axis=-1, keepdims=True)
    ordered = np.sort(score.ravel())
    lower, median, upper = (ordered[int(q * (score.size - 1))] for q in (0.25, 0.5, 0.75))
    threshold = median + 1.5 * (upper - lower)
    return np.where(score >= threshold, x, base)


def sce(xs: list[Array], base: Array, *, select_topk: float = 1.0) -> Array:
    deltas = np.stack([x - base for x in xs])
    if select_topk < 1:
        variance = deltas.var(axis=0)
        count = int(np.count_nonzero(variance) * select_topk)
        kept = _only(np.ones_like(base), _ranked(variance)[:count])
        deltas = deltas * kept
    majority = np.where(deltas.sum(0) >= 0, 1.0, -1.0)
    agrees = np.sign(deltas) == majority
    powers = (deltas**2).reshape(len(xs), -1).mean(axis=1)
    shares = powers / powers.sum() if powers.sum() >= 1e-6 else np.full(len(xs), 1 / len(xs))
    weights = agrees * shares.reshape(-1, *[1] * base.ndim)
    divisor = np.maximum(weights.sum(0), 1e-6)
    return np.asarray(base + (weights * deltas).sum(0) / divisor)


def _ram(xs: list[Array], base: Array, epsilon: float, factors: Callable[..., Array]) -> Array:
    deltas = np.stack([x - base for x in xs])
    changed = np.abs(deltas) > epsilon
    count = changed.sum(0)
    scale = factors(changed, count).reshape(-1, *[1] * base.ndim)
    alone = (deltas * scale * changed).sum(0)
    mean = (deltas * changed).sum(0) / np.maximum(count, 1)
    return np.asarray(base + np.where(count == 1, alone, mean))


def ram(xs: list[Array], base: Array, *, epsilon: float = 1e-5) -> Array:
    return _ram(xs, base, epsilon, lambda changed, count: np.ones(len(xs)))


def ramplus_tl(
    xs: list[Array], base: Array, *, r: float = 0.1, alpha: float = 0.2, epsilon: float = 1e-5
) -> Array:
    def factors(changed: Array, count: Array) -> Array:
        axes = tuple(range(1, changed.ndim))
        unique = (changed & (count == 1)).sum(axis=axes)
        shared = (changed & (count > 1)).sum(axis=axes)
        return np.asarray(1 + r * np.clip(shared / np.maximum(unique, epsilon), 0, alpha))

    return _ram(xs, base, epsilon, factors)
