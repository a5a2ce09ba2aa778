"""`mergec push`: a finished output -> a repository of the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..publishing.push import destination, files_to_push, push
from ..quantities import count, decimal_size
from ..views.columns import table
from .shared_options import json_option


@click.command("push")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repo", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Make the repository private.")
@click.option("--revision", metavar="BRANCH", help="Write to a branch.")
@click.option("-y", "--yes", is_flag=True, help="Add to a repository that holds something.")
@click.option("-n", "--dry-run", is_flag=True, help="Only list what would be uploaded.")
@json_option
def command(
    folder: Path,
    repo: str,
    private: bool,
    revision: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload an output to the Hugging Face Hub. A push that was stopped goes on when repeated.

    \b
    mergec push ./merged me/merged --dry-run
    mergec push ./merged me/merged --private
    """
    place = destination(repo, revision)
    if not dry_run:
        click.echo(push(folder, place, private=private, yes=yes))
        return
    files = files_to_push(folder)
    if as_json:
        listed = [file._asdict() for file in files]
        click.echo(json.dumps({"repository": str(place), "files": listed}, indent=2))
        return
    rows = [(file.name, decimal_size(file.size)) for file in files]
    for line in table([("file", "size"), *rows], right=(1,)):
        click.echo(line)
    total = decimal_size(sum(file.size for file in files))
    click.echo(
        f"\n{count(len(files), 'file')}, {total}, to {place}; nothing was uploaded", err=True
    )
