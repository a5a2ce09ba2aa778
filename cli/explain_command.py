"""`mergec explain`: an error code -> its page; a tensor -> its lineage; a change -> its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..compiler.planning.lineage import Lineage, read_lineage
from ..grammar.codes import CODES
from ..grammar.codes.page import errors_page
from ..grammar.diagnostics import CheckpointError, did_you_mean
from ..runtime.carry import MANIFEST_NAME
from ..runtime.changes import planned_changes
from ..views.changes_text import changes_text
from ..views.lineage_text import lineage_text
from .plan_command import terminal_width
from .shared_options import RecipeOptions, recipe_options


@click.command("explain")
@click.argument("subject", metavar="[CODE | OUT]", required=False)
@click.argument("detail", metavar="[TENSOR | RECIPE]", required=False)
@click.option("--why", is_flag=True, help="Say what a run of RECIPE to OUT would change, and why.")
@recipe_options()
def command(subject: str | None, detail: str | None, why: bool, **options: Any) -> None:
    """Explain an error code, a tensor of an output, or a change.

    A tensor's lineage says from which sources, with which coefficients and through which stages it
    was made, at which lines of the recipe.

    \b
    mergec explain E0304
    mergec explain ./merged model.layers.0.mlp.up_proj.weight
    mergec explain --why ./merged merge.merge --models ./models
    """
    if subject is None:
        click.echo(errors_page(), nl=False)
    elif why:
        if detail is None:
            raise click.UsageError("`--why` needs an output and a recipe")
        _explain_change(subject, detail, RecipeOptions(**options))
    elif detail is not None:
        _explain_tensor(Path(subject), detail)
    else:
        _explain_code(subject)


def _explain_code(code: str) -> None:
    entry = CODES.get(code.upper())
    if entry is None:
        hint = did_you_mean(code.upper(), CODES) or "`mergec explain` lists them"
        raise click.UsageError(f"there is no code `{code}`: {hint}")
    click.echo(entry.markdown())


def _explain_tensor(output: Path, name: str) -> None:
    lineage = _lineage_of(output)
    if name not in lineage.tensors:
        hint = did_you_mean(name, lineage.tensors) or "`mergec inspect OUT --tensors` lists them"
        raise click.UsageError(f"{output} has no tensor `{name}`: {hint}")
    for line in lineage_text(lineage, name):
        click.echo(line)


def _explain_change(output: str, recipe: str, options: RecipeOptions) -> None:
    plan = replace(options, out=output).compile(recipe)
    found = list(changes_text(planned_changes(plan), terminal_width()))
    for line in found or ["there is no output to compare with: all of it would be computed"]:
        click.echo(line)


def _lineage_of(output: Path) -> Lineage:
    """Errors: CheckpointError E0655."""
    try:
        made = json.loads((output / MANIFEST_NAME).read_bytes()).get("made")
    except (OSError, ValueError, AttributeError, RecursionError):
        made = None
    lineage = read_lineage(made)
    if lineage is None:
        raise CheckpointError.of(
            "E0655",
            f"{output} doesn't say what it is made of",
            hint=f"outputs of this version of mergec do, in {MANIFEST_NAME}",
        )
    return lineage
