"""`mergec run`: a recipe -> checkpoints on disk."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import api
from ..compiler.planning.plan import Plan
from ..runtime.lock_file import SUFFIX, check_lock, write_lock
from ..runtime.paused import Paused
from ..runtime.report import Report
from .failure import PAUSED, show_diagnostics
from .live_display import display, report_lines
from .plan_command import show_plan
from .shared_options import RecipeOptions, file_argument, json_option, quiet_option, recipe_options
from .signals import Stopped, pausable, terminable

if TYPE_CHECKING:
    from ..runtime.backends import BackendName


@click.command("run")
@file_argument
@recipe_options()
@click.option("-n", "--dry-run", is_flag=True, help="Only show the plan.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "native", "torch"]),
    default="auto",
    help="Generated machine code, or torch operations.",
)
@click.option("--update-lock", is_flag=True, help="Lock the sources as they are: RECIPE.lock.")
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:1, …")
@json_option
@quiet_option
def command(
    file: str,
    dry_run: bool,
    backend: BackendName,
    update_lock: bool,
    device: str,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run a recipe, or a plan that `mergec plan -o` saved.

    Checkpoints are read, merged and written tile by tile; an output appears under its name only
    when all of it is there. Paths of the outputs are printed on stdout, a report on stderr.

    What is finished isn't lost: after any interruption the same command goes on where it stopped,
    and with a changed recipe only the tensors that it changes are computed. The first Ctrl-C
    finishes what is under way (exit code 75), the second stops at once (130).

    With a RECIPE.lock beside the recipe, sources that aren't those of it are refused.

    \b
    mergec run merge.merge --models ./models --out ./merged
    mergec run merge.merge --memory 4GiB --threads 8 --set strength=0.6
    mergec run merge.mplan
    """
    settings = RecipeOptions(**options)
    plan = settings.plan(file)
    if dry_run:
        show_plan(plan, settings.again(file), as_json)
        return
    lock = Path(file + SUFFIX)
    if update_lock:
        write_lock(plan, lock)
    elif lock.exists():
        check_lock(plan, lock)
    if not quiet:
        show_diagnostics(plan.warnings)
    report = execute(plan, backend, device, quiet, settings.again(file))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        for path in report.outputs:
            click.echo(path)


def execute(plan: Plan, backend: BackendName, device: str, quiet: bool, again: str) -> Report:
    """Run a plan with a display, warnings and a report on stderr, unless they aren't wanted.

    again: the command that goes on with the run if it stops before its end.
    """
    logging.getLogger("mergec").setLevel(logging.ERROR if quiet else logging.WARNING)
    try:
        with terminable(), pausable(_say) as stop:
            if quiet:
                return api.run(plan, backend=backend, device=device, stop=stop)
            with display(plan, sys.stderr) as watch:
                report = api.run(plan, backend=backend, device=device, watch=watch, stop=stop)
    except Paused as paused:
        _say(f"stopped: {paused}; go on with: {again}")
        raise click.exceptions.Exit(PAUSED) from None
    except (KeyboardInterrupt, Stopped):
        with suppress(OSError):  # the terminal may be gone
            _say(f"what is finished is kept; go on with: {again}")
        raise
    for line in report_lines(report):
        click.echo(line, err=True)
    return report


def _say(line: str) -> None:
    click.echo(line, err=True)
