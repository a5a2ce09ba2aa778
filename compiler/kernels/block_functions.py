"""What kernels do with a block of staged values, as LLVM IR: add it up, count magnitudes in it.

Each function stands once in a module, however many sums and looks call it. Sums are added up in
LANES lanes, in an order that doesn't depend on the width of vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llvmlite import ir

from ...machine_code.writing import (
    BIT,
    F64,
    I32,
    I64,
    POINTER,
    CodeWriter,
    Value,
    integer,
    new_function,
)
from .arguments import COUNT, GUESS, KEEP, KEPT, LANES, LOW, OFF, SHIFT, SPAN, WANTED

_ACCUMULATORS = 8
"""Vectors of sums that are added up side by side: as many as registers hold beside what is read."""


class BlockFunctions:
    """The functions of one module, each written when it is first called.

    block: the elements of a block. real, word: the types of what is staged for sums and looks.
    """

    def __init__(self, module: Value, lanes: int, block: int, real: Value, word: Value) -> None:
        self._module, self._lanes, self._block = module, lanes, block
        self._real, self._word = real, word
        self._known: dict[str, Value] = {}

    # Sums ---------------------------------------------------------------------------------------

    def begin_sum(self, writer: CodeWriter) -> Value:
        """The lanes of a sum, with nothing in them yet."""
        total = writer.stack(F64, LANES)
        writer.clear(total, integer(8 * LANES))
        return total

    def add(self, writer: CodeWriter, total: Value, *stages: Value) -> None:
        """Add up a block, or two blocks' products in float64: angles need its digits."""
        name, write = ("add_sum", self._add_sum) if len(stages) == 1 else ("add_dot", self._add_dot)
        function = self._function(name, [POINTER] * (1 + len(stages)), write)
        writer.builder.call(function, [total, *stages])

    def in_order(self, writer: CodeWriter, total: Value) -> Value:
        """The lanes, added from the first to the last."""
        found = writer.stack(F64)
        writer.builder.store(ir.Constant(F64, 0.0), found)
        with writer.loop(integer(0), integer(LANES)) as j:
            before = writer.builder.load(found, typ=F64)
            after = writer.builder.fadd(before, writer.load_one(total, j, F64))
            writer.builder.store(after, found)
        return writer.builder.load(found, typ=F64)

    def _add_sum(self, writer: CodeWriter) -> None:
        """Lanes of the block's own precision, and those in float64."""
        total, x = writer.function.args
        real, floats = self._real, writer.vector(F64)
        for column in range(0, LANES, writer.lanes):
            lanes = writer.stack(writer.vector(real))
            writer.builder.store(writer.load(x, integer(column), real), lanes)
            with writer.loop(integer(LANES + column), integer(self._block), LANES) as i:
                before = writer.builder.load(lanes, typ=writer.vector(real))
                writer.builder.store(writer.builder.fadd(before, writer.load(x, i, real)), lanes)
            found = writer.builder.load(lanes, typ=writer.vector(real))
            found = found if real == F64 else writer.builder.fpext(found, floats)
            before = writer.load(total, integer(column), F64)
            writer.store(writer.builder.fadd(before, found), total, integer(column))
        writer.builder.ret_void()

    def _add_dot(self, writer: CodeWriter) -> None:
        total, x, y = writer.function.args
        b, floats = writer.builder, writer.vector(F64)
        width = _ACCUMULATORS * writer.lanes // 2
        for columns in range(0, LANES, width):
            places = range(columns, columns + width, writer.lanes)
            lanes = [writer.stack(floats) for _ in places]
            for place, lane in zip(places, lanes, strict=True):
                b.store(writer.load(total, integer(place), F64), lane)
            with writer.loop(integer(0), integer(self._block), LANES) as i:
                for place, lane in zip(places, lanes, strict=True):
                    index = b.add(i, integer(place))
                    u, v = (self._wide(writer, stage, index) for stage in (x, y))
                    b.store(b.fadd(b.load(lane, typ=floats), b.fmul(u, v)), lane)
            for place, lane in zip(places, lanes, strict=True):
                writer.store(b.load(lane, typ=floats), total, integer(place))
        b.ret_void()

    def _wide(self, writer: CodeWriter, stage: Value, index: Value) -> Value:
        """A vector of a stage in float64."""
        values = writer.load(stage, index, self._real)
        return values if self._real == F64 else writer.builder.fpext(values, writer.vector(F64))

    # Looks --------------------------------------------------------------------------------------

    def look(
        self,
        writer: CodeWriter,
        stage: Value,
        width: Value,
        cuts: Value,
        sums: Value,
        bins: Value,
        bin_count: int,
        index: Value,
        seen: Value,
    ) -> None:
        """Count the first `width` magnitudes of a block as the row `cuts` says.

        sums, bins: the look's own. index: the tensor index of the block's first element. seen: how
        many equals of the first guess came before it.
        """
        guesses = self._function("count_guesses", [POINTER, I64, POINTER, POINTER], self._guesses)
        writer.builder.call(guesses, [stage, width, cuts, sums])
        wanted = writer.load_one(cuts, integer(WANTED), I64)
        with writer.when(writer.builder.icmp_signed(">", wanted, integer(0))):
            kinds = [POINTER, I64, POINTER, POINTER, I64, POINTER]
            find = self._function("find_wanted", kinds, self._find_wanted)
            writer.builder.call(find, [stage, width, cuts, sums, index, seen])
        shift = writer.load_one(cuts, integer(SHIFT), I64)
        with writer.when(writer.builder.icmp_unsigned("<", shift, integer(OFF))):
            kinds = [POINTER, I64, POINTER, POINTER, I64]
            count = self._function("count_bins", kinds, self._count_bins)
            # last: it fills up a short block
            writer.builder.call(count, [stage, width, cuts, bins, integer(bin_count)])
        with writer.when(writer.builder.icmp_unsigned("==", shift, integer(KEEP))):
            kinds = [POINTER, I64, POINTER, POINTER, POINTER, I64]
            keep = self._function("keep", kinds, self._keep)
            writer.builder.call(keep, [stage, width, cuts, sums, bins, integer(bin_count)])

    def _guesses(self, writer: CodeWriter) -> None:
        """Count what is above each guess and what is equal to it."""
        b, word = writer.builder, self._word
        stage, width, cuts, sums = writer.function.args
        empty = b.sub(integer(self._block), width)
        with writer.loop(width, integer(self._block)) as j:
            writer.store_one(ir.Constant(word, 0), stage, j)
        counts = [writer.stack(writer.vector(word)) for _ in range(2)]
        with writer.loop(integer(0), writer.load_one(cuts, integer(COUNT), I64)) as g:
            guess = self._of_word(writer, writer.load_one(cuts, b.add(g, integer(GUESS)), I64))
            for count in counts:
                b.store(writer.constant(word, 0), count)
            with writer.loop(integer(0), integer(self._block), writer.lanes) as j:
                values = writer.load(stage, j, word)
                for comparison, count in zip((">", "=="), counts, strict=True):
                    hit = b.icmp_unsigned(comparison, values, writer.spread(guess))
                    less = b.sext(hit, writer.vector(word))
                    b.store(b.sub(b.load(count, typ=less.type), less), count)
            is_zero = b.icmp_unsigned("==", guess, ir.Constant(word, 0))
            padded = b.select(is_zero, empty, integer(0))
            for field, count in enumerate(counts):
                lanes = b.load(count, typ=writer.vector(word))
                found = self._index(writer, writer.intrinsic("llvm.vector.reduce.add", lanes))
                found = b.sub(found, padded) if field else found
                place = b.add(b.mul(g, integer(2)), integer(1 + field))
                number = b.fadd(writer.load_one(sums, place, F64), b.uitofp(found, F64))
                writer.store_one(number, sums, place)
        b.ret_void()

    def _find_wanted(self, writer: CodeWriter) -> None:
        """Note the index of the wanted one among those that are equal to the first guess."""
        b = writer.builder
        stage, width, cuts, sums, index, seen = writer.function.args
        guess = self._of_word(writer, writer.load_one(cuts, integer(GUESS), I64))
        wanted = writer.load_one(cuts, integer(WANTED), I64)
        with writer.loop(integer(0), width) as j:
            equal = b.icmp_unsigned("==", writer.load_one(stage, j, self._word), guess)
            count = b.add(b.load(seen, typ=I64), b.zext(equal, I64))
            b.store(count, seen)
            is_last = b.and_(equal, b.icmp_signed("==", count, wanted))
            with writer.when(is_last):
                writer.store_one(b.sitofp(b.add(index, j), F64), sums, integer(0))
        b.ret_void()

    def _count_bins(self, writer: CodeWriter) -> None:
        """Count magnitudes in bins; vectors without any that falls into them are passed over."""
        b, word = writer.builder, self._word
        stage, width, cuts, bins, bin_count = writer.function.args
        low, shift = (
            self._of_word(writer, writer.load_one(cuts, integer(field), I64))
            for field in (LOW, SHIFT)
        )
        self._fill_up(writer, stage, width, low)
        lows, shifts = writer.spread(low), writer.spread(shift)
        most = writer.spread(self._of_word(writer, bin_count))
        bits = ir.IntType(writer.lanes)
        places = writer.stack(word, writer.lanes)
        with writer.loop(integer(0), integer(self._block), writer.lanes) as i:
            found = b.lshr(b.sub(writer.load(stage, i, word), lows), shifts)
            hits = b.bitcast(b.icmp_unsigned("<", found, most), bits)
            with writer.when(b.icmp_unsigned("!=", hits, ir.Constant(bits, 0))):
                writer.store(found, places, integer(0))
                with self._each_hit(writer, hits) as lane:
                    place = self._index(writer, writer.load_one(places, lane, word))
                    count = writer.load_one(bins, place, I32)
                    writer.store_one(b.add(count, ir.Constant(I32, 1)), bins, place)
        b.ret_void()

    def _keep(self, writer: CodeWriter) -> None:
        """Keep what lies in a range, as distances from its lower end; count what there is."""
        b, word = writer.builder, self._word
        stage, width, cuts, sums, kept, room = writer.function.args
        low, span = (
            self._of_word(writer, writer.load_one(cuts, integer(field), I64))
            for field in (LOW, SPAN)
        )
        self._fill_up(writer, stage, width, low)
        lows, spans = writer.spread(low), writer.spread(span)
        last = b.sub(room, integer(1))
        bits = ir.IntType(writer.lanes)
        distances, count = writer.stack(word, writer.lanes), writer.stack(I64)
        b.store(b.fptoui(writer.load_one(sums, integer(KEPT), F64), I64), count)
        with writer.loop(integer(0), integer(self._block), writer.lanes) as i:
            found = b.sub(writer.load(stage, i, word), lows)
            hits = b.bitcast(b.icmp_unsigned("<=", found, spans), bits)
            with writer.when(b.icmp_unsigned("!=", hits, ir.Constant(bits, 0))):
                writer.store(found, distances, integer(0))
                with self._each_hit(writer, hits) as lane:
                    distance = writer.load_one(distances, lane, word)
                    distance = distance if word == I32 else b.trunc(distance, I32)
                    number = b.load(count, typ=I64)
                    place = b.select(b.icmp_unsigned("<", number, last), number, last)
                    writer.store_one(distance, kept, place)
                    b.store(b.add(number, integer(1)), count)
        writer.store_one(b.uitofp(b.load(count, typ=I64), F64), sums, integer(KEPT))
        b.ret_void()

    def _fill_up(self, writer: CodeWriter, stage: Value, width: Value, low: Value) -> None:
        """Give a short block magnitudes that are farther from `low` than any other."""
        outside = writer.builder.sub(low, ir.Constant(self._word, 1))
        with writer.loop(width, integer(self._block)) as j:
            writer.store_one(outside, stage, j)

    @contextmanager
    def _each_hit(self, writer: CodeWriter, hits: Value) -> Iterator[Value]:
        """For each lane that is hit, of which there is one."""
        b, bits = writer.builder, hits.type
        before = b.block
        again, after = (writer.function.append_basic_block(name) for name in ("hit", "counted"))
        b.branch(again)
        b.position_at_end(again)
        left = b.phi(bits)
        left.add_incoming(hits, before)
        yield b.zext(b.cttz(left, ir.Constant(BIT, 1)), I64)
        rest = b.and_(left, b.sub(left, ir.Constant(bits, 1)))
        left.add_incoming(rest, again)
        b.cbranch(b.icmp_unsigned("!=", rest, ir.Constant(bits, 0)), again, after)
        b.position_at_end(after)

    def _of_word(self, writer: CodeWriter, value: Value) -> Value:
        """The lowest bits of a 64-bit integer, as many as a magnitude has."""
        return value if self._word == I64 else writer.builder.trunc(value, self._word)

    def _index(self, writer: CodeWriter, value: Value) -> Value:
        return value if value.type == I64 else writer.builder.zext(value, I64)

    def _function(
        self, name: str, arguments: list[Value], write: Callable[[CodeWriter], None]
    ) -> Value:
        if name not in self._known:
            writer = new_function(self._module, name, arguments, self._lanes)
            self._known[name] = writer.function
            writer.function.attributes.add("noinline")
            write(writer)
        return self._known[name]
