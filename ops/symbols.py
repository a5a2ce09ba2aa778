"""Symbolic tensors: what a merge method computes with while the compiler traces it.

A method is called with symbols; every operator and primitive on them appends a node to the trace.
A parameter is a scalar whose value is known while tracing, so that a method may branch on it
(`if density >= 1: …`): the comparison is recorded as a guard, and the trace holds for every call
whose parameters pass its guards.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .primitives import TABLE, Role, ValueKind

Attribute: TypeAlias = tuple[int | float | str, ...]


class Instruction(NamedTuple):
    """One primitive of a trace: its name, the indices of its arguments, its constants, its kind."""

    name: str
    args: tuple[int, ...]
    attr: Attribute
    kind: ValueKind

    @property
    def role(self) -> Role:
        """What its primitive is to those who walk over a program."""
        return TABLE[self.name].role


class Guard(NamedTuple):
    """The outcome of `params[param] <compare> bound` that a trace relies on."""

    param: int
    compare: Callable[[float, float], bool]
    bound: float
    outcome: bool

    def holds(self, params: Sequence[float]) -> bool:
        return self.compare(params[self.param], self.bound) is self.outcome


@dataclass(frozen=True, eq=False)
class Trace:
    """A method's primitives, every argument before its user, and the index of its result."""

    nodes: tuple[Instruction, ...]
    result: int
    guards: tuple[Guard, ...]


class Tracer:
    """Collects nodes; equal nodes are one."""

    def __init__(self) -> None:
        self.nodes: list[Instruction] = []
        self.guards: list[Guard] = []
        self._known: dict[tuple[object, ...], int] = {}

    def add(self, name: str, args: tuple[int, ...] = (), attr: Attribute = ()) -> Symbol:
        kind = TABLE[name].result(tuple(self.nodes[i].kind for i in args))
        key = (name, args, tuple((type(a), repr(a)) for a in attr))
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self.nodes)
            self.nodes.append(Instruction(name, args, attr, kind))
        return _SYMBOLS[kind](self, index)

    def apply(self, name: str, args: Sequence[object], attr: Attribute) -> Symbol:
        return self.add(name, tuple(self.lift(arg).index for arg in args), attr)

    def lift(self, value: object) -> Symbol:
        """A symbol as it is; a Python number as a constant."""
        if isinstance(value, Symbol):
            return value
        if isinstance(value, (bool, int, float)):
            return self.add("const", (), (float(value),))
        raise TypeError(f"a merge method can't compute with {type(value).__name__}")

    def input(self, index: int) -> Tensor:
        return self.add("input", (), (index,))  # type: ignore[return-value]

    def whole_input(self, index: int) -> Whole:
        return self.add("whole_input", (), (index,))  # type: ignore[return-value]

    def param(self, index: int, value: float) -> SymbolicParameter:
        symbol = self.add("param", (), (index,))
        return SymbolicParameter(self, symbol.index, index, value)

    def finish(self, result: Symbol) -> Trace:
        return Trace(tuple(self.nodes), result.index, tuple(self.guards))


class Symbol:
    """A value of the trace."""

    __slots__ = ("index", "tracer")

    def __init__(self, tracer: Tracer, index: int):
        self.tracer = tracer
        self.index = index

    def _apply(self, name: str, *args: object) -> Any:
        return self.tracer.apply(name, args, ())

    def __bool__(self) -> bool:
        raise TypeError("the value isn't known while tracing: use `where`")


class _Arithmetic(Symbol):
    """The operators of numbers, shared by tensors and scalars."""

    __slots__ = ()

    def __add__(self, other: object) -> Any:
        return self._apply("add", self, other)

    def __radd__(self, other: object) -> Any:
        return self._apply("add", other, self)

    def __sub__(self, other: object) -> Any:
        return self._apply("sub", self, other)

    def __rsub__(self, other: object) -> Any:
        return self._apply("sub", other, self)

    def __mul__(self, other: object) -> Any:
        return self._apply("mul", self, other)

    def __rmul__(self, other: object) -> Any:
        return self._apply("mul", other, self)

    def __truediv__(self, other: object) -> Any:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: object) -> Any:
        return self._apply("div", other, self)

    def __neg__(self) -> Any:
        return self._apply("neg", self)

    def __abs__(self) -> Any:
        return self._apply("abs", self)

    def __lt__(self, other: object) -> Any:
        return self._apply("less", self, other)

    def __le__(self, other: object) -> Any:
        return self._apply("less_equal", self, other)

    def __gt__(self, other: object) -> Any:
        return self._apply("less", other, self)

    def __ge__(self, other: object) -> Any:
        return self._apply("less_equal", other, self)


class Tensor(_Arithmetic):
    """One number per element, computed in the compute dtype (float32 unless the recipe says)."""

    __slots__ = ()

    if TYPE_CHECKING:  # a tensor with anything is a tensor

        def __add__(self, other: object) -> Tensor: ...
        def __radd__(self, other: object) -> Tensor: ...
        def __sub__(self, other: object) -> Tensor: ...
        def __rsub__(self, other: object) -> Tensor: ...
        def __mul__(self, other: object) -> Tensor: ...
        def __rmul__(self, other: object) -> Tensor: ...
        def __truediv__(self, other: object) -> Tensor: ...
        def __rtruediv__(self, other: object) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...


class Scalar(_Arithmetic):
    """One number for the whole tensor, computed in float64."""

    __slots__ = ()


class SymbolicParameter(Scalar):
    """A scalar whose value is known while tracing; comparing it with a constant records a guard."""

    __slots__ = ("param", "value")

    def __init__(self, tracer: Tracer, index: int, param: int, value: float):
        super().__init__(tracer, index)
        self.param = param
        self.value = value

    def _guarded(self, compare: Callable[[float, float], bool], bound: object) -> Any:
        if not isinstance(bound, (int, float)):
            return NotImplemented
        outcome = compare(self.value, bound)
        self.tracer.guards.append(Guard(self.param, compare, float(bound), outcome))
        return outcome

    def __lt__(self, other: object) -> Any:
        return self._guarded(operator.lt, other)

    def __le__(self, other: object) -> Any:
        return self._guarded(operator.le, other)

    def __gt__(self, other: object) -> Any:
        return self._guarded(operator.gt, other)

    def __ge__(self, other: object) -> Any:
        return self._guarded(operator.ge, other)


class _Logic(Symbol):
    """The operators of truth values, shared by masks and flags."""

    __slots__ = ()

    def __and__(self, other: object) -> Any:
        return self._apply("and", self, other)

    def __or__(self, other: object) -> Any:
        return self._apply("or", self, other)

    def __invert__(self) -> Any:
        return self._apply("not", self)


class Mask(_Logic):
    """One truth value per element."""

    __slots__ = ()


class Flag(_Logic):
    """One truth value for the whole tensor."""

    __slots__ = ()


class Selection(Symbol):
    """The cut of an exact order statistic."""

    __slots__ = ()


class Bundle(Symbol):
    """Several values that one function gives."""

    __slots__ = ()


class Whole(Symbol):
    """An input of any shape, which only functions of whole tensors can take."""

    __slots__ = ()


Number: TypeAlias = Scalar | float
"""A parameter's number: known while tracing, a plain number on torch tensors."""

_SYMBOLS: dict[ValueKind, type[Symbol]] = {
    ValueKind.TENSOR: Tensor,
    ValueKind.MASK: Mask,
    ValueKind.SCALAR: Scalar,
    ValueKind.FLAG: Flag,
    ValueKind.SELECTION: Selection,
    ValueKind.BUNDLE: Bundle,
    ValueKind.WHOLE: Whole,
}
