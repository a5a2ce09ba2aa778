"""A merge method's function -> its specification: what the signature says, and how to trace it.

A method is one file in `ops/methods/`: a function of the file's name, decorated with `@method`. Its
positional parameters say what it merges (`a: Tensor, b: Tensor` or `xs: Sequence[Tensor]`), `base`
whether it has a base model, `random` whether it draws masks; its keyword parameters are the
recipe's columns (`Sequence[…]`, one value per source) and settings. A column of `Tensor`s is given
as a model beside each source, such as its Fisher information; a `Position` is filled in by the
compiler.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_type_hints

from .parameters import REQUIRED, AtLeast, Parameter, Value, metadata, parameter_of
from .symbols import Mask, Symbol, Tensor, Trace, Tracer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BaseUse: TypeAlias = Literal["required", "optional", "unused", "first"]
ZERO = -1
"""The identity of a tensor of zeros: what `simplify` returns for a result that is one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A method's arguments: what `simplify` sees and may return with fewer sources.

    sources: identities of the inputs (equal identities are equal tensors, ZERO is all zeros).
    columns: for each source its column values by name; of a column of models the tensor's identity,
    or None. settings: the shared values by name. keys: each source's stream of random numbers, for
    a method that draws any. rounded: for each source the dtype that its values are already rounded
    to, or None.
    """

    sources: tuple[int, ...]
    base: int | None
    columns: tuple[dict[str, Value], ...]
    settings: dict[str, Value]
    keys: tuple[int, ...] = ()
    rounded: tuple[str | None, ...] = ()

    def keep(self, rows: Sequence[int]) -> Call:
        """The call with only these sources, by position; the call itself if those are all."""
        if len(rows) == len(self.sources):
            return self
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

    @cached_property
    def columns(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if p.per_source)

    @cached_property
    def settings(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if not p.per_source and not p.filled)

    @cached_property
    def model_columns(self) -> tuple[Parameter, ...]:
        """Columns whose values are models beside the sources."""
        return tuple(p for p in self.parameters if p.kind == "model")

    @cached_property
    def position(self) -> Parameter | None:
        """The parameter that takes the layer's relative position."""
        return next((p for p in self.parameters if p.filled), None)

    def inputs(self, call: Call) -> tuple[int, ...]:
        """The tensors of a call in a node's order.

        Sources; then of each column of models those that are there, source by source; the base.
        """
        beside = [row[p.name] for p in self.model_columns for row in call.columns]
        present = tuple(int(i) for i in beside if i is not None)
        return call.sources + present + (() if call.base is None else (call.base,))

    def columns_of(self, call: Call) -> tuple[dict[str, Value], ...]:
        """A call's columns with each column of models saying whether its tensors are there."""
        names = [p.name for p in self.model_columns]
        if not names:
            return call.columns
        return tuple(
            row | {name: True for name in names if row[name] is not None} for row in call.columns
        )

    def call(
        self,
        inputs: Sequence[int],
        columns: Sequence[dict[str, Value]],
        settings: dict[str, Value],
        has_base: bool,
        keys: tuple[int, ...] = (),
        rounded: tuple[str | None, ...] = (),
    ) -> Call:
        """The call of a node: the reverse of `inputs` and `columns_of`."""
        left = iter(inputs)
        sources = tuple(next(left) for _ in columns)
        rows = tuple(columns)
        for parameter in self.model_columns:
            name = parameter.name
            rows = tuple(row | {name: next(left) if row[name] else None} for row in rows)
        return Call(sources, next(left) if has_base else None, rows, settings, keys, rounded)

    def count_inputs(self, columns: Sequence[dict[str, Value]], has_base: bool) -> int:
        """How many inputs a node has."""
        beside = sum(bool(row[p.name]) for p in self.model_columns for row in columns)
        return len(columns) + beside + has_base

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

        Inputs are numbered as `inputs` orders them. `params` are the numeric parameters in the
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
        slots = count()
        xs = [tracer.input(next(slots)) for _ in range(sources)]
        fixed, numbers = iter(static), iter(enumerate(params))

        def value(parameter: Parameter, present: Value) -> Any:
            if parameter.kind == "model" and present:
                slot = next(slots)
                return tracer.whole_input(slot) if parameter.whole else tracer.input(slot)
            if not parameter.traced or present is None:
                return present
            index, number = next(numbers)
            return tracer.param(index, number)

        values: dict[str, Any] = {}
        for parameter in self.parameters:
            repeats = sources if parameter.per_source else 1
            row = [value(parameter, next(fixed)) for _ in range(repeats)]
            values[parameter.name] = row if parameter.per_source else row[0]
        base = tracer.input(next(slots)) if has_base else None
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
                parameters.append(parameter_of(name, hint, parameter.default))
        elif name == "base":
            uses_base = "required" if parameter.default is REQUIRED else "optional"
        elif hint is Tensor:
            fixed += 1
        else:
            variadic = True
            least = next((m.count for m in metadata(hint) if isinstance(m, AtLeast)), 1)
    return Method(
        name=function.__name__,
        function=function,
        parameters=tuple(parameters),
        sources=(least, None) if variadic else (fixed, fixed),
        base=uses_base,
        random="random" in hints,
        simplify=simplify,
    )


def _python_name(name: str) -> str:
    return "lambda_" if name == "lambda" else name


ENTRY_POINTS = "mergec.methods"
"""The group of entry points by which installed packages offer methods."""
_added: dict[str, Method] = {}


def method_names() -> tuple[str, ...]:
    """The names of all methods in alphabetical order: built-in, installed, added by recipes."""
    return tuple(sorted({*_builtin_names(), *_installed(), *_added}))


def find_method(name: str) -> Method | None:
    """The method of a name, loaded when first asked for."""
    if is_builtin(name):
        return _builtin(name)
    return _added.get(name) or _load_installed(name)


def add_method(method: Method) -> None:
    """Make a method of a user's known by its name; one of that name is replaced."""
    _added[method.name] = method


def is_builtin(name: str) -> bool:
    """Whether a method is a file of `ops/methods`."""
    return name in _builtin_names()


@cache
def _builtin_names() -> frozenset[str]:
    package = importlib.import_module(f"{__package__}.methods")
    return frozenset(info.name for info in pkgutil.iter_modules(package.__path__))


@cache
def _builtin(name: str) -> Method:
    found: Method = getattr(importlib.import_module(f"{__package__}.methods.{name}"), name)
    return found


@cache
def _installed() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points  # costs as much as half of the command's start

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


@cache
def _load_installed(name: str) -> Method | None:
    point = _installed().get(name)
    found = None if point is None else point.load()
    return found if isinstance(found, Method) else None
