"""`mergec plan`: a recipe -> what a run of it would do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import click

from .. import __version__
from ..compiler.graph_text import print_graph
from ..compiler.plan import Plan
from ..compiler.printing.plan_facts import plan_json
from ..compiler.printing.plan_text import plan_text
from ..compiler.printing.schedule_text import kernels_text, schedule_text
from ..compiler.printing.syntax_text import syntax_text
from .failure import show_diagnostics
from .options import RecipeOptions, file_argument, json_option, recipe_options

PHASES: dict[str, tuple[str, Callable[[Any], Iterator[str]]]] = {
    "ast": ("ast", syntax_text),
    "graph": ("graph", print_graph),
    "optimized": ("optimized", print_graph),
    "schedule": ("schedule", schedule_text),
    "kernels": ("schedule", kernels_text),
}
"""What `--emit` can print: the phase whose result it is, and its text form."""


class _Reached(Exception):
    """The phase that was asked for is through: the rest needn't be compiled."""

    def __init__(self, result: Any) -> None:
        self.result = result


@click.command("plan")
@file_argument
@json_option
@click.option("--emit", type=click.Choice(list(PHASES)), help="Print a phase's result instead.")
@recipe_options
def command(file: str, as_json: bool, emit: str | None, **options: Any) -> None:
    """Show what a run would read, compute and write, and in what memory.

    Only headers of checkpoints are read, and nothing is written.

    \b
    mergec plan merge.merge --models ./models --memory 8GiB
    mergec plan merge.merge --json | jq .peak_bytes
    mergec plan merge.merge --emit kernels
    """
    if as_json and emit:
        raise click.UsageError("`--json` and `--emit` are two different outputs: give one")
    settings = RecipeOptions(**options)
    if emit:
        emit_phase(file, settings, emit)
    else:
        show_plan(file, settings.compile(file), settings, as_json)


def show_plan(file: str, plan: Plan, options: RecipeOptions, as_json: bool) -> None:
    """Print a plan, and the next command to type."""
    if as_json:
        click.echo(json.dumps({"mergec": __version__, **plan_json(plan)}, indent=2))
        return
    for line in plan_text(plan, __version__):
        click.echo(line)
    show_diagnostics(plan.warnings, err=False)
    again = f"mergec run {shlex.quote(file)} {options.arguments()}".rstrip()
    click.echo(f"\nNext        {again}")


def emit_phase(file: str, options: RecipeOptions, name: str) -> None:
    """Print the result of one phase of the compiler."""
    wanted, printed = PHASES[name]

    def emit(phase: str, result: Any) -> None:
        if phase == wanted:
            raise _Reached(result)

    try:
        options.compile(file, emit)
    except _Reached as reached:
        for line in printed(reached.result):
            click.echo(line)
