"""Every merge method, eager and compiled, against its formula in numpy float64.

A new method is one row of ROWS; a test says so where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from kernels.calls import sample_call, variants
from kernels.harness import Call
from kernels.hashing import keyed_bits, mask
from mergec.ops.method import find_method, method_names
from methods import reference
from methods import reference_beyond as beyond

Array = reference.Array

ROWS: dict[str, tuple[Callable[..., Array], float]] = {
    "add_difference": (beyond.add_difference, 1e-6),
    "arcee_fusion": (reference.arcee_fusion, 1e-6),
    "breadcrumbs": (reference.breadcrumbs, 1e-6),
    "breadcrumbs_ties": (reference.breadcrumbs_ties, 1e-6),
    "consensus_ta": (beyond.consensus_ta, 1e-6),
    "dare_linear": (reference.dare_linear, 1e-6),
    "dare_ties": (reference.dare_ties, 1e-6),
    "della": (reference.della, 1e-6),
    "della_linear": (reference.della_linear, 1e-6),
    "fisher": (beyond.fisher, 1e-6),
    "geometric_median": (beyond.geometric_median, 1e-5),
    "iso_c": (beyond.iso_c, 1e-5),
    "iso_cts": (beyond.iso_cts, 1e-5),
    "karcher": (reference.karcher, 2e-6),
    "linear": (reference.linear, 1e-6),
    "lines": (beyond.lines, 1e-6),
    "magmax": (beyond.magmax, 1e-6),
    "model_stock": (reference.model_stock, 2e-6),
    "multislerp": (reference.multislerp, 2e-6),
    "nearswap": (reference.nearswap, 1e-6),
    "nuslerp": (reference.nuslerp, 2e-6),
    "passthrough": (reference.passthrough, 1e-7),
    "pcb": (beyond.pcb, 1e-5),
    "ram": (reference.ram, 1e-6),
    "ramplus_tl": (reference.ramplus_tl, 1e-6),
    "regmean": (beyond.regmean, 1e-5),
    "rotate": (beyond.rotate, 1e-5),
    "sce": (reference.sce, 1e-6),
    "slerp": (reference.slerp, 2e-6),
    "task_arithmetic": (reference.task_arithmetic, 1e-6),
    "ties": (reference.ties, 1e-6),
    "train_difference": (beyond.train_difference, 1e-6),
    "tsvm": (beyond.tsvm, 1e-5),
    "wudi": (beyond.wudi, 2e-4),
}
"""method -> its formula, and how far a result may be off in parts of the largest magnitude."""

CHOICES = {"arcee_fusion": 1e-4, "della": 1e-4, "della_linear": 1e-4}
"""Methods whose threshold or ranks hang on rounding: which share of elements may fall otherwise."""

SHAPES: tuple[tuple[int, ...], ...] = ((1,), (37,), (24, 40), (40, 24), (3, 5, 7), (300, 500))
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
    epsilon = values.get("epsilon")
    found = []
    for i, (x, key) in enumerate(zip(call.sources, call.keys, strict=True)):
        density = values["density"][i]
        if epsilon is None:
            found.append(mask(key, density, x.numel()))
            continue
        delta = _array(x) - _array(call.base)
        chance = (
            reference.della_probabilities(delta, density, epsilon[i]).ravel().astype(np.float32)
        )
        found.append(keyed_bits(key, np.arange(x.numel())) < chance * np.float32(2**24))
    return found


def _expected(call: Call, formula: Callable[..., Array]) -> Array:
    values = dict(call.values)
    if "lambda" in values:
        values["lambda_"] = values.pop("lambda")
    for parameter in call.method.model_columns:
        values[parameter.name] = [_array(x) for x in values[parameter.name]]
    if call.method.random:
        values["masks"] = _masks(call, values)
    bases = [] if call.base is None else [_array(call.base)]
    return formula([_array(x) for x in call.sources], *bases, **values)


def _assert_close(found: torch.Tensor, wanted: Array, tolerance: float, choices: float) -> None:
    apart = np.abs(_array(found) - wanted) / max(float(np.abs(wanted).max()), 1e-300)
    assert not np.isnan(apart).any()
    assert (apart > tolerance).mean() <= choices, (apart.max(), tolerance)


def test_every_method_has_a_row() -> None:
    assert not set(method_names()) - set(ROWS)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_method_computes_its_formula(name: str, variant: int) -> None:
    (formula, tolerance), choices = ROWS[name], CHOICES.get(name, 0.0)
    method = find_method(name)
    assert method is not None
    for shape in SHAPES:
        call = sample_call(method, variant, shape, seed=11)
        expected = _expected(call, formula)
        _assert_close(call.eager(torch.float64), expected, tolerance, choices)
        _assert_close(call.compiled(), expected, tolerance, choices)
