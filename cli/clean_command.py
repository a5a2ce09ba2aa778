"""`mergec clean`: what interrupted runs have left beside outputs -> gone."""

from __future__ import annotations

from pathlib import Path

import click

from ..quantities import decimal_size
from ..runtime.leftovers import Leftover, find_leftovers, remove_leftover
from .shared_options import quiet_option


@click.command("clean")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@quiet_option
def command(folders: tuple[Path, ...], dry_run: bool, quiet: bool) -> None:
    """Remove what interrupted runs have left.

    FOLDERS are outputs, or the folders that outputs lie in; by default the current one. What
    another run is at work in stays, and so does whatever isn't a run's.

    \b
    mergec clean ./merged
    mergec clean --dry-run
    """
    for folder in folders or (Path(),):
        for left in find_leftovers(folder):
            if not dry_run and not left.busy:
                remove_leftover(left)
            if not quiet:
                click.echo(_line(left, dry_run))


def _line(left: Leftover, dry_run: bool) -> str:
    if left.busy:
        return f"kept     {left.path}: process {left.owner or '?'} is at work in it"
    verb = "would go" if dry_run else "removed "
    return f"{verb} {left.path}: {left.tensors:,} tensors, {decimal_size(left.nbytes)}"
