"""`mergec check`: recipes -> their problems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from ..grammar.diagnostics import Diagnostic, MergecError
from ..quantities import count
from .failure import FAILED, show_diagnostics
from .shared_options import RecipeOptions, collector_off, quiet_option, recipe_options

FORMAT_VERSION = 1


@click.command("check")
@click.argument("files", metavar="RECIPE…", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@quiet_option
@recipe_options()
def command(files: tuple[str, ...], form: str, quiet: bool, **options: Any) -> None:
    """Check recipes without running them.

    Syntax, names, kinds, parameters, and what they ask of their models: only headers of checkpoints
    are read. All problems are printed; the exit code is 1 if any of them is an error.

    \b
    mergec check merge.merge --models ./models
    mergec check *.merge --format json
    """
    settings = RecipeOptions(**options)
    results = [(file, *_check(file, settings)) for file in files]
    if form == "json":
        click.echo(json.dumps(_document(results), indent=2))
    else:
        for file, summary, diagnostics in results:
            show_diagnostics(diagnostics)
            if summary is not None and not quiet:
                click.echo(f"{file}: ok ({summary})")
    if any(summary is None for _, summary, _ in results):
        raise click.exceptions.Exit(FAILED)


def _check(file: str, options: RecipeOptions) -> tuple[str | None, Sequence[Diagnostic]]:
    """(a word about the recipe, or None if it is wrong; its errors and warnings)."""
    phases = options.phases(file)
    try:
        with collector_off():
            # a schedule is made only to see whether it fits a limit
            _ = phases.components if options.memory is None else phases.plan
    except MergecError as error:
        return None, error.diagnostics
    parts = (
        count(len(phases.bound.sources), "source"),
        count(len(phases.bound.outputs), "output"),
        count(sum(1 for _ in phases.optimised.writes()), "tensor"),
    )
    return ", ".join(parts), (*phases.bound.warnings, *phases.lowered.warnings)


def _document(results: Sequence[tuple[str, str | None, Sequence[Diagnostic]]]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "files": [
            {
                "file": file,
                "ok": summary is not None,
                "diagnostics": [diagnostic.to_json() for diagnostic in diagnostics],
            }
            for file, summary, diagnostics in results
        ],
    }
