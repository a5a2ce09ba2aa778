"""`mergec fmt`: .merge text -> its canonical form."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from ..api import read_recipe
from ..grammar import format_recipe, is_yaml, parse_text
from ..grammar.diagnostics import MergecError, ResourceError, SourceText
from .failure import FAILED, show_error


@click.command("fmt")
@click.argument("files", metavar="RECIPE…", nargs=-1, required=True, type=click.Path())
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file isn't formatted.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
def command(files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Format .merge recipes in place; `-` formats stdin to stdout.

    There is one format: two spaces, aligned columns, comments kept. A file that can't be parsed is
    left as it is.

    \b
    mergec fmt merge.merge
    mergec fmt --check *.merge
    """
    failed = changed = False
    for file in files:
        if is_yaml(SourceText(file, "")):
            raise click.UsageError(f"{file} is YAML: `mergec convert` prints it as .merge")
        try:
            changed |= _format(file, check, diff)
        except MergecError as error:
            show_error(error)
            failed = True
    if failed or (changed and (check or diff)):
        raise click.exceptions.Exit(FAILED)


def _format(file: str, check: bool, diff: bool) -> bool:
    """Format one file, or show how it would change; whether it does."""
    stdin = file == "-"
    source = SourceText("<stdin>", sys.stdin.read()) if stdin else read_recipe(file)
    text = format_recipe(parse_text(source))
    before = source.text.encode() if stdin else Path(file).read_bytes()
    changed = before != text.encode()
    if diff:
        lines = (source.text.splitlines(True), text.splitlines(True))
        click.echo("".join(difflib.unified_diff(*lines, source.name, source.name)), nl=False)
    if check and changed:
        click.echo(f"{source.name} isn't formatted", err=True)
    if not (check or diff):
        if stdin:
            click.echo(text, nl=False)
        elif changed:
            _replace(Path(os.path.realpath(file)), text)
            click.echo(f"formatted {file}", err=True)
    return changed


def _replace(path: Path, text: str) -> None:
    """Give a file a new content in one step, so that nothing is lost if we are stopped."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            shutil.copymode(path, name)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ResourceError.of("E0502", f"can't write {path}: {error.strerror}") from None
