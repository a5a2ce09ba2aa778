"""`mergec verify`: a checkpoint -> whether it is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..quantities import count, decimal_size
from ..runtime.verification import verify
from .failure import FAILED, show_diagnostics
from .shared_options import json_option

FORMAT_VERSION = 1


@click.command("verify")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Look at headers and sizes only.")
@json_option
def command(checkpoint: Path, quick: bool, as_json: bool) -> None:
    """Verify a checkpoint, mergec's or anybody's: a folder or a .safetensors file.

    Files and headers are whole; names and shapes are those that config.json implies (layers, tied
    head, vocabulary); all numbers are finite; and every tensor's bytes are those that mergec wrote,
    by the checksums in mergec.json. The exit code is 1 if anything is wrong.

    \b
    mergec verify ./merged
    mergec verify ./models/org/base --quick
    """
    found = verify(checkpoint, quick=quick)
    if as_json:
        click.echo(json.dumps({"format_version": FORMAT_VERSION, **found.to_json()}, indent=2))
    else:
        show_diagnostics(found.problems)
        of = f"{count(found.tensors, 'tensor')}, {decimal_size(found.nbytes)}"
        verdict = count(len(found.problems), "problem") if found.problems else "nothing is wrong"
        click.echo(f"{checkpoint}: {of}; looked at {', '.join(found.checked)}: {verdict}")
    if found.problems:
        raise click.exceptions.Exit(FAILED)
