"""Inputs on the edge: opposite directions, tensors without elements, numbers that aren't finite."""

from __future__ import annotations

from pathlib import Path

import mergec
import numpy as np
import pytest
import torch
from mergec.errors import MergecError
from mergec.ops.method import find_method, method_names
from safetensors.numpy import load_file
from support.checkpoints import write_checkpoint

OPPOSED = ("nuslerp", "karcher", "multislerp", "slerp")


def run(text: str, folder: Path) -> dict[str, np.ndarray]:
    (folder / "r.merge").write_text(text, encoding="utf-8")
    mergec.run(folder / "r.merge")
    return load_file(folder / "out" / "model.safetensors")


@pytest.mark.parametrize("name", OPPOSED)
def test_opposite_models_give_no_larger_numbers(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    one = {f"s{i}": np.abs(random.standard_normal(1)).astype(np.float32) for i in range(60)}
    one |= {f"m{i}": random.standard_normal((40, 50)).astype(np.float32) for i in range(5)}
    factor = {n: np.float32(-random.uniform(0.5, 2)) for n in one}
    other = {n: x * factor[n] for n, x in one.items()}
    for model, tensors in (("a", one), ("b", other)):
        write_checkpoint(tmp_path / model, tensors, {})
    columns = {"nuslerp": " weight=0.6", "multislerp": " weight=0.5"}.get(name, "")
    setting = "t = 0.4" if name == "slerp" else ""
    found = run(f'save {name} {{ "./a"{columns}\n"./b"{columns}\n{setting} }} to "./out"', tmp_path)
    for n, x in found.items():
        largest = np.maximum(np.abs(one[n]).max(), np.abs(other[n]).max())
        assert np.abs(x).max() <= 1.01 * largest, n
        if name == "karcher":  # the first model's direction at the mean norm
            norms = [float(np.linalg.norm(t[n])) for t in (one, other)]
            np.testing.assert_allclose(np.linalg.norm(x), np.mean(norms), rtol=1e-4)


@pytest.mark.parametrize("name", method_names())
def test_tensors_without_elements(name: str, tmp_path: Path) -> None:
    method = find_method(name)
    assert method is not None
    fewest, most = method.sources
    count = fewest if most is not None else max(fewest, 2)
    empty = {"a": np.zeros((0, 4), np.float32), "b": np.zeros((2, 0, 3), np.float32)}
    empty |= {"c": np.zeros(0, np.float32), "d": np.ones((3, 4), np.float32)}
    for model in ("base", *(f"m{i}" for i in range(count))):
        write_checkpoint(tmp_path / model, empty, {})
    columns = ""
    for p in method.columns:
        if p.kind == "model":
            columns += f' {p.name}="./base"' if p.required else f' {p.name}="./none"'
        elif p.required:
            columns += f" {p.name}=0.5"
    write_checkpoint(tmp_path / "none", {"z": np.ones(1, np.float32)}, {})
    rows = [f'"./m{i}"{columns}' for i in range(count)]
    rows += ['base = "./base"'] if method.base == "required" else []
    rows += [f"{p.name} = 0.3" for p in method.settings if p.required]
    found = run(f"save {name} {{ " + "\n".join(rows) + ' } to "./out"', tmp_path)
    assert {n: x.shape for n, x in found.items()} == {n: x.shape for n, x in empty.items()}


@pytest.mark.parametrize("name", ["tsvm", "iso_c", "iso_cts", "wudi"])
def test_what_is_not_finite_goes_through_where_it_may(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for model in ("base", "a", "b"):
        tensor = random.standard_normal((8, 8)).astype(np.float32)
        tensor[2, 3] = np.nan if model == "a" else 0.5
        write_checkpoint(tmp_path / model, {"w": tensor}, {})
    text = f'save {name} {{ base = "./base"\n"./a"\n"./b" }} to "./out"'
    with pytest.raises(MergecError, match="E0608"):
        run(text, tmp_path)
    assert np.isnan(run("set nonfinite = allow\n" + text, tmp_path)["w"]).any()


def test_in_memory_what_is_not_finite_is_refused_by_name() -> None:
    good, bad = torch.ones(3), torch.tensor([1.0, float("inf"), 0.0])
    with pytest.raises(MergecError, match=r"E0608.*`w` holds NaN"):
        mergec.merge("linear", [{"w": good}, {"w": bad}], weight=0.5)
    found = mergec.merge("linear", [{"w": good}, {"w": bad}], weight=0.5, nonfinite="allow")
    assert torch.isinf(found["w"]).any()
