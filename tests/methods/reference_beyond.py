"""Methods beyond mergekit's in plain numpy float64, straight from their formulas.

As `reference`: nothing is shared with the code under test. A tensor of several dimensions is a
matrix of its first and all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Numbers: TypeAlias = Sequence[float]


def add_difference(xs: list[Array], *, alpha: float = 1.0) -> Array:
    a, b, c = xs
    return np.asarray(a + alpha * (b - c))


def train_difference(xs: list[Array], *, alpha: float = 1.0) -> Array:
    a, b, c = xs
    whole = np.abs(b - c) + np.abs(b - a)
    share = np.divide(np.abs(b - a), whole, out=np.zeros_like(a), where=whole > 0)
    return np.asarray(a + 1.8 * alpha * (b - c) * share)


def magmax(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    deltas = np.stack([x - base for x in xs])
    first = np.abs(deltas).argmax(axis=0)[None]
    return np.asarray(base + lambda_ * np.take_along_axis(deltas, first, 0)[0])


def lines(
    xs: list[Array],
    base: Array,
    *,
    weight: Numbers,
    alpha: float = 0.0,
    beta: float = 1.0,
    position: float,
) -> Array:
    task = sum(w * (x - base) for w, x in zip(weight, xs, strict=True))
    return np.asarray(base + (alpha + beta * position) * task)


def consensus_ta(
    xs: list[Array],
    base: Array,
    *,
    threshold: Numbers,
    agreement: int = 2,
    lambda_: float = 1.0,
) -> Array:
    deltas = np.stack([x - base for x in xs])
    task = deltas.sum(0)
    limits = np.asarray(threshold).reshape(-1, *[1] * base.ndim)
    users = (np.abs(deltas) >= limits * np.abs(task - deltas)).sum(0)
    return np.asarray(base + lambda_ * task * (users >= agreement))


def fisher(
    xs: list[Array], *, statistics: list[Array], weight: Numbers, floor: float = 1e-6
) -> Array:
    shares = [w * np.maximum(f, floor) for w, f in zip(weight, statistics, strict=True)]
    return np.asarray(sum(s * x for s, x in zip(shares, xs, strict=True)) / sum(shares))


def regmean(xs: list[Array], *, statistics: list[Array], alpha: float = 0.9) -> Array:
    grams = [alpha * g + (1 - alpha) * np.diag(np.diag(g)) for g in statistics]
    pull = sum(_matrix(x) @ g for x, g in zip(xs, grams, strict=True))
    return np.linalg.solve(sum(grams), np.asarray(pull).T).T.reshape(xs[0].shape)


def geometric_median(
    xs: list[Array], *, weight: Numbers, max_iter: int = 100, tol: float = 1e-6
) -> Array:
    """A source that the others pull at with less than its own weight; else by a long descent."""
    points = np.stack([x.ravel() for x in xs])
    weights = np.asarray(weight)
    for k, point in enumerate(points):
        apart = np.linalg.norm(points - point, axis=1)
        far = apart > 0
        pull = ((points[far] - point) * (weights[far] / apart[far])[:, None]).sum(0)
        if np.linalg.norm(pull) < weights[~far].sum():
            return xs[k]
    median = weights @ points / weights.sum()
    for _ in range(10 * max_iter):
        pulls = weights / np.maximum(np.linalg.norm(points - median, axis=1), 1e-300)
        median = pulls @ points / pulls.sum()
    return np.asarray(median.reshape(xs[0].shape))


# Spectra ----------------------------------------------------------------------------------------


def _matrix(x: Array) -> Array:
    return x.reshape(x.shape[0], -1)


def _polar(matrix: Array) -> Array:
    """The nearest matrix with orthonormal columns; directions that it lacks stay zero."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    there = values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    return np.asarray(left[:, there] @ right[there])


def _svd(matrix: Array, count: int) -> tuple[Array, Array, Array]:
    """The leading singular triples: columns, values, columns."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left[:, :count], values[:count], right[:count].T


def iso_c(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    task = _matrix(np.sum(deltas, axis=0))
    mean = np.linalg.svd(task, compute_uv=False).mean()
    return np.asarray(base + lambda_ * mean * _polar(task).reshape(base.shape))


def tsvm(xs: list[Array], base: Array, *, lambda_: float = 1.0) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    rank = min(_matrix(base).shape) // len(xs)
    if rank == 0:
        return base
    parts = [_svd(_matrix(delta), rank) for delta in deltas]
    left, values, right = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    merged = _polar(left) * values @ _polar(right).T
    return np.asarray(base + lambda_ * merged.reshape(base.shape))


def iso_cts(xs: list[Array], base: Array, *, common: float = 0.8, lambda_: float = 1.0) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    short = min(_matrix(base).shape)
    own = min(round((short - int(short * common)) / len(xs)), short // len(xs))
    shared = short - own * len(xs)
    parts = [_svd(_matrix(np.sum(deltas, axis=0)), shared)]
    basis = parts[0][0]
    for delta in deltas:
        matrix = _matrix(delta)
        parts.append(_svd(matrix - basis @ (basis.T @ matrix), own))
    left, values, right = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    merged = values.mean() * _polar(left) @ _polar(right).T
    return np.asarray(base + lambda_ * merged.reshape(base.shape))


def rotate(xs: list[Array], *, alpha: float = 0.0) -> Array:
    a, b = xs
    if a.ndim < 2:
        return np.asarray((1 - alpha) * a + alpha * b)
    left, right = _matrix(a), _matrix(b)
    centre = left.mean(0)
    turn = _polar((left - centre).T @ (right - right.mean(0)))
    turned = (left - centre) @ turn + centre
    return np.asarray((1 - alpha) * turned.reshape(a.shape) + alpha * b)


def wudi(
    xs: list[Array], base: Array, *, steps: int = 300, rate: float = 1e-5, lambda_: float = 1.0
) -> Array:
    deltas = [x - base for x in xs]
    if base.ndim < 2:
        return np.asarray(base + lambda_ * np.mean(deltas, axis=0))
    matrices = [_matrix(delta) for delta in deltas]
    tau = np.sum(matrices, axis=0)
    first, second = np.zeros_like(tau), np.zeros_like(tau)
    for step in range(1, steps + 1):
        gradient = np.zeros_like(tau)
        for delta in matrices:
            square = float((delta**2).sum())
            if square > 0:
                gradient += 2 * (tau - delta) @ delta.T @ delta / square
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        tau = tau - rate * first / (1 - 0.9**step) / corrected
    return np.asarray(base + lambda_ * tau.reshape(base.shape))


# Competition ------------------------------------------------------------------------------------


def pcb(
    xs: list[Array],
    base: Array,
    *,
    ratio: float = 0.2,
    clip: float = 1e-4,
    lambda_: float = 1.0,
    scope: str = "tensor",
) -> Array:
    assert scope == "tensor"
    deltas = [(x - base).ravel() for x in xs]
    task, n = np.sum(deltas, axis=0), base.size
    merged, weight = np.zeros(n), np.zeros(n)
    for delta in deltas:
        ordered = np.sort(np.abs(delta))
        low, high = ordered[int(n * clip)], ordered[max(int(n * (1 - clip)) - 1, 0)]
        clamped = np.clip(np.abs(delta), low, max(low, high))
        share = (clamped - low) / (high - low) if high > low else np.zeros(n)
        score = np.exp(len(xs) * (share**2 - 1)) * np.tanh(delta * task)
        cut = np.sort(score)[min(int(n * (1 - ratio)), n - 1)]
        top = score.max()
        won = np.maximum(score - cut, 0) / (top - cut if top > cut else 1.0)
        merged += np.sign(delta) * clamped * won
        weight += won
    merged = np.divide(merged, weight, out=np.zeros(n), where=weight > 0)
    return np.asarray(base + lambda_ * merged.reshape(base.shape))
