"""Recipes compiled and run as a user would: a recipe's path -> a checkpoint's folder.

from support.merging import merge, read_checkpoint
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mergec.compiler import compile_recipe
from mergec.compiler.planning.plan import Plan
from mergec.grammar import SourceText
from mergec.runtime.report import Report
from mergec.runtime.run import run_plan
from safetensors.torch import load_file


def plan_recipe(
    recipe: Path | str,
    out: Path,
    *,
    models: Sequence[Path] = (),
    folder: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    threads: int = 2,
) -> Plan:
    """The plan of a recipe, by its path or its `.merge` text.

    out: the output's folder, or that of the outputs. folder: what paths in the recipe start from,
    by default where the recipe lies (a text: where `out` lies).
    """
    if isinstance(recipe, Path):
        source = SourceText(str(recipe), recipe.read_text(encoding="utf-8"))
        folder = folder or recipe.parent
    else:
        source = SourceText("recipe.merge", recipe)
    return compile_recipe(
        source,
        folder=(folder or out.parent).resolve(),
        models=models,
        overrides=overrides,
        out=str(out),
        threads=threads,
    )


def merge(
    recipe: Path | str,
    out: Path,
    *,
    models: Sequence[Path] = (),
    folder: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    threads: int = 2,
) -> Report:
    """Run a recipe; the arguments are those of `plan_recipe`."""
    return run_plan(
        plan_recipe(recipe, out, models=models, folder=folder, overrides=overrides, threads=threads)
    )


def read_checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, folder or file, in the order of their names."""
    index = folder / "model.safetensors.index.json"
    if folder.is_file():
        files = [folder]
    elif index.exists():
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = [folder / name for name in sorted(set(weight_map.values()))]
    else:
        files = [folder / "model.safetensors"]
    tensors = {name: value for file in files for name, value in load_file(file).items()}
    return dict(sorted(tensors.items()))
