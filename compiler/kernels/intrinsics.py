"""What generated kernels need beyond numba's Python: bits and stack arrays.

Stack arrays matter for speed: the compiler knows that they overlap nothing, so that loops that fill
them vectorise without overlap checks.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def _bitcast(source: Any, target: Any, target_ir: Any) -> Any:
    @intrinsic
    def reinterpret(typingctx: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], target_ir)

        return target(source), generate

    return reinterpret


bits_of_double = _bitcast(types.float64, types.uint64, ir.IntType(64))


@intrinsic
def larger_magnitude(typingctx: Any, top: Any, stored: Any) -> Any:
    """The larger of a magnitude's bits and those of a stored small float, in its own width."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = args[1].type.width
        magnitude = builder.and_(args[1], ir.Constant(args[1].type, (1 << (width - 1)) - 1))
        return builder.select(builder.icmp_unsigned(">", magnitude, args[0]), magnitude, args[0])

    return stored(stored, stored), generate


def _stack_array(element: Any, element_ir: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def stack_array(typingctx: Any, count: Any) -> Any:
        size = count.literal_value

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            with builder.goto_entry_block():
                return builder.alloca(element_ir, size=ir.Constant(ir.IntType(32), size))

        return types.CPointer(element)(count), generate  # type: ignore[no-untyped-call]

    return stack_array


stack_float32 = _stack_array(types.float32, ir.FloatType())
stack_float64 = _stack_array(types.float64, ir.DoubleType())
stack_uint32 = _stack_array(types.uint32, ir.IntType(32))
stack_uint64 = _stack_array(types.uint64, ir.IntType(64))

__all__ = [
    "bits_of_double",
    "larger_magnitude",
    "stack_float32",
    "stack_float64",
    "stack_uint32",
    "stack_uint64",
]
