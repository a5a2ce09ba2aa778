"""The divergence of rows' softmax distributions, in one order of float32 operations everywhere.

Between near models the divergence is mostly rounding error, and that decides which elements a
threshold keeps. So the operations are those that mergekit's users get from torch on a processor
with AVX-512: the exponential of the SLEEF library (Shibata and Petrogalli, 2020: at most 1 ulp
off), softmax sums in sixteen lanes, the divergence's sum in four times sixteen with a cascade. They
are written as LLVM IR, on vectors of sixteen; no operation is contracted or reordered, so that
every processor gives the same bits.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir

from ..machine_code.cache import code_digest, find_code
from ..machine_code.writing import (
    F32,
    F64,
    I32,
    I64,
    POINTER,
    CodeWriter,
    Value,
    integer,
    new_function,
    new_module,
)

LANES = 16
_COLUMNS = 4  # of lanes that a sum adds up side by side
_LEVELS = 4  # of its cascade
_NARROW = 16  # rows that are shorter have sums of their own order

_FLOOR = 1e-8  # added to every probability
_PER_LN2 = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.428606765330187e-06
_SERIES = (  # of the exponential, the highest power first
    0.00019852761761285365,
    0.0013930435525253415,
    0.0083333607763051987,
    0.041666485369205475,
    0.16666667163372040,
    0.5,
)
_UNDERFLOW, _LEAST_POWER = -104.0, -160.0
_LN2 = 0.6931471805599453
_HALF_SQRT = 0x3F3504F3  # the bits of √½
_LOG_TERMS = 23  # the highest power of the logarithm's series


def row_divergences(x: Any, base: Any) -> Any:
    """Σ p log(p/q) of each row's softmax p and q of x and base, contiguous float32: (rows, 1)."""
    rows, columns = x.shape
    result = np.zeros((rows, 1), np.float32)
    if columns:
        padded = -(-columns // LANES) * LANES
        room = np.empty(2 * padded, np.float32)
        steps = columns // LANES // _COLUMNS
        power = max(4, max(0, steps - 1).bit_length() // _LEVELS)
        arrays = (array.ctypes.data for array in (x, base, result, room))
        _compiled()(*arrays, rows, columns, padded, power)
    return result


@cache
def _compiled() -> Any:
    engine = find_code(code_digest(Path(__file__).read_bytes()), _module)
    address, count = ctypes.c_void_p, ctypes.c_int64
    function = ctypes.CFUNCTYPE(None, *[address] * 4, *[count] * 4)(
        engine.get_function_address("rows")
    )
    return lambda *arguments, engine=engine: function(*arguments)  # the engine owns the code


def _module() -> str:
    """(x, base, result, room, rows, columns, padded columns, power of a cascade's level)."""
    module = new_module("divergence")
    softmax = _softmax(module)
    cascade = _cascade(module)
    writer = new_function(module, "rows", [*[POINTER] * 4, *[I64] * 4], LANES)
    writer.function.linkage = "external"
    x, base, result, room, rows, columns, padded, power = writer.function.args
    b = writer.builder
    q = writer.place(room, padded, F32)
    with writer.loop(integer(0), rows) as row:
        start = b.mul(row, columns)
        for source, target in ((x, room), (base, q)):
            b.call(softmax, [writer.place(source, start, F32), target, columns, padded])
        with writer.loop(integer(0), padded, LANES) as j:
            floor = writer.constant(F32, _FLOOR)
            first = b.fadd(writer.load(room, j, F32), floor)
            ratio = b.fdiv(first, b.fadd(writer.load(q, j, F32), floor))
            writer.store(b.fmul(_logarithm(writer, ratio), first), q, j)
        b.call(cascade, [q, columns, power, writer.place(result, row, F32)])
    b.ret_void()
    return str(module)


# Softmax ----------------------------------------------------------------------------------------


def _softmax(module: Value) -> Value:
    """(row, result, columns, padded columns): the softmax, and zeros behind it."""
    writer = new_function(module, "softmax", [POINTER, POINTER, I64, I64], LANES)
    row, result, columns, padded = writer.function.args
    b = writer.builder
    writer.copy(result, row, b.mul(columns, integer(4)))
    least = writer.load_one(row, integer(0), F32)
    with writer.loop(columns, padded) as j:  # what changes no maximum
        writer.store_one(least, result, j)
    top = writer.stack(F32)
    b.store(least, top)
    with writer.loop(integer(0), padded, LANES) as j:
        largest = writer.intrinsic("llvm.vector.reduce.fmax", writer.load(result, j, F32))
        before = b.load(top, typ=F32)
        b.store(b.select(b.fcmp_ordered(">", largest, before), largest, before), top)
    most = writer.spread(b.load(top, typ=F32))
    with writer.loop(integer(0), padded, LANES) as j:
        distance = b.fsub(writer.load(result, j, F32), most)
        writer.store(_exponential(writer, distance), result, j)
    with writer.loop(columns, padded) as j:
        writer.store_one(ir.Constant(F32, 0.0), result, j)
    total = _in_lanes(writer, result, columns, padded)
    inverse = writer.spread(b.fdiv(ir.Constant(F32, 1.0), total))
    with writer.loop(integer(0), padded, LANES) as j:
        writer.store(b.fmul(writer.load(result, j, F32), inverse), result, j)
    b.ret_void()
    return writer.function


def _exponential(writer: CodeWriter, d: Value) -> Value:
    """e to the d, of numbers that aren't above 0."""
    b = writer.builder

    def number(value: float) -> Value:
        return writer.constant(F32, value)

    def fused(x: Value, y: Value, z: Value) -> Value:
        """x·y + z, rounded once."""
        return writer.intrinsic("llvm.fma", x, y, z)

    n = writer.intrinsic("llvm.rint", b.fmul(d, number(_PER_LN2)))
    s = fused(n, number(-_LN2_LOW), fused(n, number(-_LN2_HIGH), d))
    u = number(_SERIES[0])
    for term in _SERIES[1:]:
        u = fused(u, s, number(term))
    u = b.fadd(number(1.0), fused(b.fmul(s, s), u, s))
    u = b.select(b.fcmp_ordered("<", d, number(_UNDERFLOW)), number(0.0), u)
    least = number(_LEAST_POWER)
    power = b.fptosi(b.select(b.fcmp_ordered(">", n, least), n, least), writer.vector(I32))
    half = b.ashr(power, writer.constant(I32, 1))
    for exponent in (half, b.sub(power, half)):  # in two steps: one would leave float32's range
        biased = b.add(exponent, writer.constant(I32, 127))
        scale = b.shl(biased, writer.constant(I32, 23))
        u = b.fmul(u, b.bitcast(scale, writer.vector(F32)))
    return u


def _in_lanes(writer: CodeWriter, values: Value, columns: Value, padded: Value) -> Value:
    """Element j is added to lane j mod 16, then lanes by halves; a short row from left to right.

    Zeros behind the row change nothing: no term is below 0.
    """
    b = writer.builder
    found, lanes = writer.stack(F32), writer.stack(F32, LANES)
    with writer.when(b.icmp_signed("<", columns, integer(_NARROW))):
        b.store(writer.load_one(values, integer(0), F32), found)
        with writer.loop(integer(1), columns) as j:
            b.store(b.fadd(b.load(found, typ=F32), writer.load_one(values, j, F32)), found)
    with writer.when(b.icmp_signed(">=", columns, integer(_NARROW))):
        writer.store(writer.constant(F32, 0.0), lanes, integer(0))
        with writer.loop(integer(0), padded, LANES) as j:
            total = b.fadd(writer.load(lanes, integer(0), F32), writer.load(values, j, F32))
            writer.store(total, lanes, integer(0))
        total = writer.load(lanes, integer(0), F32)
        width = LANES // 2
        while width:
            low, high = (
                b.shuffle_vector(total, total, _numbers(range(start, start + width)))
                for start in (0, width)
            )
            total = b.fadd(low, high)
            width //= 2
        b.store(b.extract_element(total, ir.Constant(I32, 0)), found)
    return b.load(found, typ=F32)


def _numbers(values: range) -> Value:
    return ir.Constant(ir.VectorType(I32, len(values)), list(values))


# The divergence's sum ---------------------------------------------------------------------------


def _cascade(module: Value) -> Value:
    """(values, columns, power, result): the sum in four columns of sixteen lanes.

    The partial sums of 2 ** power steps are carried up a level, those of as many of them one more.
    A row that is shorter than the lanes is summed in four columns of its own.
    """
    writer = new_function(module, "cascade", [POINTER, I64, I64, POINTER], LANES)
    values, columns, power, result = writer.function.args
    b = writer.builder
    with writer.when(b.icmp_signed("<", columns, integer(_NARROW))):
        b.store(_narrow(writer, values, columns), result)
    with writer.when(b.icmp_signed(">=", columns, integer(_NARROW))):
        b.store(_wide(writer, values, columns, power), result)
    b.ret_void()
    return writer.function


def _narrow(writer: CodeWriter, values: Value, columns: Value) -> Value:
    b = writer.builder
    sums = writer.stack(F32, LANES)
    writer.store(writer.constant(F32, 0.0), sums, integer(0))
    mask = integer(_COLUMNS - 1)
    whole = b.and_(columns, b.not_(mask))
    with writer.loop(integer(0), columns) as j:
        column = b.select(b.icmp_signed("<", j, whole), b.and_(j, mask), integer(0))
        before = writer.load_one(sums, column, F32)
        writer.store_one(b.fadd(before, writer.load_one(values, j, F32)), sums, column)
    total = writer.load_one(sums, integer(0), F32)
    for column in range(1, _COLUMNS):
        total = b.fadd(total, writer.load_one(sums, integer(column), F32))
    return total


def _wide(writer: CodeWriter, values: Value, columns: Value, power: Value) -> Value:
    b = writer.builder
    size = _COLUMNS * LANES
    sums = writer.stack(F32, _LEVELS * size)
    writer.clear(sums, integer(4 * _LEVELS * size))
    vectors = b.udiv(columns, integer(LANES))
    steps = b.udiv(vectors, integer(_COLUMNS))

    def add(place: int, value: Value) -> None:
        total = b.fadd(writer.load(sums, integer(place), F32), value)
        writer.store(total, sums, integer(place))

    def carry(level: int, done: Value) -> None:
        """Carry the sums below a level up to it, if it is time, and those above it."""
        period = b.shl(integer(1), b.mul(power, integer(level)))
        rest = b.and_(done, b.sub(period, integer(1)))
        with writer.when(b.icmp_unsigned("==", rest, integer(0))):
            for place in range(level * size, (level + 1) * size, LANES):
                add(place, writer.load(sums, integer(place - size), F32))
                writer.store(writer.constant(F32, 0.0), sums, integer(place - size))
            if level + 1 < _LEVELS:
                carry(level + 1, done)

    with writer.loop(integer(0), steps) as step:
        for column in range(_COLUMNS):
            place = b.add(b.mul(step, integer(size)), integer(column * LANES))
            add(column * LANES, writer.load(values, place, F32))
        carry(1, b.add(step, integer(1)))
    for place in range(size, _LEVELS * size, LANES):
        add(place % size, writer.load(sums, integer(place), F32))
    with writer.loop(b.mul(steps, integer(_COLUMNS)), vectors) as vector:
        add(0, writer.load(values, b.mul(vector, integer(LANES)), F32))
    for column in range(1, _COLUMNS):
        add(0, writer.load(sums, integer(column * LANES), F32))
    return _one_by_one(writer, sums, values, b.mul(vectors, integer(LANES)), columns)


def _one_by_one(
    writer: CodeWriter, lanes: Value, values: Value, first: Value, columns: Value
) -> Value:
    """What is left of the values, then the lanes, from left to right."""
    b = writer.builder
    total = writer.stack(F32)
    b.store(ir.Constant(F32, 0.0), total)
    for source, start, stop in (
        (values, first, columns),
        (lanes, integer(0), integer(LANES)),
    ):
        with writer.loop(start, stop) as j:
            b.store(b.fadd(b.load(total, typ=F32), writer.load_one(source, j, F32)), total)
    return b.load(total, typ=F32)


def _logarithm(writer: CodeWriter, x: Value) -> Value:
    """log x of normal numbers: 2 artanh((m - 1) / (m + 1)) + e log 2 in float64."""
    b, wide = writer.builder, writer.vector(F64)

    def number(value: float) -> Value:
        return writer.constant(F64, value)

    bits = b.bitcast(x, writer.vector(I32))
    power = b.ashr(b.sub(bits, writer.constant(I32, _HALF_SQRT)), writer.constant(I32, 23))
    scaled = b.sub(bits, b.shl(power, writer.constant(I32, 23)))
    m = b.fpext(b.bitcast(scaled, writer.vector(F32)), wide)  # from √½ to √2
    z = b.fdiv(b.fsub(m, number(1.0)), b.fadd(m, number(1.0)))
    square = b.fmul(z, z)
    series = number(1.0 / _LOG_TERMS)
    for n in range(_LOG_TERMS - 2, 0, -2):
        series = b.fadd(b.fmul(series, square), number(1.0 / n))
    found = b.fmul(b.fmul(number(2.0), z), series)
    exponent = b.fmul(b.sitofp(power, wide), number(_LN2))
    return b.fptrunc(b.fadd(found, exponent), writer.vector(F32))
