"""32-bit words in numba: unsigned integers whose arithmetic stays in 32 bits.

numba computes every sum and product of integers in 64 bits, which halves what a vector register
holds and makes multiplications several times slower. A word's operators are single 32-bit machine
operations: + - * & | ^ ~ << >> (logical) and unsigned comparisons, with words only.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model


class Word(types.Type):
    """The numba type of a 32-bit word."""

    def __init__(self) -> None:
        super().__init__(name="Word32")


WORD = Word()
_I32 = ir.IntType(32)


@register_model(Word)
class _WordModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _I32)


def _lower(operation: Any, result: Any, emit: Any) -> None:
    class Template(ConcreteTemplate):
        cases = [signature(result, WORD, WORD)]  # noqa: RUF012

    infer_global(operation)(Template)

    @lower_builtin(operation, WORD, WORD)
    def lowered(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        return emit(builder, *args)


for _operation, _method in (
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.mul, "mul"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.lshift, "shl"),
    (operator.rshift, "lshr"),
):
    _lower(_operation, WORD, lambda builder, x, y, m=_method: getattr(builder, m)(x, y))

for _operation, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _lower(_operation, types.boolean, lambda builder, x, y, s=_sign: builder.icmp_unsigned(s, x, y))


@lower_builtin(operator.invert, WORD)
def _invert(context: Any, builder: Any, kind: Any, args: Any) -> Any:
    return builder.not_(args[0])


@infer_global(operator.invert)
class _Invert(ConcreteTemplate):
    cases = [signature(WORD, WORD)]  # noqa: RUF012


@intrinsic
def word(typingctx: Any, value: Any) -> Any:
    """The lowest 32 bits of an integer."""

    def generate(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        width = args[0].type.width
        if width == 32:
            return args[0]
        return builder.trunc(args[0], _I32) if width > 32 else builder.zext(args[0], _I32)

    return WORD(value), generate


def _convert(source: Any, target: Any, emit: Any) -> Any:
    @intrinsic
    def convert(typingctx: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, kind: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return target(source), generate

    return convert


word_of_float = _convert(types.float32, WORD, lambda b, x: b.bitcast(x, _I32))
float_of_word = _convert(WORD, types.float32, lambda b, x: b.bitcast(x, ir.FloatType()))
float_from_word = _convert(WORD, types.float32, lambda b, x: b.sitofp(x, ir.FloatType()))
uint32_of_word = _convert(WORD, types.uint32, lambda b, x: x)
uint16_of_word = _convert(WORD, types.uint16, lambda b, x: b.trunc(x, ir.IntType(16)))
uint8_of_word = _convert(WORD, types.uint8, lambda b, x: b.trunc(x, ir.IntType(8)))
index_of_word = _convert(WORD, types.uint64, lambda b, x: b.zext(x, ir.IntType(64)))

__all__ = [
    "float_from_word",
    "float_of_word",
    "index_of_word",
    "uint8_of_word",
    "uint16_of_word",
    "uint32_of_word",
    "word",
    "word_of_float",
]
