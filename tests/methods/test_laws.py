"""Laws that merge methods obey whatever their inputs are.

Inputs and weights are small multiples of powers of two, so that sums are exact and a sign election
can't hang on the order of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import Call
from mergec.ops.method import find_method

settings.register_profile("laws", max_examples=60, deadline=None)
settings.load_profile("laws")

Array = np.ndarray[Any, np.dtype[Any]]

_dyadic = st.integers(-64, 64).map(lambda n: n / 16)
_positive = st.integers(1, 24).map(lambda n: n / 8)
_density = st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0])


@st.composite
def tensors(draw: st.DrawFn, least: int = 1, most: int = 4) -> list[Array]:
    """`least` to `most` arrays of one shape."""
    count = draw(st.integers(least, most))
    shape = draw(hnp.array_shapes(max_dims=2, max_side=6))
    return [draw(hnp.arrays(np.float64, shape, elements=_dyadic)) for _ in range(count)]


def merge(name: str, xs: Sequence[Array], base: Array | None = None, **values: Any) -> Array:
    """The method in float64; columns are lists, other parameters keep their defaults."""
    method = find_method(name)
    assert method is not None
    for parameter in method.parameters:
        if parameter.name not in values and not parameter.required:
            count = len(xs)
            default = parameter.default
            values[parameter.name] = [default] * count if parameter.per_source else default
    sources = [torch.from_numpy(x) for x in xs]
    call = Call(method, sources, None if base is None else torch.from_numpy(base), values)
    found: Array = call.eager(torch.float64).numpy()
    return found


def close(found: Array, wanted: Array) -> bool:
    return bool(np.allclose(found, wanted, rtol=1e-12, atol=1e-12))


def _ones(xs: Sequence[Array]) -> list[float]:
    return [1.0] * len(xs)


# Ends and single inputs -------------------------------------------------------------------------


@given(tensors(2, 2))
def test_slerp_starts_at_the_first_and_ends_at_the_second(xs: list[Array]) -> None:
    assert close(merge("slerp", xs, t=0.0), xs[0])
    assert close(merge("slerp", xs, t=1.0), xs[1])


@given(tensors(2, 2), st.sampled_from([0.25, 0.5, 0.7]))
def test_slerp_is_symmetric(xs: list[Array], t: float) -> None:
    assert close(merge("slerp", xs, t=t), merge("slerp", xs[::-1], t=1 - t))


@given(tensors(1, 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_slerp_of_a_model_with_itself_is_the_model(xs: list[Array], t: float) -> None:
    assert close(merge("slerp", [xs[0], xs[0]], t=t), xs[0])


@given(tensors(1, 1), _positive)
def test_linear_of_one_input_is_that_input(xs: list[Array], weight: float) -> None:
    assert close(merge("linear", xs, weight=[weight]), xs[0])


@given(tensors(2, 2))
def test_task_vectors_of_one_input_at_weight_one_give_that_input(xs: list[Array]) -> None:
    x, base = xs
    assert close(merge("task_arithmetic", [x], base, weight=[1.0]), x)
    assert close(merge("ties", [x], base, weight=[1.0]), x)
    assert close(merge("dare_linear", [x], base, weight=[1.0]), x)
    assert close(merge("dare_ties", [x], base, weight=[1.0]), x)


@given(tensors(1, 1))
def test_passthrough_scales(xs: list[Array]) -> None:
    assert np.array_equal(merge("passthrough", xs), xs[0])
    assert np.array_equal(merge("passthrough", xs, scale=[-0.5]), xs[0] * -0.5)


# Symmetries -------------------------------------------------------------------------------------


@given(st.data(), tensors(3, 5), _density)
def test_the_order_of_inputs_does_not_matter(
    data: st.DataObject, found: list[Array], density: float
) -> None:
    *xs, base = found
    weight = [data.draw(_positive) for _ in xs]
    order = data.draw(st.permutations(range(len(xs))))
    shuffled, moved = [xs[i] for i in order], [weight[i] for i in order]
    assert close(merge("linear", xs, weight=weight), merge("linear", shuffled, weight=moved))
    for name in ("task_arithmetic", "ties"):
        extra = {"density": [density] * len(xs)} if name == "ties" else {}
        one = merge(name, xs, base, weight=weight, **extra)
        assert close(one, merge(name, shuffled, base, weight=moved, **extra)), name


@given(tensors(3, 4), st.sampled_from([0.25, 4.0, -2.0]), _density)
def test_scaling_every_input_scales_the_result(
    found: list[Array], scale: float, density: float
) -> None:
    *xs, base = found
    scaled = [x * scale for x in xs]
    weight = [0.5 + i for i in range(len(xs))]
    assert close(merge("linear", scaled, weight=weight), merge("linear", xs, weight=weight) * scale)
    one = merge("task_arithmetic", xs, base, weight=weight)
    assert close(merge("task_arithmetic", scaled, base * scale, weight=weight), one * scale)
    assert close(merge("slerp", scaled[:2], t=0.3), merge("slerp", xs[:2], t=0.3) * scale)
    if scale > 0:  # an election that ends even goes to +, so a mirrored one may end otherwise
        columns: dict[str, Any] = {"weight": weight, "density": [density] * len(xs)}
        one = merge("ties", xs, base, **columns)
        assert close(merge("ties", scaled, base * scale, **columns), one * scale)


@given(tensors(3, 4), _positive)
def test_normalised_weights_count_by_their_ratio(found: list[Array], factor: float) -> None:
    *xs, base = found
    weight = [1.0 + i for i in range(len(xs))]
    more = [factor * w for w in weight]
    assert close(merge("linear", xs, weight=weight), merge("linear", xs, weight=more))
    assert close(merge("ties", xs, base, weight=weight), merge("ties", xs, base, weight=more))


# Task vectors that vanish -----------------------------------------------------------------------


@given(tensors(2, 4))
def test_an_input_that_is_the_base_adds_nothing(found: list[Array]) -> None:
    *xs, base = found
    for name in ("task_arithmetic", "ties", "dare_linear", "dare_ties"):
        alone = merge(name, xs, base, weight=_ones(xs))
        beside = merge(name, [*xs, base], base, weight=[*_ones(xs), 0.75])
        assert close(alone, beside), name


@given(tensors(1, 1), st.integers(1, 3), _density)
def test_zero_task_vectors_give_the_base(xs: list[Array], count: int, density: float) -> None:
    (base,) = xs
    copies = [base] * count
    assert np.array_equal(merge("task_arithmetic", copies, base, weight=_ones(copies)), base)
    for name in ("ties", "dare_linear", "dare_ties"):
        columns = {"weight": _ones(copies), "density": [density] * count}
        assert np.array_equal(merge(name, copies, base, **columns), base), name


@given(tensors(2, 4))
def test_density_zero_gives_the_base_and_density_one_keeps_all(found: list[Array]) -> None:
    *xs, base = found
    weight = [0.5 + i for i in range(len(xs))]
    none, everything = [0.0] * len(xs), _ones(xs)
    for name in ("ties", "dare_linear", "dare_ties"):
        assert np.array_equal(merge(name, xs, base, weight=weight, density=none), base), name
    arithmetic = merge("task_arithmetic", xs, base, weight=weight)
    assert close(merge("dare_linear", xs, base, weight=weight, density=everything), arithmetic)
    elected = merge("ties", xs, base, weight=weight, density=everything, normalize=False)
    assert close(merge("dare_ties", xs, base, weight=weight, density=everything), elected)


@given(tensors(3, 4), _density)
def test_lambda_scales_what_is_added(found: list[Array], density: float) -> None:
    *xs, base = found
    columns: dict[str, Any] = {"weight": _ones(xs), "density": [density] * len(xs)}
    once = merge("ties", xs, base, **columns) - base
    assert close(merge("ties", xs, base, **columns, **{"lambda": 0.5}) - base, 0.5 * once)
