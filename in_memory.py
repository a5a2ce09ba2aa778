"""Tensors in memory -> merged tensors: a merge method run eagerly on torch tensors.

The same function that the compiler traces for a recipe is called here on the tensors themselves, so
this is the reference as well as the API for notebooks. Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from .checkpoints.layers import Layers
from .compiler.binding.call_checks import check_base, check_count
from .compiler.binding.python_values import Values, bind_values, not_a_model
from .grammar.diagnostics import Diagnostic, Diagnostics, RecipeError, did_you_mean
from .ops.dtypes import BY_NAME, promote
from .ops.eager import EagerRandom, is_finite
from .ops.method import ZERO, Call, Method, find_method, method_names
from .ops.method_error import MethodError
from .ops.parameters import Parameter
from .ops.random_bits import stream_key

__all__ = ["merge"]

StateDict = Mapping[str, torch.Tensor]
_LISTED = 5  # names in one message


def merge(
    method: str,
    models: Sequence[StateDict],
    *,
    base: StateDict | None = None,
    seed: int = 0,
    nonfinite: Literal["error", "allow"] = "error",
    **parameters: Any,
) -> dict[str, torch.Tensor]:
    """Merge state dicts in memory.

        mergec.merge("ties", [a, b], base=base, weight=[0.5, 0.3], density=0.5)

    models: the sources in order, each with the same tensor names, shape by shape. base: the base
    model, for a method that has one. seed: of a method that draws random masks. nonfinite: whether
    NaN or infinity in an input is an error.
    parameters: the method's columns, each a list with one value per model or one value for all (a
    column of models is a list of state dicts), and its settings. A value is a number, a truth value
    or a word; a list, which is a gradient over the layers (for a column within the list of the
    models' values); or a dict of patterns of tensor names, the first that matches, `"_"` the
    default: `t={"self_attn": [0, 0.5, 1], "_": 0.5}`. `mergec methods NAME` lists the parameters;
    `lambda` is a word of Python: write `lambda_`.

    Every tensor is computed in float32 and rounded once to the dtype that its inputs promote to;
    one that the parameters leave unchanged (such as t = 0) is copied. Tensors of integers or flags
    must be the same in all models, and are copied. The result shares no memory with the inputs, and
    has the order of the base's names, else of the first model's.

    Raises RecipeError with all that is wrong: E0201 (unknown method), E0211 (seed, nonfinite),
    E0301 (number of models), E0303, E0322 (base), E0302, E0304 to E0308 (parameters),
    E0309 (values that the method can't compute with), E0311, E0318, E0319 (models that don't fit
    each other: names, shapes, integer tensors), E0325 (not a value for each model), E0327 (not a
    model), E0608 (NaN or infinity).
    """
    found = find_method(method)
    if found is None:
        hint = did_you_mean(method, method_names()) or f"methods: {', '.join(method_names())}"
        raise RecipeError.of("E0201", f"unknown method `{method}`", hint=hint)
    problems = Diagnostics()
    _check_call(seed, nonfinite, problems)
    _check_models(models, base, problems)
    problems.raise_errors()
    check_count(found.name, len(models), found.sources, problems)
    check_base(found, base is not None, problems, None, ("give `base=…`", "model"))
    values = bind_values(found, len(models), parameters, problems)
    names = _names(models, base, problems)
    _check_beside(values, names, problems)
    problems.raise_errors()
    merger = _Merger(found, values, Layers.of(names, {}), seed)
    result: dict[str, torch.Tensor | None] = {}
    with torch.no_grad():
        for name in names:
            tensors = [model[name] for model in models]
            below = None if base is None else base[name]
            if nonfinite == "error":
                _check_finite(name, [*tensors, *([] if below is None else [below])], problems)
            result[name] = merger.tensor(name, tensors, below, problems)
    problems.raise_errors()
    return {name: tensor for name, tensor in result.items() if tensor is not None}


def _check_call(seed: object, nonfinite: object, problems: Diagnostics) -> None:
    if nonfinite not in ("error", "allow"):
        message = f"`nonfinite` must be one of error, allow, found {nonfinite!r}"
        problems.report("E0211", message)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        problems.report("E0211", f"`seed` must be a whole number from 0, found {seed!r}")


def _check_models(
    models: Sequence[StateDict], base: StateDict | None, problems: Diagnostics
) -> None:
    """Reports E0327 for what is no mapping of names to tensors of a dtype that mergec knows."""
    given = {f"model {number}": model for number, model in enumerate(models)}
    for called, model in (given if base is None else {"the base": base} | given).items():
        problem = not_a_model(model)
        if problem is not None:
            hint = "a model is a mapping of names to tensors, as `model.state_dict()` gives it"
            problems.report("E0327", f"{called} {problem}", hint=hint)


def _names(models: Sequence[StateDict], base: StateDict | None, problems: Diagnostics) -> list[str]:
    """The names that all inputs have, in the base's order, else the first model's."""
    inputs = {f"model {number}": model for number, model in enumerate(models)}
    if base is not None:
        inputs = {"the base": base} | inputs
    union = dict.fromkeys(name for model in inputs.values() for name in model)
    for called, model in inputs.items():
        _report_lacking(called, model, list(union), problems)
    return [name for name in union if all(name in model for model in inputs.values())]


def _check_beside(values: Values, names: Sequence[str], problems: Diagnostics) -> None:
    """Models beside the sources have the sources' tensors, unless they may lack some."""
    for parameter, given in values.beside.items():
        if parameter.required:
            for number, model in enumerate(given):
                _report_lacking(f"{parameter.name} {number}", model, names, problems)


def _check_finite(name: str, tensors: Sequence[torch.Tensor], problems: Diagnostics) -> None:
    if not all(is_finite(x) for x in tensors if x.is_floating_point()):
        hint = '`nonfinite="allow"` merges it all the same'
        problems.report("E0608", f"tensor `{name}` holds NaN or infinity", hint=hint)


def _report_lacking(
    called: str, model: StateDict, names: Sequence[str], problems: Diagnostics
) -> None:
    if lacking := [name for name in names if name not in model]:
        message = f"{called} lacks {len(lacking)} of the tensors that others have"
        problems.items.append(Diagnostic("E0311", message, notes=_some(lacking)))


def _some(names: Sequence[str]) -> tuple[str, ...]:
    more = [f"… {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return (*names[:_LISTED], *more)


class _Merger:
    """One method with its parameters, applied tensor by tensor."""

    def __init__(self, method: Method, values: Values, layers: Layers, seed: int) -> None:
        self._method = method
        self._values = values
        self._layers = layers
        self._seed = seed

    def tensor(
        self,
        name: str,
        sources: Sequence[torch.Tensor],
        base: torch.Tensor | None,
        problems: Diagnostics,
    ) -> torch.Tensor | None:
        """The merged tensor; None where the inputs don't fit, which is reported."""
        merged = [*sources] if base is None else [*sources, base]
        beside = {
            parameter: [model[name] for model in models]
            for parameter, models in self._values.beside.items()
            if models and all(name in model for model in models)
        }
        aligned = [x for parameter, found in beside.items() if not parameter.whole for x in found]
        shapes = dict.fromkeys(tuple(x.shape) for x in [*merged, *aligned])
        if len(shapes) > 1:
            found = " and ".join(str(list(shape)) for shape in shapes)
            problems.report("E0318", f"tensor `{name}` differs in shape: {found}")
            return None
        if not all(x.is_floating_point() for x in merged):
            if all(x.dtype == merged[0].dtype and torch.equal(x, merged[0]) for x in merged):
                return merged[0].clone()
            hint = "only tensors of floats can be merged; others must be the same"
            problems.report(
                "E0319", f"tensor `{name}` of whole numbers or flags differs", hint=hint
            )
            return None
        if merged[0].numel() == 0:
            return merged[0].to(_promoted(merged), copy=True)
        try:
            return self._merge(name, sources, base, beside, _promoted(merged))
        except MethodError as error:
            problems.report("E0309", f"`{self._method.name}`: {error}")
            return None

    def _merge(
        self,
        name: str,
        sources: Sequence[torch.Tensor],
        base: torch.Tensor | None,
        beside: Mapping[Parameter, Sequence[torch.Tensor]],
        dtype: torch.dtype,
    ) -> torch.Tensor:
        tensors = [*sources, *(x for found in beside.values() for x in found)]
        tensors += [] if base is None else [base]
        call = self._call(name, len(sources), tensors, beside, base is not None)
        simpler = self._method.simplify(call) if self._method.simplify else call
        if isinstance(simpler, int):
            same = torch.zeros_like(sources[0]) if simpler == ZERO else tensors[simpler]
            return same.detach().to(dtype, copy=True)

        def wide(identity: Any) -> torch.Tensor | None:
            return None if identity is None else tensors[identity].detach().to(torch.float32)

        values: dict[str, Any] = dict(simpler.settings)
        for parameter in self._method.columns:
            column: list[Any] = [row[parameter.name] for row in simpler.columns]
            is_model = parameter.kind == "model"
            values[parameter.name] = [wide(i) for i in column] if is_model else column
        xs = [wide(i) for i in simpler.sources]
        merged: torch.Tensor = self._method(
            xs, wide(simpler.base), EagerRandom(simpler.keys), values
        )
        return merged.to(dtype, copy=True)  # a method may give back an input as it is

    def _call(
        self,
        name: str,
        count: int,
        tensors: Sequence[torch.Tensor],
        beside: Mapping[Parameter, Sequence[torch.Tensor]],
        has_base: bool,
    ) -> Call:
        """The call on identities: an input's is the position of the first that is the same."""
        identities = iter([next(i for i, y in enumerate(tensors) if y is x) for x in tensors])
        sources = tuple(next(identities) for _ in range(count))
        position = self._position(name)
        columns, settings = self._values.at(name, position, self._depth(name))
        for parameter in self._values.beside:
            given = parameter in beside
            columns = tuple(
                row | {parameter.name: next(identities) if given else None} for row in columns
            )
        if self._method.position is not None:
            settings[self._method.position.name] = position
        keys = tuple(stream_key(self._seed, self._method.name, i, name) for i in range(count))
        return Call(
            sources=sources,
            base=next(identities) if has_base else None,
            columns=columns,
            settings=settings,
            keys=keys if self._method.random else (),
            rounded=tuple(str(x.dtype).removeprefix("torch.") for x in tensors[:count]),
        )

    def _depth(self, name: str) -> int | None:
        """How many layers there are, where a tensor is one of a layer's."""
        place = self._layers.locate(name)
        return None if place is None else self._layers.stacks[place.stack].count

    def _position(self, name: str) -> float:
        """Where a tensor's layer stands among the layers, 0 to 1; outside them 0."""
        place = self._layers.locate(name)
        if place is None:
            return 0.0
        count = self._layers.stacks[place.stack].count
        return place.layer / (count - 1) if count > 1 else 1.0


def _promoted(inputs: Sequence[torch.Tensor]) -> torch.dtype:
    names = [str(x.dtype).removeprefix("torch.") for x in inputs]
    dtype = BY_NAME[names[0]]
    for name in names[1:]:
        dtype = promote(dtype, BY_NAME[name])
    found: torch.dtype = getattr(torch, dtype.name)
    return found
