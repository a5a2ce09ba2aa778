"""The divergence of rows' softmax distributions, in one order of float32 operations everywhere.

Between near models the divergence is mostly rounding error, and that decides which elements a
threshold keeps. So the operations are those that mergekit's users get from torch on a processor
with AVX-512: the exponential of the SLEEF library (Shibata and Petrogalli, 2020: at most 1 ulp
off), softmax sums in sixteen lanes, the divergence's sum in four times sixteen with a cascade. No
operation is contracted or reordered, so that every processor gives the same bits. Loads numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic

F = np.float32

LANES = 16
_COLUMNS = 4  # of lanes that a sum adds up side by side
_LEVELS = 4  # of its cascade

_FLOOR = F(1e-8)  # added to every probability
_PER_LN2 = F(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = F(0.693145751953125), F(1.428606765330187e-06)
_E2, _E3, _E4 = F(0.5), F(0.16666667163372040), F(0.041666485369205475)
_E5, _E6 = F(0.0083333607763051987), F(0.0013930435525253415)
_E7 = F(0.00019852761761285365)
_LN2 = 0.6931471805599453
_HALF_SQRT = np.int32(0x3F3504F3)  # the bits of √½


def _compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep what is compiled in
        return njit(nogil=True, error_model="numpy")(function)


def _fused(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


_fma: Any = intrinsic(_fused)


@_compiled
def row_divergences(x: Any, base: Any, result: Any) -> None:
    """Σ p log(p/q) of each row's softmax p and q of x and base, all float32; result: (rows, 1)."""
    rows, columns = x.shape
    p, q = np.empty(columns, F), np.empty(columns, F)
    powers = np.empty(columns, np.int32), np.empty(columns, np.int32)
    sums = np.empty((_LEVELS, _COLUMNS, LANES), F)
    for row in range(rows):
        _softmax(x[row], p, powers)
        _softmax(base[row], q, powers)
        for j in range(columns):
            p[j] += _FLOOR
            q[j] = p[j] / (q[j] + _FLOOR)
        _logarithm(q, powers)
        for j in range(columns):
            q[j] *= p[j]
        result[row, 0] = _cascade(q, sums)


@_compiled
def _softmax(x: Any, result: Any, powers: Any) -> None:
    first, second = powers
    scale, again = first.view(F), second.view(F)
    top = x[0]
    for j in range(len(x)):
        top = max(top, x[j])
    for j in range(len(x)):
        d = x[j] - top
        n = np.rint(d * _PER_LN2)
        s = _fma(n, -_LN2_LOW, _fma(n, -_LN2_HIGH, d))
        u = _fma(_fma(_fma(_fma(_fma(_E7, s, _E6), s, _E5), s, _E4), s, _E3), s, _E2)
        u = F(1.0) + _fma(s * s, u, s)
        power = np.int32(max(n, F(-160.0)))
        first[j] = ((power >> 1) + 127) << 23
        second[j] = ((power - (power >> 1)) + 127) << 23
        result[j] = F(0.0) if d < F(-104.0) else u
    for j in range(len(x)):
        result[j] = result[j] * scale[j] * again[j]
    inverse = F(1.0) / _in_lanes(result)
    for j in range(len(x)):
        result[j] *= inverse


@_compiled
def _in_lanes(values: Any) -> Any:
    """Element j is added to lane j mod 16, then lanes by halves; a short row from left to right."""
    count = len(values)
    lanes = np.zeros(LANES, F)
    if count < LANES:
        total = values[0]
        for j in range(1, count):
            total += values[j]
        return total
    for first in range(0, count - count % LANES, LANES):
        for lane in range(LANES):
            lanes[lane] += values[first + lane]
    for lane in range(count % LANES):
        lanes[lane] += values[count - count % LANES + lane]
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return lanes[0]


@_compiled
def _cascade(values: Any, sums: Any) -> Any:
    """The sum in four columns of sixteen lanes, whose partial sums are carried up in levels.

    A row that is shorter than the lanes is summed in four columns of its own.
    """
    if len(values) < LANES:
        narrow = np.zeros(_COLUMNS, F)
        whole = len(values) // _COLUMNS * _COLUMNS
        for j in range(len(values)):
            narrow[j % _COLUMNS if j < whole else 0] += values[j]
        return narrow[0] + narrow[1] + narrow[2] + narrow[3]
    vectors = len(values) // LANES
    steps = vectors // _COLUMNS
    digits = 0
    while 1 << digits < steps:
        digits += 1
    power = max(4, digits // _LEVELS)
    sums[:] = F(0.0)
    for step in range(steps):
        for column in range(_COLUMNS):
            for lane in range(LANES):
                sums[0, column, lane] += values[(step * _COLUMNS + column) * LANES + lane]
        level = 1
        while level < _LEVELS and (step + 1) % (1 << (level * power)) == 0:
            for column in range(_COLUMNS):
                for lane in range(LANES):
                    sums[level, column, lane] += sums[level - 1, column, lane]
                    sums[level - 1, column, lane] = F(0.0)
            level += 1
    lanes = sums[0]
    for level in range(1, _LEVELS):
        for column in range(_COLUMNS):
            for lane in range(LANES):
                lanes[column, lane] += sums[level, column, lane]
    for vector in range(steps * _COLUMNS, vectors):
        for lane in range(LANES):
            lanes[0, lane] += values[vector * LANES + lane]
    for column in range(1, _COLUMNS):
        for lane in range(LANES):
            lanes[0, lane] += lanes[column, lane]
    total = F(0.0)
    for j in range(vectors * LANES, len(values)):
        total += values[j]
    for lane in range(LANES):
        total += lanes[0, lane]
    return total


@_compiled
def _logarithm(x: Any, powers: Any) -> None:
    """log x in place, of normal numbers: 2 artanh((m - 1) / (m + 1)) + e log 2 in float64."""
    mantissa = powers[0].view(F)
    bits = x.view(np.int32)
    for j in range(len(x)):
        power = (bits[j] - _HALF_SQRT) >> 23
        powers[1][j] = power
        powers[0][j] = bits[j] - (power << 23)
    for j in range(len(x)):
        m = np.float64(mantissa[j])  # from √½ to √2
        z = (m - 1.0) / (m + 1.0)
        square = z * z
        series = 1.0 / 23.0
        for n in range(21, 0, -2):
            series = series * square + 1.0 / n
        x[j] = F(2.0 * z * series + powers[1][j] * _LN2)
