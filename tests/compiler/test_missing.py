"""`set missing` where the operands of delta arithmetic lack a tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.checkpoints import write_checkpoint
from support.merging import merge, read_checkpoint


@pytest.fixture
def models(tmp_path: Path) -> dict[str, dict[str, np.ndarray]]:
    """m1 and m3 hold `only1`, m2 lacks it."""
    rng = np.random.default_rng(7)
    found = {}
    for name, tensors in (("m1", ("a", "only1")), ("m2", ("a",)), ("m3", ("a", "only1"))):
        found[name] = {t: rng.standard_normal((4, 6)).astype(np.float32) for t in tensors}
        write_checkpoint(tmp_path / name, found[name], {})
    return found


def saved(expression: str, folder: Path, missing: str = "copy") -> dict[str, torch.Tensor]:
    merge(f'set missing = {missing}\nsave {expression} to "./o"', folder / "o")
    return read_checkpoint(folder / "o")


@pytest.mark.parametrize(
    "expression",
    [
        '"./m1" + 0.5 * ("./m2" - "./m1")',
        '"./m1" + 0.5 * ("./m1" - "./m2")',
        '"./m1" - 3 * cast { "./m2" - "./m3", dtype = float16 }',
        '"./m1" + (0.5 * ("./m1" - "./m2") + 0.25 * ("./m2" - "./m3"))',
    ],
)
def test_a_model_without_the_tensor_changes_nothing(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path, expression: str
) -> None:
    found = saved(expression, tmp_path)["only1"].numpy()
    np.testing.assert_array_equal(found, models["m1"]["only1"])


def test_a_delta_beside_a_missing_one_keeps_its_scale(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    text = '"./m1" + (2 * ("./m2" - "./m1") + 0.5 * ("./m3" - "./m1"))'
    one, three = models["m1"]["only1"], models["m3"]["only1"]
    found = saved(text, tmp_path)["only1"].numpy()
    np.testing.assert_allclose(found, one + 0.5 * (three - one), atol=1e-6)


def test_a_delta_alone_is_no_tensor_of_a_model(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    assert list(saved('"./m2" + 0.5 * ("./m3" - "./m1")', tmp_path)) == ["a"]


def test_skip_leaves_the_tensor_out(
    models: dict[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    assert list(saved('"./m1" + ("./m2" - "./m1")', tmp_path, "skip")) == ["a"]
