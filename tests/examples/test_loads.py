"""The outputs of every example load in transformers, with nothing left over, and speak."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from support.loading import generated, load
from support.merging import merge

from .conftest import RECIPES

IDS = torch.arange(5, 13)[None]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_an_example_loads_and_speaks(recipe: Path, mirror: Path, tmp_path: Path) -> None:
    report = merge(recipe, tmp_path / "out", models=[mirror])
    for folder in report.outputs:
        assert len(generated(load(folder), IDS)) == 4, os.fspath(folder)
