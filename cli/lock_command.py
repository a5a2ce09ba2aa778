"""`mergec lock`: a recipe -> RECIPE.lock, the files of its sources as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..quantities import count
from ..runtime.lock_file import SUFFIX, write_lock
from .shared_options import RecipeOptions, file_argument, recipe_options


@click.command("lock")
@file_argument
@recipe_options()
def command(file: str, **options: Any) -> None:
    """Lock a recipe's sources: revision, size and SHA-256 of every file, in RECIPE.lock.

    `mergec run` refuses sources that aren't those of the lock file beside its recipe;
    `mergec run --update-lock` moves it.

    \b
    mergec lock merge.merge --models ./models
    """
    plan = RecipeOptions(**options).compile(file)
    path = Path(file + SUFFIX)
    write_lock(plan, path)
    click.echo(f"{path}: {count(len(plan.sources), 'source')}")
