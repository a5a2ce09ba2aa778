"""-O2: a tower of Gram methods takes one sweep over its leaves and one to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mergec
import numpy as np
import pytest
from support.checkpoints import write_checkpoint

LEAVES = "abcd"
SHAPE = (260, 520)


@pytest.fixture
def leaves(tmp_path: Path) -> dict[str, np.ndarray]:
    found = {}
    for i, name in enumerate(LEAVES):
        tensor = np.random.default_rng(i).standard_normal(SHAPE).astype(np.float32)
        write_checkpoint(tmp_path / name, {"x.weight": tensor}, {})
        found[name] = tensor
    return found


def tower(out: Path) -> str:
    return f"""let one = slerp {{ "./a", "./b", t = 0.3 }}
let two = slerp {{ one, "./c", t = 0.6 }}
save slerp {{ two, "./d", t = 0.45 }} to "{out}" {{ dtype = float32 }}
"""


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    theta = np.arccos((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))
    return (np.sin((1 - t) * theta) * a + np.sin(t * theta) * b) / np.sin(theta)


def run(folder: Path, level: int) -> tuple[mergec.Plan, np.ndarray]:
    from safetensors.numpy import load_file

    out = folder / f"out{level}"
    (folder / "tower.merge").write_text(tower(out), encoding="utf-8")
    plan = mergec.compile(str(folder / "tower.merge"), optimise=level, memory="min")
    mergec.run(plan)
    return plan, load_file(str(out / "model.safetensors"))["x.weight"]


def test_a_tower_takes_two_sweeps_and_hardly_differs(
    leaves: dict[str, np.ndarray],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plain, staged = run(tmp_path, 1)
    collapsed, joined = run(tmp_path, 2)
    assert [len(choice.sweeps) for choice in plain.choices] == [4]
    assert [len(choice.sweeps) for choice in collapsed.choices] == [2]
    assert collapsed.bytes_read == 2 * len(LEAVES) * joined.nbytes
    exact = {name: tensor.astype(np.float64) for name, tensor in leaves.items()}
    wanted = slerp(exact["a"], exact["b"], 0.3)
    wanted = slerp(slerp(wanted, exact["c"], 0.6), exact["d"], 0.45)
    largest = np.abs(wanted).max()
    errors = {
        "stage by stage": np.abs(staged - wanted).max() / largest,
        "collapsed": np.abs(joined - wanted).max() / largest,
        "between them": np.abs(staged - joined).max() / largest,
    }
    for name, error in errors.items():
        record_property(name, f"{error:.1e}")
    assert max(errors.values()) < 5e-7
