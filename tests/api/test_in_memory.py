"""`mergec.merge`: values against the mathematics, dtypes, copies, and what it refuses."""

from __future__ import annotations

from typing import Any

import mergec
import pytest
import torch
from mergec.errors import RecipeError

StateDict = dict[str, torch.Tensor]


@pytest.fixture
def dicts() -> list[StateDict]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "w": torch.randn(6, 5, generator=generator).bfloat16(),
            "b": torch.randn(7, generator=generator),
            "ids": torch.arange(3),
        }
        for _ in range(3)
    ]


def test_linear(dicts):
    a, b, _ = dicts
    merged = mergec.merge("linear", [a, b], weight=[1, 3])
    assert list(merged) == ["w", "b", "ids"]
    assert merged["w"].dtype == torch.bfloat16
    expected = (a["w"].float() * 0.25 + b["w"].float() * 0.75).bfloat16()
    assert torch.equal(merged["w"], expected)
    torch.testing.assert_close(merged["b"], a["b"] * 0.25 + b["b"] * 0.75)
    assert torch.equal(merged["ids"], a["ids"])
    assert merged["ids"].data_ptr() != a["ids"].data_ptr()


def test_task_arithmetic_with_one_value_for_all(dicts):
    a, b, base = dicts
    merged = mergec.merge("task_arithmetic", [a, b], base=base, weight=0.5, lambda_=2.0)
    expected = base["b"] + 2.0 * (0.5 * (a["b"] - base["b"]) + 0.5 * (b["b"] - base["b"]))
    torch.testing.assert_close(merged["b"], expected)


def test_ties_keeps_the_largest_and_agrees_on_a_sign():
    base = {"w": torch.zeros(4)}
    a = {"w": torch.tensor([4.0, -3.0, 0.1, 2.0])}
    b = {"w": torch.tensor([2.0, 5.0, 0.2, -0.1])}
    merged = mergec.merge("ties", [a, b], base=base, weight=1.0, density=0.5)
    assert merged["w"].tolist() == [3.0, 5.0, 0.0, 0.0]


def test_dare_is_a_function_of_its_seed(dicts):
    a, b, base = dicts

    def drawn(seed: int) -> torch.Tensor:
        merged = mergec.merge("dare_ties", [a, b], base=base, weight=0.5, density=0.5, seed=seed)
        return merged["b"]

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_a_column_of_models():
    a, b = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 6.0])}
    shares = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([3.0, 2.0])}]
    merged = mergec.merge("fisher", [a, b], statistics=shares, floor=0.0)
    torch.testing.assert_close(merged["w"], torch.tensor([2.5, 6.0]))
    with pytest.raises(RecipeError, match="E0302"):
        mergec.merge("fisher", [a, b])
    with pytest.raises(RecipeError, match="must be a list of 2 state dicts"):
        mergec.merge("fisher", [a, b], statistics=shares[:1])
    with pytest.raises(RecipeError, match="statistics 1 lacks 1 "):
        mergec.merge("fisher", [a, b], statistics=[shares[0], {}])
    with pytest.raises(RecipeError, match="E0318"):
        mergec.merge("fisher", [a, b], statistics=[shares[0], {"w": torch.ones(3)}])


def test_a_scale_that_grows_with_depth():
    names = [f"layers.{i}.w" for i in range(3)]
    base = dict.fromkeys(names, torch.zeros(2))
    model = {name: torch.ones(2) for name in names}
    merged = mergec.merge("lines", [model], base=base, alpha=0.2, beta=0.6)
    torch.testing.assert_close(
        torch.stack([merged[name][0] for name in names]), torch.tensor([0.2, 0.5, 0.8])
    )
    with pytest.raises(RecipeError, match="no parameter `position`"):
        mergec.merge("lines", [model], base=base, position=0.5)


def test_dtypes_promote(dicts):
    a, b = dicts[:2]
    b = b | {"w": b["w"].half()}
    assert mergec.merge("linear", [a, b], weight=1)["w"].dtype == torch.float32
    a = a | {"w": a["w"].double()}
    assert mergec.merge("linear", [a, b], weight=1)["w"].dtype == torch.float64


def test_what_is_unchanged_is_copied(dicts):
    a, b, base = dicts
    for merged in (
        mergec.merge("slerp", [a, b], t=0),
        mergec.merge("linear", [a, b], weight=[2, 0]),
        mergec.merge("ties", [b], base=a, weight=0.0),
    ):
        for name, value in merged.items():
            assert torch.equal(value, a[name])
            assert value.data_ptr() != a[name].data_ptr()
    assert not mergec.merge("slerp", [{"w": base["b"].requires_grad_()}] * 2, t=0)[
        "w"
    ].requires_grad


@pytest.mark.parametrize(
    ("method", "count", "base", "parameters", "codes"),
    [
        ("tie", 2, True, {}, ["E0201"]),
        ("slerp", 3, False, {"t": 0.5}, ["E0301"]),
        ("linear", 0, False, {"weight": 1}, ["E0301"]),
        ("ties", 2, False, {"weight": 1}, ["E0303"]),
        ("slerp", 2, True, {"t": 0.5}, ["E0322"]),
        ("linear", 2, False, {}, ["E0302"]),
        ("ties", 2, True, {"wieght": 1, "density": [1, 1, 1]}, ["E0325", "E0304", "E0302"]),
        ("ties", 2, True, {"weight": "a lot"}, ["E0306"]),
        ("ties", 2, True, {"weight": 1, "normalize": 3}, ["E0306"]),
        ("dare_ties", 2, True, {"weight": 1, "rescale": "l3"}, ["E0306"]),
        ("linear", 2, False, {"weight": [1, -1]}, ["E0309"]),
    ],
)
def test_refusals(
    dicts, method: str, count: int, base: bool, parameters: dict[str, Any], codes: list[str]
):
    with pytest.raises(RecipeError) as caught:
        mergec.merge(method, dicts[:count], base=dicts[2] if base else None, **parameters)
    assert [d.code for d in caught.value.diagnostics] == codes


def test_models_that_do_not_fit(dicts):
    a, b, base = dicts
    cases = [
        (a, {name: b[name] for name in ("w", "ids")}, "E0311", "model 1 lacks 1 "),
        (a, b | {"w": b["w"][:3]}, "E0318", r"\[6, 5\] and \[3, 5\]"),
        (a, b | {"ids": b["ids"] + 1}, "E0319", "`ids`"),
        (a, b | {"ids": b["ids"].int()}, "E0319", "`ids`"),
    ]
    for left, right, code, words in cases:
        with pytest.raises(RecipeError, match=words) as caught:
            mergec.merge("linear", [left, right], weight=1)
        assert [d.code for d in caught.value.diagnostics] == [code]
    with pytest.raises(RecipeError, match="the base lacks"):
        mergec.merge("ties", [a, b], base={"w": base["w"]}, weight=1)


def test_gradients_and_matches_by_name():
    names = [f"layers.{i}.{part}.w" for i in range(3) for part in ("attn", "mlp")]
    zeros, ones = dict.fromkeys(names, torch.zeros(2)), dict.fromkeys(names, torch.ones(2))
    t = {"attn": [0, 0.5, 1], "layers.{-1..-1}": 0.75, "_": 0.25}
    merged = mergec.merge("slerp", [ones, {n: 2 * x for n, x in ones.items()}], t=t)
    found = [round(float(merged[name][0]) - 1, 6) for name in names]
    assert found == [0.0, 0.25, 0.5, 0.25, 1.0, 0.75]
    merged = mergec.merge("linear", [zeros, ones], weight=[[1, 0], [0, 1]], normalize=False)
    assert [float(merged[name][0]) for name in names] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"weight": float("nan")}, "E0306"),
        ({"weight": [1, float("inf")]}, "E0306"),
        ({"weight": torch.ones(2)}, "E0306"),
        ({"weight": [[1, "a"], 1]}, "E0306"),
        ({"weight": {"mlp": {"a": 1}, "_": 1}}, "E0308"),
        ({"weight": {"{0..": 1, "_": 1}}, "E0125"),
        ({"weight": {"mlp": 1}}, "E0106"),
        ({"weight": 1, "nonfinite": "maybe"}, "E0211"),
        ({"weight": 1, "seed": -1}, "E0211"),
        ({"weight": 1, "seed": 0.5}, "E0211"),
    ],
)
def test_values_are_checked_as_a_recipe_s(dicts, parameters: dict[str, Any], code: str):
    with pytest.raises(RecipeError) as caught:
        mergec.merge("linear", dicts[:2], **parameters)
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert problem.span is None


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ([torch.ones(2)], "is a list, not a state dict"),
        ({"w": [1.0, 2.0]}, "has a list at 'w', not a tensor"),
        ({3: torch.ones(2)}, "has a tensor named 3, not by a string"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "`w` of torch.complex64"),
    ],
)
def test_what_is_not_a_model(dicts, model: Any, words: str):
    with pytest.raises(RecipeError) as caught:
        mergec.merge("linear", [dicts[0], model], weight=1)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0327"
    assert problem.message.startswith("model 1 ")
    assert words in problem.message
