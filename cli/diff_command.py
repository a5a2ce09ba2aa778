"""`mergec diff`: two checkpoints -> how far apart they are, by layer and by tensor."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..runtime.diff import diff
from ..views.diff_text import diff_text
from .shared_options import json_option

FORMAT_VERSION = 1


@click.command("diff")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("-n", "--tensors", default=12, help="How many tensors to list, the furthest apart.")
@json_option
def command(first: Path, second: Path, tensors: int, as_json: bool) -> None:
    """Compare two checkpoints: folders, or .safetensors files.

    Distance is |b - a| / |a|; cosine that of the angle between a and b. Both are taken of a whole
    tensor, and of all tensors of a layer together. They are read a few MiB at a time.

    \b
    mergec diff ./models/org/base ./merged
    """
    found = diff(first, second)
    if as_json:
        click.echo(json.dumps({"format_version": FORMAT_VERSION, **found.to_json()}, indent=2))
        return
    for line in diff_text(found, tensors):
        click.echo(line)
