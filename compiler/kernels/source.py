"""Segment -> kernel source: one fused loop over a tile, as Python text that numba compiles.

The text reads top to bottom like the mathematics: scalars are hoisted, each primitive is one line
on registers, results are rounded to their output's bits. What a reduction or a look consumes goes
through a short block on the stack; the block is then added up in a fixed order of lanes (`blocks`).
Arguments of the kernel: the tile's buffers, the tile's element count and the tensor index of its
first element, the scalars, the keys of random streams, the cuts of selections, and where sums and
bins go (see `arguments`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...ops.dtypes import BY_NAME, DType, float64
from ...ops.primitives import ValueKind
from ...ops.random_bits import HIGH_STEP, KEEP_BITS, MULTIPLIERS, SHIFTS
from ...ops.symbols import Instruction
from ..sweeps.program import ELEMENT_KINDS, Program, Segment
from .arguments import (
    ARRAYS,
    BLOCK,
    CUT,
    CUT_FIELDS,
    GUESS,
    LANES,
    LOOK_FIELDS,
    LOW,
    SHIFT,
    UNTIL,
    WANTED,
    look_slots,
)
from .codec import NONFINITE, STORAGE, all_helpers, helper_names

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "and": "&",
    "or": "|",
}


@dataclass(frozen=True)
class KernelSource:
    """A kernel: its text, and the numpy types of its buffer arguments in order."""

    text: str
    buffers: tuple[str, ...]


def kernel_source(program: Program, segment: Segment) -> KernelSource:
    """The kernel of one segment of a sweep."""
    return _Writer(program, segment).write()


class _Writer:
    def __init__(self, program: Program, segment: Segment):
        self.program = program
        self.segment = segment
        self.nodes = program.nodes
        self.wide = program.compute == float64
        self.real = "np.float64" if self.wide else "np.float32"
        self.word = "np.uint64" if self.wide else "word"
        self.bits = "bits_of_double" if self.wide else "word_of_float"
        self.put = "" if self.wide else "uint32_of_word"
        self.blocked = bool(segment.sums or segment.looks)
        # the element's index in the tile; of 64 bits it would be cut down lane by lane in a block
        self.index = "(at + word(j))" if self.blocked else "word(e)"
        self.used: set[str] = set()

    def write(self) -> KernelSource:
        names, types = self._buffers()
        body = list(self._lines(names))
        before, after = ([f"CPointer({name})" for name in group] for group in (types, ARRAYS))
        signature = ", ".join([*before, "int64", "int64", *after])
        header = ", ".join([*names, "count, start, scalars, keys, cuts, sums, bins"])
        text = "\n".join(
            [
                "import numpy as np",
                "from numba import cfunc, njit",
                "",
                "from mergec.compiler.kernels.lane_blocks import *",
                "from mergec.compiler.kernels.intrinsics import *",
                "from mergec.compiler.kernels.words import *",
                all_helpers(self.used),
                "",
                f'@cfunc("void({signature})", error_model="numpy")',
                f"def sweep({header}):",
                *body,
                "",
            ]
        )
        return KernelSource(text, tuple(types))

    def _buffers(self) -> tuple[list[str], list[str]]:
        """Names and numpy types of the buffers: inputs, held values read, outputs, held stored."""
        program, segment = self.program, self.segment
        held = "float64" if self.wide else "float32"
        names = [f"in{slot}" for slot in segment.reads] + [f"held{i}" for i in segment.fetches]
        types = [STORAGE[program.inputs[slot].name] for slot in segment.reads]
        types += [held] * len(segment.fetches)
        names += [f"out{i}" for i in segment.writes] + [f"keep{i}" for i in segment.stores]
        types += [STORAGE[program.outputs[i][1].name] for i in segment.writes]
        types += [held] * len(segment.stores)
        return names, types

    def _lines(self, names: list[str]) -> Iterator[str]:
        yield from (f"    {line}" for line in self._hoisted())
        if not self.blocked:
            yield "    for e in range(np.uint64(count)):"
            yield from (f"        {line}" for line in self._elements())
            yield from (f"    {line}" for line in self._verdict(0))
            return
        yield from (f"    {line}" for line in self._accumulators())
        yield f"    for first in range(0, count, {BLOCK}):"
        yield f"        width = np.uint64({BLOCK} if {BLOCK} < count - first else count - first)"
        yield "        at = word(first)"
        yield "        for j in range(width):"
        yield "            e = np.uint64(first) + j"
        yield from (f"            {line}" for line in self._elements())
        yield from (f"        {line}" for line in self._block())
        yield from (f"    {line}" for line in self._results())

    def _hoisted(self) -> Iterator[str]:
        """Everything that is constant over the tile."""
        for dtype in self._checked():
            zero = f"np.{STORAGE[dtype]}(0)" if dtype in NONFINITE else f"{self.word}(0)"
            yield f"top_{dtype} = {zero}"
        for place, index in enumerate(self.segment.scalars):
            if self.nodes[index].kind is ValueKind.FLAG:
                yield f"s{index} = scalars[{place}] != 0.0"
            else:
                yield f"s{index} = {self.real}(scalars[{place}])"
        for index in self.segment.elements:
            node = self.nodes[index]
            if node.name == "bernoulli":
                key = f"keys[{node.attr[0]}]"
                yield f"key{index} = word({key})"
                yield (
                    f"step{index} = word({key} >> np.uint64(32)) "
                    f"+ word(start >> 32) * word({HIGH_STEP:#x})"
                )
                if self.nodes[node.args[0]].kind not in ELEMENT_KINDS:
                    place = self.segment.scalars.index(node.args[0])
                    yield f"p{index} = np.float32(scalars[{place}] * {float(1 << KEEP_BITS)})"
            elif node.name == "selected":
                first = self._cuts(node.args[1])
                yield f"cut{index} = {self.word}(cuts[{first + CUT}])"
                yield f"left{index} = np.int64(cuts[{first + UNTIL}]) - start"
                yield f"left{index} = left{index} if left{index} < count else count"
                yield f"until{index} = word(left{index} if left{index} > 0 else 0)"

    def _cuts(self, selection: int) -> int:
        """Where a selection's row in `cuts` begins: a row for each of the program's selections."""
        found = [i for i, node in enumerate(self.nodes) if node.kind is ValueKind.SELECTION]
        return found.index(selection) * CUT_FIELDS

    def _elements(self) -> Iterator[str]:
        """One line a primitive, then what the sweep does with the results."""
        program, segment = self.program, self.segment
        for index, node in enumerate(self.nodes):
            if node.name == "input" and node.attr[0] in segment.reads:
                slot = int(node.attr[0])
                yield f"v{index} = {self._decoded(f'in{slot}[e]', program.inputs[slot])}"
                if slot in segment.checks:
                    yield from self._check(index, slot)
            elif index in segment.fetches:
                yield f"v{index} = held{index}[e]"
            elif index in segment.elements:
                yield from self._primitive(index, node)
        for number in segment.writes:
            node_index, dtype = program.outputs[number]
            yield f"out{number}[e] = {self._encoded(self._value(node_index), dtype)}"
        for index in segment.stores:
            yield f"keep{index}[e] = {self._value(index)}"
        for index in self._staged():
            yield f"stage{index}[j] = {self._value(index)}"
        for look in segment.looks:
            value = self._value(self.nodes[look.selection].args[0])
            yield f"look{look.selection}[j] = {self._stored(f'{self.bits}(abs({value}))')}"

    def _checked(self) -> list[str]:
        """The dtypes of the inputs that are checked."""
        return sorted({self.program.inputs[slot].name for slot in self.segment.checks})

    def _check(self, index: int, slot: int) -> Iterator[str]:
        """Note the largest magnitude: that of NaN or infinity is larger than any other."""
        dtype = self.program.inputs[slot].name
        top = f"top_{dtype}"
        if dtype in NONFINITE:  # in its own width, of which a vector holds more
            yield f"{top} = larger_magnitude({top}, in{slot}[e])"
        else:
            yield f"bits{index} = {self.bits}(abs(v{index}))"
            yield f"{top} = bits{index} if bits{index} > {top} else {top}"

    def _decoded(self, text: str, dtype: DType) -> str:
        decode, _ = helper_names(dtype)
        if decode:
            self.used.add(dtype.name)
            text = f"{decode}({text})"
        return text if dtype == self.program.compute else f"{self.real}({text})"

    def _encoded(self, text: str, dtype: DType) -> str:
        _, encode = helper_names(dtype)
        if not encode:
            return f"np.{dtype.name}({text})"
        self.used.add(dtype.name)
        return f"{encode}(np.float32({text}))"

    def _value(self, index: int) -> str:
        """A node as an operand: a register, or a hoisted scalar."""
        return f"v{index}" if self.nodes[index].kind in ELEMENT_KINDS else f"s{index}"

    def _primitive(self, index: int, node: Instruction) -> Iterator[str]:
        args = [self._value(i) for i in node.args]
        if node.name in _INFIX:
            yield f"v{index} = {args[0]} {_INFIX[node.name]} {args[1]}"
        elif node.name == "neg":
            yield f"v{index} = -{args[0]}"
        elif node.name == "abs":
            yield f"v{index} = abs({args[0]})"
        elif node.name == "sqrt":
            yield f"v{index} = np.sqrt({args[0]})"
        elif node.name == "not":
            yield f"v{index} = not {args[0]}"
        elif node.name == "minimum":
            yield f"v{index} = {args[1]} if {args[1]} < {args[0]} else {args[0]}"  # keeps NaN
        elif node.name == "maximum":
            yield f"v{index} = {args[1]} if {args[1]} > {args[0]} else {args[0]}"
        elif node.name == "where":
            yield f"v{index} = {args[1]} if {args[0]} else {args[2]}"
        elif node.name == "round":
            dtype = BY_NAME[str(node.attr[0])]
            yield f"v{index} = {self._decoded(self._encoded(args[0], dtype), dtype)}"
        elif node.name == "bernoulli":
            yield from self._bernoulli(index, node)
        elif node.name == "selected":
            yield f"m{index} = {self.bits}(abs({args[0]}))"
            yield (
                f"v{index} = (m{index} > cut{index}) | "
                f"((m{index} == cut{index}) & ({self.index} < until{index}))"
            )
        else:
            raise AssertionError(f"no kernel text for {node.name}")

    def _bernoulli(self, index: int, node: Instruction) -> Iterator[str]:
        h, step = f"h{index}", f"step{index}"
        place = f"word(start) + {self.index}"
        if self.program.rowwise:  # other tiles' lengths divide 2 ** 32: none of them crosses it
            step += f" + (word({HIGH_STEP:#x}) if {place} < word(start) else word(0))"
        # what is multiplied is the same for all streams
        yield f"{h} = ({place}) * word({MULTIPLIERS[0]:#x}) + key{index}"
        yield f"{h} = ({h} ^ ({h} >> word({SHIFTS[0]}))) + {step}"
        yield f"{h} = {h} * word({MULTIPLIERS[1]:#x})"
        yield f"{h} = ({h} ^ ({h} >> word({SHIFTS[1]}))) * word({MULTIPLIERS[2]:#x})"
        yield f"{h} = {h} ^ ({h} >> word({SHIFTS[2]}))"
        threshold = f"p{index}"
        if self.nodes[node.args[0]].kind in ELEMENT_KINDS:
            chance = self._value(node.args[0])
            threshold = f"np.float32({chance}) * np.float32({float(1 << KEEP_BITS)})"
        drawn = f"float_from_word({h} >> word({32 - KEEP_BITS}))"
        yield f"v{index} = {drawn} < {threshold}"

    def _staged(self) -> list[int]:
        """Elements that go through the block because reductions consume them."""
        return sorted({arg for i in self.segment.sums for arg in self.nodes[i].args})

    def _accumulators(self) -> Iterator[str]:
        stack = f"stack_{self.real[3:]}"
        for index in self._staged():
            yield f"stage{index} = {stack}({BLOCK})"
        for look in self.segment.looks:
            bits = "uint64" if self.wide else "uint32"
            yield f"look{look.selection} = stack_{bits}({BLOCK})"
        for index in self.segment.sums:
            yield f"sum{index} = stack_float64({LANES})"
            yield f"clear(sum{index})"
        places = look_slots(self.segment)
        for number, (look, place) in enumerate(zip(self.segment.looks, places, strict=True)):
            first = self._cuts(look.selection)
            yield f"low{number} = {self.word}(cuts[{first + LOW}])"
            yield f"wanted{number} = np.int64(cuts[{first + WANTED}])"
            yield f"seen{number} = np.int64(0)"
            yield f"for field in range({place}, {place + LOOK_FIELDS}):"
            yield "    sums[field] = 0.0"
            yield f"sums[{place}] = -1.0"

    def _block(self) -> Iterator[str]:
        """Add up a block; a short one is filled with zeros, which add nothing."""
        for index in self._staged():
            yield f"fill(stage{index}, width, {self.real}(0.0))"
        kind = "_wide" if self.wide else ""
        for index in self.segment.sums:
            args = [f"stage{arg}" for arg in self.nodes[index].args]
            if len(args) == 1:
                yield f"add_sum{kind}(sum{index}, {args[0]})"
            else:
                yield f"add_dot(sum{index}, {args[0]}, {args[1]})"
        places = look_slots(self.segment)
        for number, (look, place) in enumerate(zip(self.segment.looks, places, strict=True)):
            first, name = self._cuts(look.selection), f"look{look.selection}"
            # not as literals: numba would compile the functions for each of them
            where = f"np.int64({first}), sums, np.int64({place})"
            yield f"count_guesses{kind}({name}, width, cuts, {where})"
            yield f"if wanted{number} > 0:"
            guess = f"{self.word}(cuts[{first + GUESS}])"
            known = f"start + first, wanted{number}, seen{number}"
            yield f"    seen{number}, found = find_wanted{kind}({name}, width, {guess}, {known})"
            yield f"    sums[{place}] = found if found > sums[{place}] else sums[{place}]"
            # last: it fills up a short block
            bins = self.segment.bins[1]
            where = f"low{number}, cuts[{first + SHIFT}], bins"
            room = f"np.uint64({number * bins}), np.uint64({bins})"
            yield f"count_bins{kind}({name}, width, {where}, {room})"

    def _stored(self, text: str) -> str:
        """A magnitude's bits as the block holds them."""
        return f"{self.put}({text})" if self.put else text

    def _results(self) -> Iterator[str]:
        for place, index in enumerate(self.segment.sums):
            yield f"sums[{place}] = in_order(sum{index})"
        yield from self._verdict(len(self.segment.sums) + LOOK_FIELDS * len(self.segment.looks))

    def _verdict(self, place: int) -> Iterator[str]:
        """Whether an input that is checked holds NaN or infinity: their exponent is all ones."""
        infinity = f"{self.word}({'0x7FF0000000000000' if self.wide else '0x7F800000'})"
        tests = [f"top_{dtype} >= {NONFINITE.get(dtype, infinity)}" for dtype in self._checked()]
        if tests:
            yield f"sums[{place}] = 1.0 if {' or '.join(tests)} else 0.0"
