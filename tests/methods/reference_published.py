"""The methods beyond mergekit's in plain numpy float64, written from their papers alone.

As in `reference`: inputs in recipe order as float64 arrays, the base where the method has one, then
the parameters by name, one value a source for columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Numbers: TypeAlias = Sequence[float]

# Element by element -----------------------------------------------------------------------------


def magmax(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    deltas = np.stack([x - base for x in xs])
    first = np.abs(deltas).argmax(0)
    return np.asarray(base + lambda_ * np.take_along_axis(deltas, first[None], 0)[0])


def add_difference(xs: list[Array], *, alpha: float = 1.0) -> Array:
    a, b, c = xs
    return a + alpha * (b - c)


def train_difference(xs: list[Array], *, alpha: float = 1.0) -> Array:
    a, b, c = xs
    step, missing = np.abs(b - c), np.abs(b - a)
    both = step + missing
    share = np.divide(missing, both, out=np.zeros_like(both), where=both != 0)
    return np.asarray(a + 1.8 * alpha * np.sign(b - c) * step * share)


def lines(
    xs: list[Array],
    base: Array,
    *,
    weight: Numbers,
    position: float,
    alpha: float = 0.0,
    beta: float = 1.0,
) -> Array:
    mixed = sum(w * (x - base) for w, x in zip(weight, xs, strict=True))
    return np.asarray(base + (alpha + beta * position) * mixed)


def consensus_ta(
    xs: list[Array],
    base: Array,
    *,
    threshold: Numbers,
    agreement: int = 2,
    lambda_: float = 1.0,
) -> Array:
    deltas = np.stack([x - base for x in xs])
    together = deltas.sum(0)
    masks = [np.abs(d) >= np.abs(together - d) * t for d, t in zip(deltas, threshold, strict=True)]
    return np.asarray(base + lambda_ * together * (np.sum(masks, axis=0) >= agreement))


def fisher(
    xs: list[Array], *, statistics: list[Array], weight: Numbers, floor: float = 1e-6
) -> Array:
    shares = [w * np.maximum(f, floor) for w, f in zip(weight, statistics, strict=True)]
    return np.asarray(sum(s * x for s, x in zip(shares, xs, strict=True)) / sum(shares))


def pcb(
    xs: list[Array], base: Array, *, ratio: float = 0.2, clip: float = 1e-4, lambda_: float = 1.0
) -> Array:
    deltas = np.stack([(x - base).ravel() for x in xs])
    tasks, n = deltas.shape
    ordered = np.sort(np.abs(deltas), axis=1)
    low = ordered[:, [int(np.floor(n * clip))]]
    high = ordered[:, [max(0, int(np.floor(n * (1 - clip))) - 1)]]
    sizes = np.minimum(np.maximum(np.abs(deltas), low), high)
    spread = np.where(high > low, high - low, 1.0)
    own = np.exp(tasks * (((sizes - low) / spread) ** 2))
    score = own * np.tanh(deltas * deltas.sum(0))
    cut = np.sort(score, axis=1)[:, [min(n - 1, int(np.floor(n * (1 - ratio))))]]
    top = np.maximum(score.max(1, keepdims=True), 0.0)
    share = np.maximum(score - cut, 0.0) / np.where(top > cut, top - cut, 1.0)
    weight = share.sum(0)
    mixed = (np.sign(deltas) * sizes * share).sum(0) / np.where(weight > 0, weight, 1.0)
    return np.asarray(base + lambda_ * mixed.reshape(base.shape))


# By the distances between the models ------------------------------------------------------------


def geometric_median(
    xs: list[Array], *, weight: Numbers, max_iter: int = 100, tol: float = 1e-6
) -> Array:
    """By many steps of a descent whose distances are smoothed less and less."""
    points = np.stack([x.ravel() for x in xs])
    shares = np.array(weight) / sum(weight)
    for k, point in enumerate(points):
        apart = np.linalg.norm(points - point, axis=1)
        far = apart > 0
        pull = ((points[far] - point) * (shares[far] / apart[far])[:, None]).sum(0)
        if np.linalg.norm(pull) < shares[~far].sum():
            return xs[k]
    middle = shares @ points
    for step in range(3000):
        apart = np.linalg.norm(points - middle, axis=1)
        pulls = shares / np.maximum(apart, 1e-12 * 0.5**step)
        middle = pulls @ points / pulls.sum()
    return np.asarray(middle.reshape(xs[0].shape))


# By singular values -----------------------------------------------------------------------------


def _matrix(x: Array) -> Array:
    return x.reshape(x.shape[0], -1)


def _nearest_orthonormal(x: Array) -> Array:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    known = values > 1e-6 * values.max(initial=0.0)
    return np.asarray((left * known) @ right)


def tsvm(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    kept = min(_matrix(base).shape) // len(xs)
    if kept == 0:
        return base
    parts = [np.linalg.svd(_matrix(d), full_matrices=False) for d in deltas]
    left = _nearest_orthonormal(np.concatenate([u[:, :kept] for u, _, _ in parts], 1))
    right = _nearest_orthonormal(np.concatenate([v[:kept] for _, _, v in parts], 0))
    values = np.concatenate([s[:kept] for _, s, _ in parts])
    return np.asarray(base + lambda_ * ((left * values) @ right).reshape(base.shape))


def iso_c(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    together = sum(x - base for x in xs)
    if base.ndim < 2:
        return np.asarray(base + lambda_ * together / len(xs))
    matrix = _matrix(np.asarray(together))
    values = np.linalg.svd(matrix, compute_uv=False)
    merged = values.mean() * _nearest_orthonormal(matrix)
    return np.asarray(base + lambda_ * merged.reshape(base.shape))


def iso_cts(xs: list[Array], base: Array, *, common: float = 0.8, lambda_: float = 1.0) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    together = _matrix(np.asarray(sum(deltas)))
    rank = min(together.shape)
    own = min(round((rank - int(rank * common)) / len(xs)), rank // len(xs))
    shared = rank - own * len(xs)
    u, s, v = np.linalg.svd(together, full_matrices=False)
    lefts, values, rights = [u[:, :shared]], [s[:shared]], [v[:shared]]
    for delta in deltas:
        matrix = _matrix(delta)
        outside = matrix - lefts[0] @ (lefts[0].T @ matrix)
        u, s, v = np.linalg.svd(outside, full_matrices=False)
        lefts.append(u[:, :own])
        values.append(s[:own])
        rights.append(v[:own])
    left = _nearest_orthonormal(np.concatenate(lefts, 1))
    right = _nearest_orthonormal(np.concatenate(rights, 0))
    merged = np.concatenate(values).mean() * (left @ right)
    return np.asarray(base + lambda_ * merged.reshape(base.shape))


def wudi(
    xs: list[Array], base: Array, *, steps: int = 300, rate: float = 1e-5, lambda_: float = 1.0
) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    matrices = [_matrix(d) for d in deltas]
    tau = np.asarray(sum(matrices))
    first, second = np.zeros_like(tau), np.zeros_like(tau)
    for step in range(1, steps + 1):
        gradient = sum(2 * (tau - m) @ m.T @ m / (m**2).sum() for m in matrices if m.any())
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * np.square(gradient)
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        tau = tau - rate * first / (1 - 0.9**step) / size
    return np.asarray(base + lambda_ * tau.reshape(base.shape))


def rotate(xs: list[Array], *, alpha: float = 0.0) -> Array:
    a, b = xs
    if a.ndim < 2:
        return (1 - alpha) * a + alpha * b
    left, right = _matrix(a), _matrix(b)
    centre = left.mean(0)
    u, _, v = np.linalg.svd((left - centre).T @ (right - right.mean(0)))
    turned = ((left - centre) @ (u @ v) + centre).reshape(a.shape)
    return np.asarray((1 - alpha) * turned + alpha * b)


def regmean(xs: list[Array], *, statistics: list[Array], alpha: float = 0.9) -> Array:
    scaled = [alpha * g + (1 - alpha) * np.diag(np.diag(g)) for g in statistics]
    together = sum(_matrix(x) @ g for x, g in zip(xs, scaled, strict=True))
    return np.asarray(np.linalg.solve(sum(scaled).T, together.T).T.reshape(xs[0].shape))  # type: ignore[union-attr]
