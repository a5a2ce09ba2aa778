"""Columns and settings of merge methods: what annotations say of the values in a recipe."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from .symbols import Number, Scalar, Tensor, Whole

Value: TypeAlias = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Closed bounds of a numeric parameter; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def admits(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def demand(self) -> str:
        """What a value must be."""
        if self.high is None:
            return f"at least {self.low:g}"
        if self.low is None:
            return f"at most {self.high:g}"
        return f"from {self.low:g} to {self.high:g}"

    def __str__(self) -> str:
        low = "-∞" if self.low is None else f"{self.low:g}"
        high = "∞" if self.high is None else f"{self.high:g}"
        return f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Switch:
    """What `true` and `false` stand for where a choice has grown out of mergekit's boolean."""

    true: str
    false: str


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The least number of sources of a method that takes any number."""

    count: int


@dataclass(frozen=True, slots=True)
class Shaped:
    """The shape that the tensors of a column of models have beside a tensor of a given shape."""

    of: Callable[[tuple[int, ...]], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class FromLayers:
    """Marks a number that the compiler gives for each tensor: its layer's relative position."""


REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """A column or setting: what kind of value it takes; default REQUIRED if none.

    A column of kind `model` is a checkpoint beside each source, and its value in a call tells
    whether that has the tensor; None as its default: it may lack tensors. whole: its tensors have a
    shape of their own, which `shape` gives, and are arguments of functions of whole tensors alone.
    A `position` isn't for recipes to set.
    """

    name: str
    kind: Literal["number", "integer", "boolean", "choice", "model", "position"]
    per_source: bool
    default: Any
    bounds: Bounds = Bounds()
    choices: tuple[str, ...] = ()
    switch: Switch | None = None
    whole: bool = False
    shape: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def traced(self) -> bool:
        """Numbers stay symbolic in a trace; everything else is fixed when tracing."""
        return self.kind in ("number", "position")

    @property
    def filled(self) -> bool:
        """Whether the compiler gives the value."""
        return self.kind == "position"

    def refusal(self, value: Value) -> str | None:
        """Why the value isn't allowed, or None."""
        if self.kind == "model":
            return "must be a model"
        if self.kind == "boolean":
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind == "choice":
            listed = ", ".join(self.choices)
            return None if value in self.choices else f"must be one of {listed}"
        if value is None:
            return None if self.default is None else "must be a number"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if not _is_finite(value):
            return "must be finite"
        if self.kind == "integer" and value != int(value):
            return "must be a whole number"
        return None if self.bounds.admits(value) else f"must be {self.bounds.demand}"

    def nearest(self, value: Value) -> float | None:
        """What a number out of bounds was likely meant as: 50 as 0.5, where 50 % may stand."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        percent = value / 100
        meant = self.bounds.high is not None and 2 <= value <= 100 and self.bounds.admits(percent)
        return percent if meant else None

    def normal(self, value: Value) -> Value:
        """A value that isn't refused, equal numbers as one: 1 and 1.0 are no two."""
        if value is None or self.kind in ("boolean", "choice"):
            return value
        return float(value) if self.kind == "number" else int(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


Weight = Annotated[Number, Bounds()]
Density = Annotated[Number, Bounds(0.0, 1.0)]
Factor = Annotated[Number, Bounds()]
Position = Annotated[Number, FromLayers()]
"""Where the tensor's layer stands among the model's layers, 0 to 1; outside the layers 0."""


def parameter_of(python_name: str, hint: Any, default: Any) -> Parameter:
    name = python_name.rstrip("_")
    if isinstance(default, tuple):  # a default per source, the same for each
        default = default[0]
    per_source = get_origin(hint) is not None and get_origin(hint) in (Sequence, list, tuple)
    if per_source:
        hint = get_args(hint)[0]
    may_lack = get_origin(hint) is Union or "UnionType" in type(hint).__name__
    if may_lack:
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    bounds = next((m for m in metadata(hint) if isinstance(m, Bounds)), Bounds())
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(plain) is Literal:
        switch = next((m for m in metadata(hint) if isinstance(m, Switch)), None)
        choices = get_args(plain)
        return Parameter(name, "choice", per_source, default, choices=choices, switch=switch)
    if plain is bool:
        return Parameter(name, "boolean", per_source, default)
    if plain is int:
        return Parameter(name, "integer", per_source, default, bounds)
    if any(isinstance(m, FromLayers) for m in metadata(hint)):
        return Parameter(name, "position", False, REQUIRED)
    if plain in (Tensor, Whole) and per_source:
        optional = None if may_lack else REQUIRED
        shape = next((m.of for m in metadata(hint) if isinstance(m, Shaped)), tuple)
        return Parameter(name, "model", True, optional, whole=plain is Whole, shape=shape)
    if plain in (Number, Scalar, float):
        return Parameter(name, "number", per_source, default, bounds)
    raise TypeError(f"a method's parameter `{python_name}` can't be a {plain}")


def metadata(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())
