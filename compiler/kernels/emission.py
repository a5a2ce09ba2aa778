"""Kernel -> LLVM IR: its mathematics as a loop over vectors.

A tile is walked in blocks, of BLOCK elements where something is added up in float32. A short last
block goes through copies of its own length, filled up with zeros, so that there is one loop, of
whole vectors, for all of them. What sums and looks want of a block is staged on the stack and taken
in by the functions of `block_functions`. The kernel's function takes a table of 64-bit integers, a
row a tile: the addresses of its buffers, the tile's element count, the tensor index of its first
element, and the addresses of scalars, keys, cuts, sums and bins (see `arguments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from llvmlite import ir

from ...machine_code.writing import (
    F32,
    F64,
    I32,
    I64,
    POINTER,
    Value,
    integer,
    new_function,
    new_module,
)
from ...ops.dtypes import BY_NAME, float64
from ...ops.primitives import TABLE
from ...ops.random_bits import HIGH_STEP, KEEP_BITS, MULTIPLIERS, SHIFTS
from .arguments import BLOCK, CUT, CUT_FIELDS, LOOK_FIELDS, NONFINITE, TAIL, UNTIL
from .block_functions import BlockFunctions
from .codec import convert, decode, element, encode
from .mathematics import Buffer, Kernel

ENTRY = "sweep"

LEAST_BLOCK = 256
STAGED_BYTES = 1 << 15


def emit(kernel: Kernel, lanes: int) -> str:
    """The kernel as LLVM IR, on vectors of so many lanes; `ENTRY` is its function."""
    module = new_module(ENTRY)
    tile = _Tile(kernel, module, lanes)
    tile.write()
    _write_entry(module, tile.writer.function, len(kernel.buffers) + len(TAIL))
    return str(module)


def _write_entry(module: Value, tile: Value, fields: int) -> None:
    """The function that others call: (table, rows) -> every tile of the table, in order."""
    writer = new_function(module, ENTRY, [POINTER, I64], 1)
    writer.function.linkage = "external"
    table, rows = writer.function.args
    with writer.loop(integer(0), rows) as row:
        place = writer.place(table, writer.builder.mul(row, integer(fields)), I64)
        writer.builder.call(tile, [place])
    writer.builder.ret_void()


def _block_length(kernel: Kernel) -> int:
    """Elements of a block: so few that what is staged stays in the processor's first cache.

    Sums that are taken in float32 within a block have BLOCK of them: that is part of their order.
    """
    length = BLOCK
    if all(len(values) == 2 for values in kernel.sums):
        stages = len(kernel.staged) + len({look.value for look in kernel.looks})
        while length > LEAST_BLOCK and 8 * stages * length > STAGED_BYTES:
            length //= 2
    return length


class _Tile:
    """The function of one tile; an `ops.primitives.Emitter` for the rows of primitives."""

    def __init__(self, kernel: Kernel, module: Value, lanes: int) -> None:
        self.kernel = kernel
        self.writer = writer = new_function(module, "tile", [POINTER], lanes)
        self.builder = writer.builder
        self.intrinsic = writer.intrinsic
        self.wide = kernel.compute == float64
        self.real, self.word = (F64, I64) if self.wide else (F32, I32)
        self.block = _block_length(kernel)
        singles = any(len(values) == 1 for values in kernel.sums)
        self.staged = self.real if singles else F64  # products are added up in float64
        self.blocks = BlockFunctions(module, lanes, self.block, self.staged, self.word)
        names = [buffer.name for buffer in (*kernel.inputs, *kernel.outputs)] + list(TAIL)
        self._argument: dict[str, Value] = {}
        for place, name in enumerate(names):
            kind = I64 if name in ("count", "start") else POINTER
            self._argument[name] = writer.load_one(writer.function.args[0], integer(place), kind)
        self._tops: dict[str, Value] = {}
        self._values: dict[str, Value] = {}
        self._index: Value = None

    def write(self) -> None:
        """Write all of it."""
        writer, kernel = self.writer, self.kernel
        self._scalars()
        self._tops = {name: self._cleared(name) for name in self._checked()}
        stages = {value: writer.stack(self.staged, self.block) for value in kernel.staged}
        looks = {look.value: writer.stack(self.word, self.block) for look in kernel.looks}
        totals = [self.blocks.begin_sum(writer) for _ in kernel.sums]
        seen = [self._begin_look(number) for number in range(len(kernel.looks))]
        pads = {
            buffer.name: writer.stack(element(buffer.dtype), self.block)
            for buffer in (*kernel.inputs, *kernel.outputs)
        }
        body = writer.enter_body()
        with writer.loop(integer(0), self._argument["count"], self.block) as first:
            width = self._width(first)
            is_short = self.builder.icmp_signed("<", width, integer(self.block))
            places = self._places(first, width, is_short, pads)
            with writer.loop(integer(0), integer(self.block), writer.lanes) as j:
                self._elements(first, j, places, stages, looks)
            self._end_block(first, width, is_short, pads, stages, looks, totals, seen)
        for number, total in enumerate(totals):
            found = self.blocks.in_order(writer, total)
            writer.store_one(found, self._argument["sums"], integer(number))
        self._verdict()
        self.builder.ret_void()
        writer.leave_entry(body)

    # Around the loops ---------------------------------------------------------------------------

    def _scalars(self) -> None:
        """The scalars, rounded to the arithmetic's type, in every lane."""
        for place, name in enumerate(self.kernel.scalars):
            number = self.writer.load_one(self._argument["scalars"], integer(place), F64)
            if name in self.kernel.flags:
                zero = ir.Constant(F64, 0.0)
                number = self.builder.fcmp_unordered("!=", number, zero)
            elif not self.wide:
                number = self.builder.fptrunc(number, F32)
            self._values[name] = self.writer.spread(number)

    def _width(self, first: Value) -> Value:
        """How many elements the block has that begins at `first`."""
        left = self.builder.sub(self._argument["count"], first)
        fewer = self.builder.icmp_signed("<", left, integer(self.block))
        return self.builder.select(fewer, left, integer(self.block))

    def _places(
        self, first: Value, width: Value, is_short: Value, pads: dict[str, Value]
    ) -> dict[str, Value]:
        """Where a block's elements are: in the buffers, or if it is short in the pads."""
        found = {}
        for buffer in (*self.kernel.inputs, *self.kernel.outputs):
            kind = element(buffer.dtype)
            found[buffer.name] = self.writer.place(self._argument[buffer.name], first, kind)
        with self.writer.when(is_short):
            for buffer in self.kernel.inputs:
                size = integer(buffer.dtype.itemsize)
                pad = pads[buffer.name]
                self.writer.clear(pad, integer(self.block * buffer.dtype.itemsize))
                self.writer.copy(pad, found[buffer.name], self.builder.mul(width, size))
        return {
            name: self.builder.select(is_short, pads[name], place) for name, place in found.items()
        }

    def _end_block(
        self,
        first: Value,
        width: Value,
        is_short: Value,
        pads: dict[str, Value],
        stages: dict[str, Value],
        looks: dict[str, Value],
        totals: Sequence[Value],
        seen: Sequence[Value],
    ) -> None:
        """Take in what the block has staged; a short one gives its results back."""
        writer, kernel = self.writer, self.kernel
        with writer.when(is_short):
            for buffer in kernel.outputs:
                target = writer.place(self._argument[buffer.name], first, element(buffer.dtype))
                size = integer(buffer.dtype.itemsize)
                writer.copy(target, pads[buffer.name], self.builder.mul(width, size))
            for stage in stages.values():  # zeros add nothing
                with writer.loop(width, integer(self.block)) as j:
                    writer.store_one(ir.Constant(self.staged, 0.0), stage, j)
        for values, total in zip(kernel.sums, totals, strict=True):
            self.blocks.add(writer, total, *(stages[value] for value in values))
        for number, look in enumerate(kernel.looks):
            cuts, sums, bins = self._look_places(number)
            index = self.builder.add(self._argument["start"], first)
            self.blocks.look(
                writer, looks[look.value], width, cuts, sums, bins, kernel.bins, index, seen[number]
            )

    def _look_places(self, number: int) -> tuple[Value, Value, Value]:
        """Where the cut of a look is, its counts and its bins."""
        kernel, writer = self.kernel, self.writer
        row = kernel.looks[number].row * CUT_FIELDS
        place = len(kernel.sums) + LOOK_FIELDS * number
        return (
            writer.place(self._argument["cuts"], integer(row), I64),
            writer.place(self._argument["sums"], integer(place), F64),
            writer.place(self._argument["bins"], integer(number * kernel.bins), I32),
        )

    def _begin_look(self, number: int) -> Value:
        """No magnitude is counted yet; gives where the equals that were seen are counted."""
        _, sums, _ = self._look_places(number)
        for field in range(LOOK_FIELDS):
            nothing = ir.Constant(F64, 0.0 if field else -1.0)
            self.writer.store_one(nothing, sums, integer(field))
        seen = self.writer.stack(I64)
        self.builder.store(integer(0), seen)
        return seen

    # Elements -----------------------------------------------------------------------------------

    def _elements(
        self,
        first: Value,
        j: Value,
        places: dict[str, Value],
        stages: dict[str, Value],
        looks: dict[str, Value],
    ) -> None:
        """One vector: loaded, computed, stored and staged."""
        writer, kernel, values = self.writer, self.kernel, self._values
        at = self.builder.trunc(self.builder.add(first, j), I32)
        self._index = self.builder.add(writer.spread(at), writer.counting(I32))
        for buffer, (value, is_mask) in zip(kernel.inputs, kernel.loads, strict=True):
            stored = writer.load(places[buffer.name], j, element(buffer.dtype))
            values[value] = decode(writer, stored, buffer.dtype, self.real)
            if buffer.name in kernel.checks:
                self._check(buffer, stored, values[value])
            if is_mask:
                zero = writer.constant(self.real, 0.0)
                values[value] = self.builder.fcmp_unordered("!=", values[value], zero)
        for line in kernel.lines:
            write = TABLE[line.primitive].emit
            assert write is not None, f"{line.primitive} isn't elementwise"
            values[line.value] = write(self, *(values[name] for name in line.args), *line.attr)
        for buffer, value in zip(kernel.outputs, kernel.stores, strict=True):
            stored = encode(writer, self._number(values[value]), buffer.dtype)
            writer.store(stored, places[buffer.name], j)
        for value, stage in stages.items():
            writer.store(convert(writer, self._number(values[value]), self.staged), stage, j)
        for value, stage in looks.items():
            writer.store(self._magnitude(values[value]), stage, j)

    def _number(self, value: Value) -> Value:
        """A value as numbers: 1 and 0 for truth values."""
        if value.type.element == self.real:
            return value
        return self.builder.uitofp(value, self.writer.vector(self.real))

    def _magnitude(self, value: Value) -> Value:
        """The bits of |value|."""
        size = self.intrinsic("llvm.fabs", self._number(value))
        return self.builder.bitcast(size, self.writer.vector(self.word))

    # What rows of primitives ask for ------------------------------------------------------------

    def rounded(self, x: Value, dtype: str) -> Value:
        """To a dtype and back."""
        kind = BY_NAME[dtype]
        return decode(self.writer, encode(self.writer, x, kind), kind, self.real)

    def drawn(self, chance: Value, stream: int) -> Value:
        """The mask of a stream: `ops.random_bits`, compared with the chance."""
        b, word = self.builder, partial(self.writer.constant, I32)
        with self.writer.once():
            start = self._argument["start"]
            key = self.writer.load_one(self._argument["keys"], integer(stream), I64)
            begin = self.writer.spread(b.trunc(start, I32))
            low = self.writer.spread(b.trunc(key, I32))
            upper = b.mul(b.trunc(b.lshr(start, integer(32)), I32), ir.Constant(I32, HIGH_STEP))
            high = b.add(b.trunc(b.lshr(key, integer(32)), I32), upper)
            step = self.writer.spread(high)
        place = b.add(begin, self._index)
        if self.kernel.far:
            beyond = b.icmp_unsigned("<", place, begin)
            step = b.add(step, b.select(beyond, word(HIGH_STEP), word(0)))
        # what is multiplied is the same for all streams
        h = b.add(b.mul(place, word(MULTIPLIERS[0])), low)
        h = b.add(b.xor(h, b.lshr(h, word(SHIFTS[0]))), step)
        h = b.mul(h, word(MULTIPLIERS[1]))
        h = b.mul(b.xor(h, b.lshr(h, word(SHIFTS[1]))), word(MULTIPLIERS[2]))
        h = b.xor(h, b.lshr(h, word(SHIFTS[2])))
        drawn = b.sitofp(b.lshr(h, word(32 - KEEP_BITS)), self.writer.vector(F32))
        if self.wide:
            chance = b.fptrunc(chance, self.writer.vector(F32))
        threshold = b.fmul(chance, self.writer.constant(F32, float(1 << KEEP_BITS)))
        return b.fcmp_ordered("<", drawn, threshold)

    def kept(self, x: Value, cut: int) -> Value:
        """Magnitudes above a cut, and those equal to it up to an index."""
        b, row = self.builder, cut * CUT_FIELDS
        with self.writer.once():
            cuts, count = self._argument["cuts"], self._argument["count"]
            bits = self.writer.load_one(cuts, integer(row + CUT), I64)
            limit = self.writer.spread(bits if self.wide else b.trunc(bits, I32))
            until = self.writer.load_one(cuts, integer(row + UNTIL), I64)
            left = b.sub(until, self._argument["start"])
            left = b.select(b.icmp_signed("<", left, count), left, count)
            left = b.select(b.icmp_signed(">", left, integer(0)), left, integer(0))
            last = self.writer.spread(b.trunc(left, I32))
        size = self._magnitude(x)
        early = b.icmp_unsigned("<", self._index, last)
        equal = b.and_(b.icmp_unsigned("==", size, limit), early)
        return b.or_(b.icmp_unsigned(">", size, limit), equal)

    # NaN and infinity ---------------------------------------------------------------------------

    def _checked(self) -> list[str]:
        """The dtypes of the inputs that are checked."""
        checks = self.kernel.checks
        return sorted({buffer.dtype.name for buffer in self.kernel.inputs if buffer.name in checks})

    def _cleared(self, dtype: str) -> Value:
        """Where the largest magnitude of a dtype is kept, lane by lane."""
        kind = element(BY_NAME[dtype]) if dtype in NONFINITE else self.word
        top = self.writer.stack(self.writer.vector(kind))
        self.builder.store(self.writer.constant(kind, 0), top)
        return top

    def _check(self, buffer: Buffer, stored: Value, value: Value) -> None:
        """Note the largest magnitude: that of NaN or infinity is larger than any other."""
        top = self._tops[buffer.dtype.name]
        if buffer.dtype.name in NONFINITE:  # in its own width, of which a vector holds more
            kind = stored.type.element
            bits = self.writer.constant(kind, (1 << (kind.width - 1)) - 1)
            size = self.builder.and_(stored, bits)
        else:
            size = self._magnitude(value)
        before = self.builder.load(top, typ=size.type)
        self.builder.store(self.intrinsic("llvm.umax", before, size), top)

    def _verdict(self) -> None:
        """Whether an input that is checked holds NaN or infinity: their exponent is all ones."""
        kernel, found = self.kernel, None
        infinity = 0x7FF0000000000000 if self.wide else 0x7F800000
        for dtype, top in self._tops.items():
            kind = element(BY_NAME[dtype]) if dtype in NONFINITE else self.word
            sizes = self.builder.load(top, typ=self.writer.vector(kind))
            least = self.writer.constant(kind, NONFINITE.get(dtype, infinity))
            bad = self.writer.any_lane(self.builder.icmp_unsigned(">=", sizes, least))
            found = bad if found is None else self.builder.or_(found, bad)
        if found is not None:
            place = integer(len(kernel.sums) + LOOK_FIELDS * len(kernel.looks))
            verdict = self.builder.uitofp(found, F64)
            self.writer.store_one(verdict, self._argument["sums"], place)
