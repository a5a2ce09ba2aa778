"""`mergec init`: a few questions -> a commented recipe."""

from __future__ import annotations

from pathlib import Path

import click

from ..grammar.diagnostics import ResourceError
from ..ops.method import find_method, method_names
from ..publishing.quick import starting_recipe
from .completion import complete_methods


@click.command("init")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="merge.merge")
@click.option("--method", shell_complete=complete_methods, help="The merge method.")
@click.option("--model", "models", multiple=True, help="A model to merge. May be repeated.")
@click.option("--base", help="The base model.")
@click.option("-o", "--out", default="./merged", help="Where the recipe will write.")
def command(
    file: Path, method: str | None, models: tuple[str, ...], base: str | None, out: str
) -> None:
    """Write a commented recipe; what isn't given is asked for.

    \b
    mergec init
    mergec init mine.merge --method slerp --model org/a --model org/b
    """
    if file.exists():
        hint = "name another file: mergec init FILE"
        raise ResourceError.of("E0503", f"{file} is there already", hint=hint)
    if method is None:
        method = click.prompt(
            "Method", default="slerp", type=click.Choice(method_names()), show_choices=False
        )
    known = find_method(str(method))
    while not models or (known is not None and len(models) < known.sources[0]):
        models = (*models, click.prompt(f"Model {len(models) + 1} (org/name or ./path)"))
    if base is None and known is not None and known.base == "required":
        base = click.prompt("Base model")
    text = starting_recipe(str(method), models, base, out)
    file.write_text(text, encoding="utf-8")
    click.echo(file)
    click.echo(f"next: mergec plan {file}", err=True)
