"""Calls of every merge method for tests: how many sources, which parameter values, which tensors.

A new method comes under test by itself: numbers are drawn by their parameter's name or kept at
their default, and every value of a boolean or choice is taken by at least one variant.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from kernels.harness import Call
from mergec.ops import delta_arithmetic as arithmetic
from mergec.ops.method import Method, find_method, method_names
from mergec.ops.parameters import Parameter

MIX = (torch.float32, torch.bfloat16, torch.float16)
"""Dtypes of the inputs, in turn."""

SOURCES = 3
"""How many sources a method of any number is called with, unless it asks for more."""

RANGES: dict[str, tuple[float, float]] = {
    "weight": (0.2, 1.0),
    "density": (0.35, 0.8),
    "lambda": (0.5, 1.2),
    "t": (0.2, 0.8),
    "scale": (0.5, 1.5),
}
"""What numbers of a name are drawn from; a number of another name keeps its default."""

FIXED: dict[tuple[str, str], Any] = {
    ("wudi", "steps"): 5,
    ("lines", "alpha"): 0.3,
    ("rotate", "alpha"): 0.3,
    ("train_difference", "alpha"): 0.7,
    ("sce", "select_topk"): 0.6,
}
"""One method's parameters that are neither drawn nor left at their default."""

METHOD_RANGES: dict[tuple[str, str], tuple[float, float]] = {
    ("nearswap", "t"): (0.005, 0.02),
}
"""The same for one method's parameter."""


def all_methods() -> dict[str, Method]:
    """Every merge method, and the operators of the language."""
    found = {name: find_method(name) for name in method_names()}
    operators = {name: v for name, v in vars(arithmetic).items() if isinstance(v, Method)}
    return {name: method for name, method in found.items() if method is not None} | operators


def variants(method: Method) -> int:
    """How many calls it takes to see every value of every boolean and choice."""
    return max([1, *(len(_options(p)) for p in method.parameters)])


def sample_call(method: Method, variant: int, shape: tuple[int, ...], seed: int = 0) -> Call:
    """A call on generated weights of several dtypes, as they are in a mixed merge."""
    inputs = weights(shape, count_inputs(method), seed=seed)
    return make_call(method, [x.to(MIX[i % len(MIX)]) for i, x in enumerate(inputs)], variant)


def make_call(
    method: Method, inputs: list[torch.Tensor], variant: int = 0, sources: int = SOURCES
) -> Call:
    """A call on the first tensors that it needs; `inputs` are at least `count_inputs(method)`.

    sources: how many, of a method that takes any number.
    """
    count, shape = _count_sources(method, sources), tuple(inputs[0].shape)
    random = np.random.default_rng(zlib.crc32(f"{method.name}/{variant}".encode()))
    chosen: dict[str, Any] = {}
    for parameter in method.parameters:
        repeats = count if parameter.per_source else 1
        row = [_value(method, parameter, variant, random, shape) for _ in range(repeats)]
        chosen[parameter.name] = row if parameter.per_source else row[0]
    base = inputs[count] if _has_base(method) else None
    return Call(method, inputs[:count], base, chosen)


def bfloat16_call(method: Method, sources: int) -> Call:
    """A call on so many small bfloat16 tensors, of a method that takes any number."""
    inputs = weights((4, 4), sources + 1)
    return make_call(method, [x.to(torch.bfloat16) for x in inputs], sources=sources)


def count_inputs(method: Method) -> int:
    """Sources, and the base if the method can have one."""
    return _count_sources(method) + _has_base(method)


def weights(shape: tuple[int, ...], count: int, *, seed: int = 0) -> list[torch.Tensor]:
    """A base and fine-tunes of it, the base last: heavy tails, exact zeros, subnormal numbers."""
    generator = torch.Generator().manual_seed(seed)
    base = 0.05 * torch.randn(shape, generator=generator)
    base *= torch.randn(shape, generator=generator).exp().clamp(max=5)
    found = []
    for _ in range(count - 1):
        change = 0.01 * torch.randn(shape, generator=generator)
        changed = base + change * (torch.rand(shape, generator=generator) < 0.9)
        found.append(changed)
    for number, x in enumerate([*found, base]):
        flat = x.view(-1)
        flat[number::97] = 1e-40 * (number + 1)
        flat[number::101] = 0.0
        flat[number::103] = -0.0
    return [*found, base]


def _count_sources(method: Method, sources: int = SOURCES) -> int:
    least, most = method.sources
    return least if most is not None else max(least, sources)


def _has_base(method: Method) -> bool:
    return method.base in ("required", "optional")


def _options(parameter: Parameter) -> tuple[Any, ...]:
    """The values of a boolean or choice, its default first."""
    values: tuple[Any, ...] = parameter.choices
    if parameter.name == "scope":  # a whole model's threshold isn't a single program's to find
        return ("tensor",)
    if parameter.kind == "boolean":
        values = (True, False)
    first = (parameter.default,) if parameter.default in values else ()
    return first + tuple(v for v in values if v not in first)


def _value(
    method: Method,
    parameter: Parameter,
    variant: int,
    random: np.random.Generator,
    shape: tuple[int, ...],
) -> Any:
    if parameter.kind == "model":
        return _statistics(parameter, random, shape)
    if (method.name, parameter.name) in FIXED:
        return FIXED[method.name, parameter.name]
    options = _options(parameter)
    if options:
        return options[variant % len(options)]
    key = method.name, parameter.name
    bounds = METHOD_RANGES.get(key) or RANGES.get(parameter.name)
    if bounds is None and not parameter.required:
        return parameter.default
    low, high = bounds or (0.2, 0.8)
    return float(random.uniform(low, high))


def _statistics(
    parameter: Parameter, random: np.random.Generator, shape: tuple[int, ...]
) -> torch.Tensor:
    """Positive numbers, or where the column's tensors have their own square shape a Gram matrix."""
    own = parameter.shape(shape)
    found = random.uniform(0.5, 1.5, own)
    if parameter.whole:
        samples = random.standard_normal((2 * own[0] + 3, own[0]))
        found = samples.T @ samples
    return torch.from_numpy(found.astype(np.float32))
