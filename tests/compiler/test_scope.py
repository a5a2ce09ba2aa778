"""`scope = model`: one threshold for all tensors of a model, found in passes over it."""

from __future__ import annotations

from pathlib import Path

import mergec
import numpy as np
import pytest
from mergec.errors import MergecError
from methods.reference_beyond import pcb
from support.checkpoints import write_checkpoint

SHAPES = {"a.weight": (300, 700), "b.weight": (17,), "c.weight": (40, 33)}
DENSITY = {"x": 0.2, "y": 0.55}
WEIGHT = {"x": 0.7, "y": 0.4}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    base = {n: rng.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}
    found = {"base": base}
    for name, seed in (("x", 5), ("y", 6)):
        noise = np.random.default_rng(seed)
        # each tensor moves by another amount, so that a tensor's own threshold would differ
        found[name] = {
            n: (t + (i + 1) * 0.1 * noise.standard_normal(t.shape)).astype(np.float32)
            for i, (n, t) in enumerate(base.items())
        }
    for name, tensors in found.items():
        write_checkpoint(tmp_path / name, tensors, {})
    return found


def recipe(out: Path, columns: str = "", scope: str = "model") -> str:
    rows = "\n".join(
        f'"./{m}" weight={WEIGHT[m]} density={DENSITY[m]}{columns}' for m in ("x", "y")
    )
    return (
        f'save ties {{ base = "./base"\n{rows}\nscope = {scope} }} to "{out}" {{ dtype = float32 }}'
    )


def written(out: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(str(out / "model.safetensors"))


def merged(text: str, folder: Path, **options: object) -> mergec.Report:
    (folder / "recipe.merge").write_text(text, encoding="utf-8")
    return mergec.run(mergec.compile(str(folder / "recipe.merge"), **options))


def laid_out(models: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Each model's tensors end to end, in float64."""
    return {
        m: np.concatenate([t[n].ravel() for n in SHAPES]).astype(np.float64)
        for m, t in models.items()
    }


def parted(flat: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors that were laid end to end."""
    ends = np.cumsum([np.prod(shape) for shape in SHAPES.values()])
    parts = np.split(flat, ends[:-1])
    return {n: part.reshape(SHAPES[n]) for n, part in zip(SHAPES, parts, strict=True)}


def ties(flat: dict[str, np.ndarray]) -> np.ndarray:
    """TIES of x and y."""
    vectors = {}
    for m in ("x", "y"):
        delta = (flat[m] - flat["base"]).astype(np.float32)
        cut = np.sort(np.abs(delta))[-max(1, int(DENSITY[m] * delta.size))]
        vectors[m] = np.where(np.abs(delta) >= cut, delta, 0.0).astype(np.float64) * WEIGHT[m]
    sign = np.where(sum(vectors.values()) >= 0, 1.0, -1.0)
    mixed = sum(np.where(v * sign > 0, v, 0.0) for v in vectors.values())
    divisor = sum(np.where(v * sign > 0, WEIGHT[m], 0.0) for m, v in vectors.items())
    return flat["base"] + mixed / np.where(divisor == 0, 1.0, divisor)


def test_the_threshold_is_the_whole_models(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    report = merged(recipe(tmp_path / "out"), tmp_path)
    for name, wanted in parted(ties(laid_out(models))).items():
        np.testing.assert_allclose(written(tmp_path / "out")[name], wanted, atol=2e-6)
    assert report.bytes_read == report.planned_read  # two passes to look, one to write


def test_scores_of_the_whole_model_hang_on_its_clamps(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    text = (
        f'save pcb {{ base = "./base"\n"./x"\n"./y"\nratio = 0.3\nclip = 0.01\nscope = model }} '
        f'to "{tmp_path / "out"}" {{ dtype = float32 }}'
    )
    report = merged(text, tmp_path)
    flat = laid_out(models)
    wanted = pcb([flat["x"], flat["y"]], flat["base"], ratio=0.3, clip=0.01)
    largest = np.abs(wanted).max()
    for name, part in parted(wanted).items():
        found = written(tmp_path / "out")[name]
        np.testing.assert_allclose(found, part, atol=1e-5 * largest, rtol=0)
    assert report.bytes_read == report.planned_read  # two passes for each of two rounds, one more


def test_a_threshold_may_hang_on_that_of_the_stage_before(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    text = (
        'let s = ties { base = "./base"\n"./x" weight=0.7 density=0.2\n'
        '"./y" weight=0.4 density=0.55\nscope = model }\n'
        f'save ties {{ base = "./base"\ns weight=1 density=0.1\nscope = model }} '
        f'to "{tmp_path / "out"}" {{ dtype = float32 }}'
    )
    merged(text, tmp_path)
    flat = laid_out(models)
    delta = ties(flat) - flat["base"]
    cut = np.sort(np.abs(delta))[-int(0.1 * delta.size)]
    near = np.abs(np.abs(delta) - cut) < 1e-6  # rounding may put these on either side
    wanted = flat["base"] + np.where(np.abs(delta) >= cut, delta, 0.0)
    found = written(tmp_path / "out")
    ends = np.concatenate([found[n].ravel() for n in SHAPES])
    assert near.mean() < 1e-3
    np.testing.assert_allclose(ends[~near], wanted[~near], atol=2e-6)


def test_it_is_another_merge_than_tensor_scope(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    merged(recipe(tmp_path / "one"), tmp_path)
    merged(recipe(tmp_path / "two", scope="tensor"), tmp_path)
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    assert any(not np.array_equal(one[n], two[n]) for n in SHAPES)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_byte(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path, threads: int
) -> None:
    for out, count in (("one", 1), ("many", threads)):
        merged(recipe(tmp_path / out), tmp_path, threads=count)
    paths = [tmp_path / out / "model.safetensors" for out in ("one", "many")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_stage_that_needs_sums_is_refused(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    text = (
        'let s = slerp { "./x"\n"./y"\nt = 0.3 }\n'
        'save ties { base = "./base"\ns weight=1 density=0.5\nscope = model } to "./out"'
    )
    with pytest.raises(MergecError) as caught:
        merged(text, tmp_path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0320"
    assert problem.span is not None and (problem.span.line, problem.span.column) == (4, 6)
