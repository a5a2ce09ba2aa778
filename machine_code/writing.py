"""What generated functions are written with: vectors of a fixed number of lanes, and loops.

LLVM's own vectoriser isn't asked: the vectors are in the text. So the order of operations is what
is written here, on every processor, and a loop can't silently fall back to single elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from llvmlite import ir

from .target import platform

Value: TypeAlias = Any
"""An SSA value, or a type, of llvmlite, which has no type annotations."""

BIT, I8, I16, I32, I64 = (ir.IntType(width) for width in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
POINTER = ir.PointerType()
_SIZES = {I8: 1, I16: 2, I32: 4, I64: 8, F32: 4, F64: 8, POINTER: 8}
_SHORT = {F32: "f32", F64: "f64", I8: "i8", I16: "i16", I32: "i32", I64: "i64", POINTER: "p0"}
_LINE = 64  # bytes of a cache line, and of the widest vectors


def integer(value: int) -> Value:
    """A constant index or count."""
    return ir.Constant(I64, value)


def new_module(name: str) -> Value:
    """A module for this machine."""
    module = ir.Module(name)
    module.triple, module.data_layout = platform()
    return module


def new_function(module: Value, name: str, arguments: Sequence[Value], lanes: int) -> CodeWriter:
    """Begin a function that gives nothing; `arguments` are their types. It is the module's own."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    return CodeWriter(function, lanes)


class CodeWriter:
    """One function under way: an IRBuilder, and what it lacks for vectors of `lanes` elements."""

    def __init__(self, function: Value, lanes: int) -> None:
        self.lanes = lanes
        self.function = function
        self.entry = function.append_basic_block("entry")
        self.builder = ir.IRBuilder(self.entry)

    # Vectors ------------------------------------------------------------------------------------

    def vector(self, element: Value) -> Value:
        """The type of `lanes` elements."""
        return ir.VectorType(element, self.lanes)

    def constant(self, element: Value, value: float) -> Value:
        """A vector of one number."""
        return ir.Constant(self.vector(element), value)

    def spread(self, scalar: Value) -> Value:
        """A vector whose lanes are all a scalar."""
        one = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(one, scalar, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, one, mask)

    def counting(self, element: Value) -> Value:
        """The vector 0, 1, 2, …"""
        return ir.Constant(self.vector(element), list(range(self.lanes)))

    def any_lane(self, mask: Value) -> Value:
        """Whether a truth value holds in any lane."""
        bits = self.builder.bitcast(mask, ir.IntType(self.lanes))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    # Memory -------------------------------------------------------------------------------------

    def place(self, base: Value, index: Value, element: Value) -> Value:
        """The address of an element."""
        return self.builder.gep(base, [index], inbounds=True, source_etype=element)

    def load(self, base: Value, index: Value, element: Value) -> Value:
        """The vector that begins at an element, however it is aligned."""
        place = self.place(base, index, element)
        return self.builder.load(place, typ=self.vector(element), align=_SIZES[element])

    def store(self, value: Value, base: Value, index: Value) -> None:
        """Put a vector at an element."""
        element = value.type.element
        self.builder.store(value, self.place(base, index, element), align=_SIZES[element])

    def load_one(self, base: Value, index: Value, element: Value) -> Value:
        """One element."""
        return self.builder.load(self.place(base, index, element), typ=element)

    def store_one(self, value: Value, base: Value, index: Value) -> None:
        """Put one element."""
        self.builder.store(value, self.place(base, index, value.type))

    def stack(self, element: Value, count: int = 1) -> Value:
        """Room on the stack for so many elements, or vectors."""
        with self.builder.goto_block(self.entry):
            room = self.builder.alloca(element, size=integer(count))
        room.align, room.type = _LINE, POINTER
        return room

    def copy(self, target: Value, source: Value, count: Value) -> None:
        """Copy bytes."""
        self.intrinsic("llvm.memcpy", target, source, count, ir.Constant(BIT, 0))

    def clear(self, target: Value, count: Value) -> None:
        """Make bytes zero."""
        zero = ir.Constant(I8, 0)
        self.intrinsic("llvm.memset", target, zero, count, ir.Constant(BIT, 0))

    # Control ------------------------------------------------------------------------------------

    @contextmanager
    def once(self) -> Iterator[None]:
        """Write what is the same in every turn of a loop: it stands in the function's entry."""
        with self.builder.goto_block(self.entry):
            yield

    def enter_body(self) -> Value:
        """Go on in a block after the entry, which is left open for what is the same in all turns.

        `leave_entry` closes it.
        """
        body = self._block("body")
        self.builder.position_at_end(body)
        return body

    def leave_entry(self, body: Value) -> None:
        """The entry is complete: the body follows."""
        with self.builder.goto_block(self.entry):
            self.builder.branch(body)

    @contextmanager
    def loop(self, start: Value, stop: Value, step: int = 1) -> Iterator[Value]:
        """For index in range(start, stop, step). Without constant bounds it may not run at all."""
        builder = self.builder
        before = builder.block
        body, after = self._block("body"), self._block("after")
        if isinstance(start, ir.Constant) and isinstance(stop, ir.Constant):
            builder.branch(body)
        else:
            builder.cbranch(builder.icmp_signed("<", start, stop), body, after)
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(start, before)
        yield index
        following = builder.add(index, integer(step))
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
        builder.position_at_end(after)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """What is done only if a condition holds."""
        then, after = self._block("then"), self._block("after")
        self.builder.cbranch(condition, then, after)
        self.builder.position_at_end(then)
        yield
        self.builder.branch(after)
        self.builder.position_at_end(after)

    def _block(self, name: str) -> Value:
        return self.function.append_basic_block(name)

    # Functions ----------------------------------------------------------------------------------

    def intrinsic(self, name: str, *values: Value) -> Value:
        """Call one of LLVM's own functions; its result has the type of its first argument."""
        copies = name in ("llvm.memcpy", "llvm.memset")
        kinds = [values[0].type] + ([values[1].type] if name == "llvm.memcpy" else [])
        kinds += [values[2].type] if copies else []
        reduces = ".reduce." in name
        result = ir.VoidType() if copies else values[0].type
        full = ".".join([name, *map(_suffix, kinds)])
        found = self.function.module.globals.get(full)
        if found is None:
            result = values[0].type.element if reduces else result
            kind = ir.FunctionType(result, [value.type for value in values])
            found = ir.Function(self.function.module, kind, full)
        return self.builder.call(found, values)


def _suffix(kind: Value) -> str:
    """How the name of an intrinsic spells a type."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_SHORT[kind.element]}"
    return _SHORT[kind]
