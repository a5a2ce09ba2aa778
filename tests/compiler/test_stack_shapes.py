"""`stack` of models whose layers fit together, and of those whose don't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mergec.errors import RecipeError
from support.checkpoints import tiny_mistral, write_checkpoint
from support.merging import plan_recipe


def test_layers_of_another_width_are_refused(tmp_path: Path) -> None:
    tiny_mistral(tmp_path / "a", 0, layers=2)
    tiny_mistral(tmp_path / "wide", 0, layers=2, hidden=64)
    text = 'save stack { "./a"[0:2]\n"./wide"[0:2] } to "./o"'
    with pytest.raises(RecipeError) as caught:
        plan_recipe(text, tmp_path / "o")
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0318"
    assert problem.message == "the layers of `./a` and `./wide` differ in shape"
    assert "mlp.up_proj.weight: [96, 48] and [128, 64]" in problem.notes


def test_layers_of_one_model_may_differ(tmp_path: Path) -> None:
    """Each half of `a` has a width of its own, and `b` has those of the other half only."""

    def layers(*widths: int) -> dict[str, np.ndarray]:
        return {
            f"model.layers.{i}.mlp.weight": np.zeros((width, 8), np.float32)
            for i, width in enumerate(widths)
        }

    write_checkpoint(tmp_path / "a", layers(4, 4, 6, 6), {"num_hidden_layers": 4})
    write_checkpoint(tmp_path / "b", layers(6, 6), {"num_hidden_layers": 2})
    plan = plan_recipe('save stack { "./a"[0:2], "./a"[2:4], "./b" } to "./o"', tmp_path / "o")
    assert len(plan.layouts[0].slots) == 6
