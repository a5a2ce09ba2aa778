"""The primitives: the few operations that every merge method is built from, and their traits.

Methods call them through `ops.functions` and ordinary operators. Passes and planners ask
`TABLE[name]` for a primitive's traits and never decide by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal


class ValueKind(Enum):
    """What a value is: per element, or once for the whole tensor."""

    TENSOR = "tensor"  # a number per element, in the compute dtype
    MASK = "mask"  # a truth value per element
    SCALAR = "scalar"  # one number, in float64
    FLAG = "flag"  # one truth value
    SELECTION = "selection"  # the cut that tells the k elements of largest magnitude
    BUNDLE = "bundle"  # several values that one function gives; `*_item` takes one out
    WHOLE = "whole"  # an input of a shape of its own, for functions of whole tensors


class Trait(Enum):
    """How a primitive walks over its tensor."""

    LEAF = "leaf"  # an input, a parameter, a constant
    ELEMENTWISE = "elementwise"  # element i of the result needs element i of the arguments
    REDUCTION = "reduction"  # one scalar of all elements
    SELECTION = "selection"  # a reduction that takes several looks: an exact order statistic
    HOST = "host"  # a function of scalars alone
    ROWWISE = "row-wise"  # a row of the result needs that row of the arguments
    OPAQUE = "opaque"  # needs whole tensors


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive's traits.

    indexed: the value depends on the element's index too, not on its arguments alone.
    stream: the vector that its attribute is a place in: a source's random keys, or its pools.
    linear: how it combines tensors linearly, if it does: a sum with these signs, or a product or
    quotient with a scalar.
    evaluate: computes it on Python floats, where it exists on scalars.
    """

    name: str
    trait: Trait
    result: Callable[[tuple[ValueKind, ...]], ValueKind]
    indexed: bool = False
    stream: Literal["keys", "pools"] | None = None
    evaluate: Callable[..., Any] | None = None
    linear: Literal["+", "+-", "-", "*", "/"] | None = None


def _number(kinds: tuple[ValueKind, ...]) -> ValueKind:
    return (
        ValueKind.TENSOR
        if ValueKind.TENSOR in kinds or ValueKind.MASK in kinds
        else ValueKind.SCALAR
    )


def _truth(kinds: tuple[ValueKind, ...]) -> ValueKind:
    return (
        ValueKind.MASK if ValueKind.TENSOR in kinds or ValueKind.MASK in kinds else ValueKind.FLAG
    )


def _always(kind: ValueKind) -> Callable[[tuple[ValueKind, ...]], ValueKind]:
    return lambda _: kind


def _divide(x: float, y: float) -> float:
    """IEEE division: Python raises where the hardware has an answer."""
    if y != 0.0:
        return x / y
    return (
        math.nan if x == 0.0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y)
    )


def _elementwise(
    name: str,
    evaluate: Callable[..., Any] | None,
    result: Callable[[tuple[ValueKind, ...]], ValueKind] = _number,
    linear: Literal["+", "+-", "-", "*", "/"] | None = None,
) -> Primitive:
    return Primitive(name, Trait.ELEMENTWISE, result, evaluate=evaluate, linear=linear)


TABLE: dict[str, Primitive] = {
    primitive.name: primitive
    for primitive in (
        Primitive("input", Trait.LEAF, _always(ValueKind.TENSOR)),
        Primitive("whole_input", Trait.LEAF, _always(ValueKind.WHOLE)),
        Primitive("param", Trait.LEAF, _always(ValueKind.SCALAR)),
        Primitive("const", Trait.LEAF, _always(ValueKind.SCALAR)),
        Primitive("numel", Trait.LEAF, _always(ValueKind.SCALAR)),
        _elementwise("add", lambda x, y: x + y, linear="+"),
        _elementwise("sub", lambda x, y: x - y, linear="+-"),
        _elementwise("mul", lambda x, y: x * y, linear="*"),
        _elementwise("div", _divide, linear="/"),
        _elementwise("neg", lambda x: -x, linear="-"),
        _elementwise("abs", abs),
        _elementwise("sqrt", lambda x: math.sqrt(x) if x >= 0 else math.nan),
        _elementwise("minimum", min),
        _elementwise("maximum", max),
        _elementwise("where", lambda c, x, y: x if c else y),
        _elementwise("less", lambda x, y: x < y, _truth),
        _elementwise("less_equal", lambda x, y: x <= y, _truth),
        _elementwise("equal", lambda x, y: x == y, _truth),
        _elementwise("and", lambda x, y: x and y, _truth),
        _elementwise("or", lambda x, y: x or y, _truth),
        _elementwise("not", lambda x: not x, _truth),
        _elementwise("round", None),  # to the dtype in its attribute, and back
        Primitive("sin", Trait.ELEMENTWISE, _always(ValueKind.SCALAR), evaluate=math.sin),
        Primitive("cos", Trait.ELEMENTWISE, _always(ValueKind.SCALAR), evaluate=math.cos),
        Primitive("arccos", Trait.ELEMENTWISE, _always(ValueKind.SCALAR), evaluate=math.acos),
        Primitive("floor", Trait.ELEMENTWISE, _always(ValueKind.SCALAR), evaluate=math.floor),
        Primitive(
            "bernoulli", Trait.ELEMENTWISE, _always(ValueKind.MASK), indexed=True, stream="keys"
        ),
        Primitive("selected", Trait.ELEMENTWISE, _always(ValueKind.MASK), indexed=True),
        Primitive("sum", Trait.REDUCTION, _always(ValueKind.SCALAR)),
        Primitive("dot", Trait.REDUCTION, _always(ValueKind.SCALAR)),
        Primitive("largest", Trait.SELECTION, _always(ValueKind.SELECTION)),
        Primitive("pool_numel", Trait.LEAF, _always(ValueKind.SCALAR), stream="pools"),
        Primitive("largest_of_pool", Trait.SELECTION, _always(ValueKind.SELECTION), stream="pools"),
        Primitive("cut_magnitude", Trait.HOST, _always(ValueKind.SCALAR)),
        Primitive("host", Trait.HOST, _always(ValueKind.BUNDLE)),
        Primitive("host_item", Trait.HOST, _always(ValueKind.SCALAR)),
        Primitive("rows", Trait.ROWWISE, _always(ValueKind.BUNDLE)),
        Primitive("rows_item", Trait.ROWWISE, _always(ValueKind.TENSOR)),
        Primitive("whole", Trait.OPAQUE, _always(ValueKind.BUNDLE)),
        Primitive("whole_item", Trait.OPAQUE, _always(ValueKind.TENSOR)),
    )
}
