"""Every merge method, eager and compiled, against its formula in numpy float64.

A new method is one row of ROWS; a test says so where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from kernels.calls import count_inputs, make_call, variants, weights
from kernels.harness import Call
from kernels.hashing import keyed_bits, mask
from mergec.ops.method import find_method, method_names
from methods import reference

Array = reference.Array

ROWS: dict[str, tuple[Callable[..., Array], float]] = {
    "arcee_fusion": (reference.arcee_fusion, 1e-6),
    "breadcrumbs": (reference.breadcrumbs, 1e-6),
    "breadcrumbs_ties": (reference.breadcrumbs_ties, 1e-6),
    "dare_linear": (reference.dare_linear, 1e-6),
    "dare_ties": (reference.dare_ties, 1e-6),
    "della": (reference.della, 1e-6),
    "della_linear": (reference.della_linear, 1e-6),
    "karcher": (reference.karcher, 2e-6),
    "linear": (reference.linear, 1e-6),
    "model_stock": (reference.model_stock, 2e-6),
    "multislerp": (reference.multislerp, 2e-6),
    "nearswap": (reference.nearswap, 1e-6),
    "nuslerp": (reference.nuslerp, 2e-6),
    "passthrough": (reference.passthrough, 1e-7),
    "ram": (reference.ram, 1e-6),
    "ramplus_tl": (reference.ramplus_tl, 1e-6),
    "sce": (reference.sce, 1e-6),
    "slerp": (reference.slerp, 2e-6),
    "task_arithmetic": (reference.task_arithmetic, 1e-6),
    "ties": (reference.ties, 1e-6),
}
"""method -> its formula, and how far a result may be off in parts of the largest magnitude."""

SHAPES: tuple[tuple[int, ...], ...] = ((1,), (37,), (24, 40), (3, 5, 7), (300, 500))
CASES = [
    (name, variant)
    for name in method_names()
    if name in ROWS and (method := find_method(name)) is not None
    for variant in range(variants(method))
]


def _array(x: torch.Tensor) -> Array:
    found: Array = x.to(torch.float64).numpy()
    return found


def _masks(call: Call, values: dict[str, Any]) -> list[Array]:
    """What a random method keeps, from the streams' definition and its own probabilities."""
    assert call.base is not None
    epsilon = values.pop("epsilon", None)
    found = []
    for i, (x, key) in enumerate(zip(call.sources, call.keys, strict=True)):
        density = values["density"][i]
        if epsilon is None:
            found.append(mask(key, density, x.numel()))
            continue
        spread = epsilon[i] if isinstance(epsilon, list) else epsilon
        delta = _array(x) - _array(call.base)
        chance = reference.della_probabilities(delta, density, spread).ravel().astype(np.float32)
        found.append(keyed_bits(key, np.arange(x.numel())) < chance * np.float32(2**24))
    return found


def _expected(call: Call, formula: Callable[..., Array]) -> Array:
    values = dict(call.values)
    if "lambda" in values:
        values["lambda_"] = values.pop("lambda")
    if call.method.random:
        values["masks"] = _masks(call, values)
    bases = [] if call.base is None else [_array(call.base)]
    return formula([_array(x) for x in call.sources], *bases, **values)


def _assert_close(found: torch.Tensor, wanted: Array, tolerance: float) -> None:
    scale = float(np.abs(wanted).max())
    worst = float(np.abs(_array(found) - wanted).max())
    assert worst <= tolerance * scale, (worst / scale, tolerance)


def test_every_method_has_a_row() -> None:
    assert not set(method_names()) - set(ROWS)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_method_computes_its_formula(name: str, variant: int) -> None:
    formula, tolerance = ROWS[name]
    method = find_method(name)
    assert method is not None
    for shape in SHAPES:
        call = make_call(method, weights(shape, count_inputs(method), seed=11), variant)
        expected = _expected(call, formula)
        _assert_close(call.eager(torch.float64), expected, tolerance)
        if len(shape) != 3:
            _assert_close(call.compiled(), expected, tolerance)
