"""`mergec plan`: a recipe -> what a run of it would do."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..api import write_plan
from ..compiler import Phases
from ..compiler.binding.stage_selection import select
from ..compiler.graph.graph_text import print_graph
from ..compiler.planning.estimate import estimate
from ..compiler.planning.plan import Plan
from ..compiler.planning.plan_file import SUFFIX
from ..grammar.diagnostics import RunError
from ..runtime.changes import planned_changes
from ..views.changes_text import changes_text
from ..views.coefficients import coefficients, coefficients_text
from ..views.columns import UNLIMITED
from ..views.graph_export import FORMATS
from ..views.memory_text import frontier_text
from ..views.plan_facts import FORMAT_VERSION, frontier, plan_json
from ..views.plan_text import plan_text
from ..views.schedule_text import assembly_text, kernels_text, llvm_text, schedule_text
from ..views.syntax_text import syntax_text
from .failure import show_diagnostics
from .shared_options import RecipeOptions, collector_off, file_argument, json_option, recipe_options

EMITTED: dict[str, Callable[[Phases], Iterator[str]]] = {
    "ast": lambda phases: syntax_text(phases.tree),
    "graph": lambda phases: print_graph(phases.lowered.graph),
    "optimized": lambda phases: print_graph(phases.optimised),
    "schedule": lambda phases: schedule_text(phases.plan),
    "kernels": lambda phases: kernels_text(phases.plan),
    "llvm": lambda phases: llvm_text(phases.plan),
    "asm": lambda phases: assembly_text(phases.plan),
}
"""What `--emit` prints: the text form of a phase's result; later phases aren't run."""

_HEAD = re.compile(r"^[A-Z][A-Za-z/]+(?=\s{2,})")
"""The word that begins a part of the plan's text."""


@click.command("plan")
@file_argument
@json_option
@click.option("--emit", type=click.Choice(list(EMITTED)), help="Print a phase's result instead.")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), help="Print the stage graph instead."
)
@click.option("--frontier", "trade", is_flag=True, help="Print what each memory limit buys.")
@click.option(
    "--coefficients",
    "shades",
    is_flag=True,
    help="Print what each source gives, layers by modules.",
)
@click.option(
    "--select",
    "selectors",
    multiple=True,
    metavar="STAGE",
    help="Show only a stage; +STAGE, STAGE+ and @STAGE add what it is made of, what is made of it, "
    "or all around it. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    "save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar=f"FILE{SUFFIX}",
    help="Save the plan, for `mergec run`.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the plan as one HTML page.",
)
@click.option(
    "--report",
    "measured",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --html: what `mergec run --json` printed, shown beside the plan.",
)
@recipe_options(short_out=False)
def command(
    file: str,
    as_json: bool,
    emit: str | None,
    form: str | None,
    trade: bool,
    shades: bool,
    selectors: tuple[str, ...],
    save: Path | None,
    page: Path | None,
    measured: Path | None,
    **options: Any,
) -> None:
    """Show what a run would read, compute and write, and in what memory.

    Only headers of checkpoints are read, and nothing is written but what -o and --html name.

    \b
    mergec plan merge.merge --models ./models --memory 8GiB -o merge.mplan
    mergec plan merge.merge --frontier
    mergec plan merge.merge --select +core --json | jq .peak_bytes
    mergec plan merge.merge --format mermaid
    """
    settings = RecipeOptions(**options)
    _check_usage(as_json, emit, form, trade, shades, save, measured, page)
    if emit:
        emit_phase(file, settings, emit)
        return
    plan = settings.plan(file)
    again = settings.again(file)
    if save is not None:
        write_plan(plan, save)
        again = f"mergec run {shlex.quote(str(save))}"
    if page is not None:
        _write_page(plan, page, measured, again)
    if form:
        shown = _shown(plan, selectors) or (lambda name: True)
        for line in FORMATS[form](plan.bound, shown):
            click.echo(line)
    elif trade:
        show_frontier(plan, as_json)
    elif shades:
        for line in coefficients_text(coefficients(plan.bound)):
            click.echo(line)
    else:
        show_plan(plan, again, as_json, selectors)


def show_plan(plan: Plan, again: str, as_json: bool, selectors: tuple[str, ...] = ()) -> None:
    """Print a plan; `again` is the next command to type."""
    shown = _shown(plan, selectors)
    if as_json:
        facts = plan_json(plan, shown) if shown else plan_json(plan)
        selected = {"selected": list(selectors)} if selectors else {}
        left = asdict(planned_changes(plan))
        click.echo(json.dumps({"mergec": __version__, **facts, **selected, "left": left}, indent=2))
        return
    for line in plan_text(plan, __version__, terminal_width(), shown):
        click.echo(_HEAD.sub(_bold, line))
    for line in changes_text(planned_changes(plan), terminal_width()):
        click.echo(_HEAD.sub(_bold, line))
    show_diagnostics(plan.warnings, err=False)
    click.echo("\n" + _HEAD.sub(_bold, f"Next        {again}"))


def _bold(head: re.Match[str]) -> str:
    return click.style(head[0], bold=True)


def show_frontier(plan: Plan, as_json: bool) -> None:
    """Print the trade-off between memory and time."""
    rows = frontier(plan, estimate(plan))
    if as_json:
        facts = {"format_version": FORMAT_VERSION, "frontier": [row._asdict() for row in rows]}
        click.echo(json.dumps({"mergec": __version__, **facts}, indent=2))
        return
    for line in frontier_text(plan, rows, terminal_width()):
        click.echo(_HEAD.sub(_bold, line))


def terminal_width() -> int:
    """Columns of the terminal; what nobody's terminal cuts isn't shortened."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def emit_phase(file: str, options: RecipeOptions, name: str) -> None:
    """Print the result of one phase of the compiler."""
    with collector_off():
        for line in EMITTED[name](options.phases(file)):
            click.echo(line)


def _check_usage(
    as_json: bool,
    emit: str | None,
    form: str | None,
    trade: bool,
    shades: bool,
    save: Path | None,
    measured: Path | None,
    page: Path | None,
) -> None:
    chosen = [
        name
        for name, given in (
            ("--emit", emit),
            ("--format", form),
            ("--frontier", trade),
            ("--coefficients", shades),
        )
        if given
    ]
    if as_json and not trade:
        chosen.append("--json")
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are two different outputs: give one")
    if save is not None and save.suffix != SUFFIX:
        raise click.UsageError(
            f"`-o` names a plan file, such as merge{SUFFIX}; `--out` is where a run writes"
        )
    if measured is not None and page is None:
        raise click.UsageError("`--report` is for `--html`")


def _shown(plan: Plan, selectors: tuple[str, ...]) -> Callable[[str], bool] | None:
    """Whether a name is selected; None where nothing was asked for."""
    return select(plan.bound, selectors).__contains__ if selectors else None


def _write_page(plan: Plan, path: Path, measured: Path | None, again: str) -> None:
    from ..views.html import plan_page

    try:
        report = None if measured is None else json.loads(measured.read_text("utf-8"))
    except ValueError:
        raise click.UsageError(f"{measured} isn't what `mergec run --json` prints") from None
    try:
        path.write_text(plan_page(plan, report, command=again), encoding="utf-8")
    except OSError as error:
        raise RunError.of("E0603", f"can't write {path}: {error.strerror}") from None
