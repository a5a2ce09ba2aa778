"""The primitives: the few operations that every merge method is built from, a row each.

Methods call them through `ops.functions` and ordinary operators. Passes, planner and runtime ask
`TABLE[name]` for a primitive's role and never decide by its name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias

from . import eager


class ValueKind(Enum):
    """What a value is: per element, or once for the whole tensor."""

    TENSOR = "tensor"  # a number per element, in the compute dtype
    MASK = "mask"  # a truth value per element
    SCALAR = "scalar"  # one number, in float64
    FLAG = "flag"  # one truth value
    SELECTION = "selection"  # the cut that tells the k elements of largest magnitude
    BUNDLE = "bundle"  # several values that one function gives; `*_item` takes one out
    WHOLE = "whole"  # an input of a shape of its own, for functions of whole tensors


class Role(Enum):
    """What a primitive is to whoever walks over a program."""

    INPUT = "input"  # a tensor of a source, by its slot
    WHOLE_INPUT = "whole input"  # one of a shape of its own
    PARAMETER = "parameter"  # by its place in the vector of parameters
    CONSTANT = "constant"
    NUMEL = "numel"  # elements of the tensor
    POOL_NUMEL = "pool numel"  # elements of all tensors of a pool
    ELEMENTWISE = "elementwise"  # element i of the result needs element i of the arguments
    RANDOM = "random"  # elementwise, of the element's index too: a mask drawn from a stream
    SELECTED = "selected"  # elementwise, of the element's index too: a mask of what a cut keeps
    REDUCTION = "reduction"  # one scalar of all elements
    SELECTION = "selection"  # a reduction that takes several looks: an exact order statistic
    CUT = "cut"  # the magnitude at a selection's cut
    HOST_FUNCTION = "host function"  # a plain function of scalars
    HOST_ITEM = "host item"  # one of its results
    ROW_FUNCTION = "row function"  # a row of the result needs that row of the arguments
    ROW_ITEM = "row item"
    OPAQUE_FUNCTION = "opaque function"  # needs whole tensors
    OPAQUE_ITEM = "opaque item"


ITEMS = {
    Role.HOST_FUNCTION: Role.HOST_ITEM,
    Role.ROW_FUNCTION: Role.ROW_ITEM,
    Role.OPAQUE_FUNCTION: Role.OPAQUE_ITEM,
}
"""The role of what takes one result out of what a function of each role gives."""


class Emitter(Protocol):
    """What a row's `emit` writes with; the values are vectors of LLVM's.

    builder: llvmlite's IRBuilder. intrinsic: calls a function of LLVM's own. rounded: to a dtype
    and back. drawn: the mask of a random stream for chances. kept: the mask of what a cut keeps.
    """

    builder: Any

    def intrinsic(self, name: str, *values: Any) -> Any: ...
    def rounded(self, x: Any, dtype: str) -> Any: ...
    def drawn(self, chance: Any, stream: int) -> Any: ...
    def kept(self, x: Any, cut: int) -> Any: ...


Linear: TypeAlias = Literal["+", "+-", "-", "*", "/"]
Result: TypeAlias = Callable[[tuple[ValueKind, ...]], ValueKind]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive's row.

    result: the kind of its value by those of its arguments. evaluate: computes it on Python floats,
    where it exists on scalars. eager: computes it on torch tensors. emit: writes it into a kernel,
    on vectors of elements. Both get the constants of the primitive after its values. symbol: the
    operator that stands for it in a text. stream: the vector that its constant is a place in, a
    source's random keys or its pools. linear: how it combines tensors linearly, if it does: a sum
    with these signs, or a product or quotient with a scalar.
    """

    name: str
    role: Role
    result: Result
    evaluate: Callable[..., Any] | None = None
    eager: Callable[..., Any] | None = None
    emit: Callable[..., Any] | None = None
    symbol: str = ""
    stream: Literal["keys", "pools"] | None = None
    linear: Linear | None = None


def _number(kinds: tuple[ValueKind, ...]) -> ValueKind:
    elements = ValueKind.TENSOR in kinds or ValueKind.MASK in kinds
    return ValueKind.TENSOR if elements else ValueKind.SCALAR


def _truth(kinds: tuple[ValueKind, ...]) -> ValueKind:
    elements = ValueKind.TENSOR in kinds or ValueKind.MASK in kinds
    return ValueKind.MASK if elements else ValueKind.FLAG


def _always(kind: ValueKind) -> Result:
    return lambda _: kind


def _divide(x: float, y: float) -> float:
    """IEEE division: Python raises where the hardware has an answer."""
    if y != 0.0:
        return x / y
    return (
        math.nan if x == 0.0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y)
    )


def _smaller(e: Emitter, x: Any, y: Any) -> Any:
    return e.builder.select(e.builder.fcmp_ordered("<", y, x), y, x)  # keeps NaN of x


def _larger(e: Emitter, x: Any, y: Any) -> Any:
    return e.builder.select(e.builder.fcmp_ordered(">", y, x), y, x)


def _elementwise(
    name: str,
    evaluate: Callable[..., Any] | None,
    eager: Callable[..., Any],
    emit: Callable[..., Any] | None,
    *,
    symbol: str = "",
    result: Result = _number,
    linear: Linear | None = None,
) -> Primitive:
    return Primitive(name, Role.ELEMENTWISE, result, evaluate, eager, emit, symbol, None, linear)


def _infix(
    name: str,
    symbol: str,
    of_numbers: Callable[..., Any],
    emit: Callable[..., Any],
    *,
    of_tensors: Callable[..., Any] | None = None,
    result: Result = _number,
    linear: Linear | None = None,
) -> Primitive:
    """An operator of Python and torch alike, unless torch has another."""
    return _elementwise(
        name,
        of_numbers,
        of_tensors or of_numbers,
        emit,
        symbol=symbol,
        result=result,
        linear=linear,
    )


def _compared(symbol: str) -> Callable[..., Any]:
    return lambda e, x, y: e.builder.fcmp_ordered(symbol, x, y)


def _of_scalars(name: str, evaluate: Callable[..., Any], eager: Callable[..., Any]) -> Primitive:
    return Primitive(name, Role.ELEMENTWISE, _always(ValueKind.SCALAR), evaluate, eager)


def _leaf(name: str, role: Role, kind: ValueKind = ValueKind.SCALAR) -> Primitive:
    return Primitive(name, role, _always(kind))


def _function(name: str, role: Role, of: Callable[..., Any], item: ValueKind) -> list[Primitive]:
    """A function of a kind, and what takes one of its results."""
    return [
        Primitive(name, role, _always(ValueKind.BUNDLE), eager=of),
        Primitive(f"{name}_item", ITEMS[role], _always(item), eager=eager.item),
    ]


_ROWS = (
    _leaf("input", Role.INPUT, ValueKind.TENSOR),
    _leaf("whole_input", Role.WHOLE_INPUT, ValueKind.WHOLE),
    _leaf("param", Role.PARAMETER),
    _leaf("const", Role.CONSTANT),
    Primitive("numel", Role.NUMEL, _always(ValueKind.SCALAR), eager=eager.numel),
    _infix("add", "+", operator.add, lambda e, x, y: e.builder.fadd(x, y), linear="+"),
    _infix("sub", "-", operator.sub, lambda e, x, y: e.builder.fsub(x, y), linear="+-"),
    _infix("mul", "*", operator.mul, lambda e, x, y: e.builder.fmul(x, y), linear="*"),
    _infix(
        "div",
        "/",
        _divide,
        lambda e, x, y: e.builder.fdiv(x, y),
        of_tensors=operator.truediv,
        linear="/",
    ),
    _elementwise("neg", operator.neg, operator.neg, lambda e, x: e.builder.fneg(x), linear="-"),
    _elementwise("abs", abs, abs, lambda e, x: e.intrinsic("llvm.fabs", x)),
    _elementwise(
        "sqrt",
        lambda x: math.sqrt(x) if x >= 0 else math.nan,
        eager.sqrt,
        lambda e, x: e.intrinsic("llvm.sqrt", x),
    ),
    _elementwise("minimum", min, eager.minimum, _smaller),
    _elementwise("maximum", max, eager.maximum, _larger),
    _elementwise(
        "where",
        lambda c, x, y: x if c else y,
        eager.where,
        lambda e, c, x, y: e.builder.select(c, x, y),
    ),
    _infix("less", "<", operator.lt, _compared("<"), result=_truth),
    _infix("less_equal", "<=", operator.le, _compared("<="), result=_truth),
    _infix("equal", "==", operator.eq, _compared("=="), result=_truth),
    _infix(
        "and",
        "&",
        lambda x, y: x and y,
        lambda e, x, y: e.builder.and_(x, y),
        of_tensors=operator.and_,
        result=_truth,
    ),
    _infix(
        "or",
        "|",
        lambda x, y: x or y,
        lambda e, x, y: e.builder.or_(x, y),
        of_tensors=operator.or_,
        result=_truth,
    ),
    _elementwise(
        "not", operator.not_, eager.negated, lambda e, x: e.builder.not_(x), result=_truth
    ),
    # to the dtype that is its constant, and back
    _elementwise("round", None, eager.rounded, lambda e, x, dtype: e.rounded(x, dtype)),
    _of_scalars("sin", math.sin, eager.sin),
    _of_scalars("cos", math.cos, eager.cos),
    _of_scalars("arccos", math.acos, eager.arccos),
    _of_scalars("floor", math.floor, eager.floor),
    Primitive(
        "bernoulli",
        Role.RANDOM,
        _always(ValueKind.MASK),
        emit=lambda e, chance, stream: e.drawn(chance, stream),
        stream="keys",
    ),
    Primitive(
        "selected",
        Role.SELECTED,
        _always(ValueKind.MASK),
        eager=eager.selected,
        emit=lambda e, x, cut: e.kept(x, cut),
    ),
    Primitive("sum", Role.REDUCTION, _always(ValueKind.SCALAR), eager=eager.total),
    Primitive("dot", Role.REDUCTION, _always(ValueKind.SCALAR), eager=eager.dot),
    Primitive("largest", Role.SELECTION, _always(ValueKind.SELECTION), eager=eager.largest),
    Primitive("pool_numel", Role.POOL_NUMEL, _always(ValueKind.SCALAR), stream="pools"),
    Primitive("largest_of_pool", Role.SELECTION, _always(ValueKind.SELECTION), stream="pools"),
    Primitive("cut_magnitude", Role.CUT, _always(ValueKind.SCALAR), eager=eager.cut_magnitude),
    *_function("host", Role.HOST_FUNCTION, eager.call_host, ValueKind.SCALAR),
    *_function("rows", Role.ROW_FUNCTION, eager.call_rows, ValueKind.TENSOR),
    *_function("whole", Role.OPAQUE_FUNCTION, eager.call_whole, ValueKind.TENSOR),
)

TABLE: dict[str, Primitive] = {row.name: row for row in _ROWS}
