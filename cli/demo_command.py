"""`mergec demo`: nothing -> tiny models, and a hierarchical merge of them, step by step."""

from __future__ import annotations

import importlib.resources
import shlex
import shutil
import tempfile
from pathlib import Path

import click

from ..grammar import parse_text
from ..grammar.diagnostics import SourceText
from ..grammar.syntax import Recipe, Save, String
from ..quantities import count, decimal_size
from .check_command import command as check
from .demo_folder import MODELS, refuse_foreign, write_files
from .plan_command import show_plan
from .recipe_references import map_references
from .run_command import execute
from .shared_options import RecipeOptions
from .tiny_models import tiny_model

RECIPE = "merge-14.merge"


@click.command("demo")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def command(ctx: click.Context, folder: Path | None) -> None:
    """Run a hierarchical merge of 16 generated models: checked, planned, and run.

    Everything is put into FOLDER, where only what an earlier demo made is overwritten; without one
    into a temporary folder that is removed at the end.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _demonstrate(ctx, folder)
        return
    temporary = Path(tempfile.mkdtemp(prefix="mergec-demo-"))
    try:
        _demonstrate(ctx, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    click.echo("\nThe folder is gone again; `mergec demo FOLDER` keeps it.")


def _demonstrate(ctx: click.Context, folder: Path) -> None:
    text = importlib.resources.files("mergec.examples").joinpath(RECIPE).read_text("utf-8")
    syntax = parse_text(SourceText(RECIPE, text))
    references, outputs = _references(syntax), _outputs(syntax)
    files = {RECIPE: text.encode()}
    for reference in references:
        for name, content in tiny_model(reference).items():
            files[f"{MODELS}/{reference}/{name}"] = content
    refuse_foreign(folder, files, outputs, text)
    recipe, models = folder / RECIPE, folder / MODELS
    _say(f"generate {count(len(references), 'model')} in {models}")
    write_files(folder, files)
    total = sum(len(content) for name, content in files.items() if name != RECIPE)
    click.echo(f"{count(len(references), 'checkpoint')}, {decimal_size(total)}")
    _say(f"cat {shlex.quote(str(recipe))}")
    click.echo(text.rstrip())
    options = RecipeOptions(models=(models,))
    again = f"{shlex.quote(str(recipe))} {options.arguments()}"
    _say(f"mergec check {again}")
    ctx.invoke(check, files=(str(recipe),), form="text", quiet=False, models=(models,), values=())
    _say(f"mergec plan {again}")
    plan = options.compile(str(recipe))
    show_plan(plan, options.again(str(recipe)), as_json=False)
    _say(f"mergec run {again}")
    report = execute(plan, "auto", "cpu", quiet=False, again=options.again(str(recipe)))
    for path in report.outputs:
        click.echo(path)


def _references(recipe: Recipe) -> list[str]:
    """The models that a recipe names, each once."""
    found: dict[str, None] = {}

    def note(reference: String) -> String:
        found[reference.value] = None
        return reference

    map_references(recipe, note)
    return list(found)


def _outputs(recipe: Recipe) -> list[str]:
    """The paths that a recipe saves to."""
    saves = (statement for statement in recipe.statements if isinstance(statement, Save))
    return [save.path.value for save in saves if save.path is not None]


def _say(command: str) -> None:
    click.echo("\n" + click.style(f"$ {command}", bold=True))
