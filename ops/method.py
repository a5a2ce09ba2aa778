"""A merge method's function -> its specification: what the signature says, and how to trace it.

A method is one file in `ops/methods/`: a function of the file's name, decorated with `@method`. Its
positional parameters say what it merges (`a: Tensor, b: Tensor` or `xs: Sequence[Tensor]`), `base`
whether it has a base model, `random` whether it draws masks; its keyword parameters are the
recipe's columns (`Sequence[…]`, one value per source) and settings.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from .symbols import Mask, Scalar, Symbol, Tensor, Trace, Tracer

BaseUse: TypeAlias = Literal["required", "optional", "unused", "first"]
Value: TypeAlias = float | int | bool | str | None


class MethodError(ValueError):
    """A call that a method can't compute, such as weights that sum to 0 and must be normalised."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Closed bounds of a numeric parameter; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def admits(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

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


REQUIRED: Any = inspect.Parameter.empty
ZERO = -1
"""The identity of a tensor of zeros: what `simplify` returns for a result that is one."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A column or setting: `kind` number, integer, boolean or choice; default REQUIRED if none."""

    name: str
    kind: Literal["number", "integer", "boolean", "choice"]
    per_source: bool
    default: Any
    bounds: Bounds = Bounds()
    choices: tuple[str, ...] = ()
    switch: Switch | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def traced(self) -> bool:
        """Numbers stay symbolic in a trace; everything else is fixed when tracing."""
        return self.kind == "number"

    def refusal(self, value: Value) -> str | None:
        """Why the value isn't allowed, or None."""
        if self.kind == "boolean":
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind == "choice":
            listed = ", ".join(self.choices)
            return None if value in self.choices else f"must be one of {listed}"
        if value is None:
            return None if self.default is None else "must be a number"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if self.kind == "integer" and value != int(value):
            return "must be a whole number"
        return None if self.bounds.admits(value) else f"must lie in {self.bounds}"


@dataclass(frozen=True, slots=True)
class Call:
    """A method's arguments: what `simplify` sees and may return with fewer sources.

    sources: identities of the inputs (equal identities are equal tensors, ZERO is all zeros).
    columns: for each source its column values by name. settings: the shared values by name. keys:
    each source's stream of random numbers, for a method that draws any. rounded: for each source
    the dtype that its values are already rounded to, or None.
    """

    sources: tuple[int, ...]
    base: int | None
    columns: tuple[dict[str, Value], ...]
    settings: dict[str, Value]
    keys: tuple[int, ...] = ()
    rounded: tuple[str | None, ...] = ()

    def keep(self, rows: Sequence[int]) -> Call:
        """The call with only these sources, by position."""
        return Call(
            tuple(self.sources[i] for i in rows),
            self.base,
            tuple(self.columns[i] for i in rows),
            self.settings,
            tuple(self.keys[i] for i in rows) if self.keys else (),
            tuple(self.rounded[i] for i in rows) if self.rounded else (),
        )


Simplify: TypeAlias = Callable[[Call], Call | int]


@dataclass(frozen=True)
class Method:
    """A merge method.

    sources: fewest and most inputs besides the base (None: any number). yaml: the values that
    mergekit's YAML means by saying nothing, where they differ from the language's defaults.
    rounds_to: the setting that names the dtype which the result is rounded to. gives_delta: the
    result is a delta even of models.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    sources: tuple[int, int | None]
    base: BaseUse
    random: bool
    simplify: Simplify | None = None
    yaml: Mapping[str, Value] = field(default_factory=dict)
    rounds_to: str | None = None
    gives_delta: bool = False
    _traces: dict[tuple[Any, ...], list[Trace]] = field(default_factory=dict, compare=False)

    @property
    def summary(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "").split("\n", 1)[0]

    @property
    def documentation(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)

    @property
    def columns(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if p.per_source)

    @property
    def settings(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if not p.per_source)

    def __call__(self, xs: Sequence[Any], base: Any, random: Any, values: dict[str, Any]) -> Any:
        """The method on symbols or torch tensors; `values` by parameter name, columns as lists."""
        keywords = {_python_name(name): value for name, value in values.items()}
        if self.base in ("required", "optional"):
            keywords["base"] = base
        if self.random:
            keywords["random"] = random
        if self.sources[1] is None:
            return self.function(xs, **keywords)
        return self.function(*xs, **keywords)

    def trace(
        self, sources: int, has_base: bool, static: tuple[Value, ...], params: tuple[float, ...]
    ) -> Trace:
        """The primitives of a call, shared by all calls that pass the trace's guards.

        Inputs are numbered: the sources, then the base. `params` are the numeric parameters in the
        order of `flatten`, `static` all others.
        """
        traces = self._traces.setdefault((sources, has_base, static), [])
        for trace in traces:
            if all(guard.holds(params) for guard in trace.guards):
                return trace
        traces.append(self._trace(sources, has_base, static, params))
        return traces[-1]

    def __hash__(self) -> int:
        return hash(self.name)

    def _trace(
        self, sources: int, has_base: bool, static: tuple[Value, ...], params: tuple[float, ...]
    ) -> Trace:
        tracer = Tracer()
        xs = [tracer.input(i) for i in range(sources)]
        base = tracer.input(sources) if has_base else None
        fixed, numbers = iter(static), iter(enumerate(params))

        def value(parameter: Parameter, present: Value) -> Any:
            if not parameter.traced or present is None:
                return present
            index, number = next(numbers)
            return tracer.param(index, number)

        values: dict[str, Any] = {}
        for parameter in self.parameters:
            count = sources if parameter.per_source else 1
            row = [value(parameter, next(fixed)) for _ in range(count)]
            values[parameter.name] = row if parameter.per_source else row[0]
        result = self(xs, base, SymbolicRandom(tracer), values)
        return tracer.finish(tracer.lift(result) if not isinstance(result, Symbol) else result)

    def flatten(
        self, columns: Sequence[dict[str, Value]], settings: dict[str, Value]
    ) -> tuple[tuple[Value, ...], tuple[float, ...]]:
        """(static, params) of a call: in `static` a number is marked by True and a None by None."""
        static: list[Value] = []
        params: list[float] = []
        for parameter in self.parameters:
            rows = columns if parameter.per_source else (settings,)
            for row in rows:
                value = row[parameter.name]
                if parameter.traced and value is not None:
                    static.append(True)
                    params.append(float(value))
                else:
                    static.append(value)
        return tuple(static), tuple(params)


class SymbolicRandom:
    """Draws masks in a trace: one stream of random numbers per source."""

    def __init__(self, tracer: Tracer):
        self._tracer = tracer

    def bernoulli(self, source: int, probability: Any, like: Tensor) -> Mask:
        """A mask that is true with the given probability, drawn from the source's own stream."""
        return self._tracer.apply("bernoulli", (probability,), (source,))  # type: ignore[return-value]


Random: TypeAlias = Any  # SymbolicRandom, or ops.eager.EagerRandom on torch tensors

Weight = Annotated[Scalar, Bounds()]
Density = Annotated[Scalar, Bounds()]
Factor = Annotated[Scalar, Bounds()]


def method(
    *,
    base: BaseUse | None = None,
    simplify: Simplify | None = None,
    yaml: Mapping[str, Value] | None = None,
    rounds_to: str | None = None,
    gives_delta: bool = False,
) -> Callable[[Callable[..., Any]], Method]:
    """Make a function a merge method. `base="first"`: mergekit's base model is the first source.

    simplify: maps a call with known parameters to the input (by identity) that it equals, or to a
    smaller call of the same value; raises MethodError where the call has no value.
    """

    def decorate(function: Callable[..., Any]) -> Method:
        specified = _specify(function, base, simplify)
        return replace(specified, yaml=yaml or {}, rounds_to=rounds_to, gives_delta=gives_delta)

    return decorate


def _specify(
    function: Callable[..., Any],
    base: BaseUse | None,
    simplify: Simplify | None,
) -> Method:
    hints = get_type_hints(function, include_extras=True)
    parameters: list[Parameter] = []
    fixed, least = 0, 1
    variadic = False
    uses_base: BaseUse = base or "unused"
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            if name != "random":
                parameters.append(_parameter(name, hint, parameter.default))
        elif name == "base":
            uses_base = "required" if parameter.default is REQUIRED else "optional"
        elif hint is Tensor:
            fixed += 1
        else:
            variadic = True
            least = next((m.count for m in _metadata(hint) if isinstance(m, AtLeast)), 1)
    return Method(
        name=function.__name__,
        function=function,
        parameters=tuple(parameters),
        sources=(least, None) if variadic else (fixed, fixed),
        base=uses_base,
        random="random" in hints,
        simplify=simplify,
    )


def _parameter(python_name: str, hint: Any, default: Any) -> Parameter:
    name = python_name.rstrip("_")
    if isinstance(default, tuple):  # a default per source, the same for each
        default = default[0]
    per_source = get_origin(hint) is not None and get_origin(hint) in (Sequence, list, tuple)
    if per_source:
        hint = get_args(hint)[0]
    if get_origin(hint) is Union or "UnionType" in type(hint).__name__:
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    bounds = next((m for m in _metadata(hint) if isinstance(m, Bounds)), Bounds())
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(plain) is Literal:
        switch = next((m for m in _metadata(hint) if isinstance(m, Switch)), None)
        choices = get_args(plain)
        return Parameter(name, "choice", per_source, default, choices=choices, switch=switch)
    if plain is bool:
        return Parameter(name, "boolean", per_source, default)
    if plain is int:
        return Parameter(name, "integer", per_source, default, bounds)
    if plain is Scalar:
        return Parameter(name, "number", per_source, default, bounds)
    raise TypeError(f"a method's parameter `{python_name}` can't be a {plain}")


def _metadata(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _python_name(name: str) -> str:
    return "lambda_" if name == "lambda" else name


@cache
def method_names() -> tuple[str, ...]:
    """The names of all methods, which are the files of `ops/methods`, in alphabetical order."""
    package = importlib.import_module(f"{__package__}.methods")
    return tuple(sorted(info.name for info in pkgutil.iter_modules(package.__path__)))


@cache
def find_method(name: str) -> Method | None:
    """The method of a name, loaded when first asked for."""
    if name not in method_names():
        return None
    found: Method = getattr(importlib.import_module(f"{__package__}.methods.{name}"), name)
    return found
