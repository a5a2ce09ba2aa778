"""`mergec quick`: a method and models -> a merge, without a recipe's file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from .. import api
from ..publishing.quick import quick_recipe
from .completion import complete_methods, complete_parameters
from .failure import show_diagnostics
from .run_command import execute
from .shared_options import Assignment, models_option, quiet_option


@click.command("quick")
@click.argument("method", shell_complete=complete_methods)
@click.argument("sources", metavar="MODEL…", nargs=-1, required=True)
@click.option("--base", metavar="MODEL", help="The base model.")
@click.option(
    "-p",
    "parameters",
    multiple=True,
    type=Assignment(),
    shell_complete=complete_parameters,
    help="A parameter of the method; one a model as `weight=0.3;0.7`. May be repeated.",
)
@click.option("-o", "--out", required=True, metavar="PATH", help="Where to write.")
@click.option("--dtype", default="bfloat16", show_default=True, help="The output's dtype.")
@click.option("--tokenizer", metavar="union|base", help="Reconcile tokenizers.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print the recipe.")
@models_option
@quiet_option
def command(
    method: str,
    sources: tuple[str, ...],
    base: str | None,
    parameters: tuple[tuple[str, str], ...],
    out: str,
    dtype: str,
    tokenizer: str | None,
    dry_run: bool,
    models: tuple[Path, ...],
    quiet: bool,
) -> None:
    """Merge models by one method; the recipe that this runs is printed.

    \b
    mergec quick slerp org/a org/b -p t=0.5 -o ./merged
    mergec quick ties org/a org/b --base org/base -p weight=0.5 -p "density=0.5;0.7" -o ./merged
    """
    settings = {"dtype": dtype} | ({"tokenizer": tokenizer} if tokenizer else {})
    text = quick_recipe(
        method, sources, base=base, parameters=dict(parameters), path=out, settings=settings
    )
    if dry_run:
        click.echo(text, nl=False)
        return
    if not quiet:
        click.echo(text, err=True)
    plan = api.compile(text, models=models)
    if not quiet:
        show_diagnostics(plan.warnings)
    again = shlex.join(["mergec", *sys.argv[1:]])
    for path in execute(plan, "auto", "cpu", quiet, again).outputs:
        click.echo(path)
