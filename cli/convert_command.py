"""`mergec convert`: mergekit YAML -> .merge text."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from ..api import read_recipe
from ..compiler.binding.method_signatures import SIGNATURES
from ..grammar import YamlOptions, format_recipe, parse
from ..grammar.defaults import with_defaults
from ..grammar.diagnostics import Diagnostics
from ..grammar.syntax import String
from .failure import show_diagnostics
from .recipe_references import map_references
from .shared_options import file_argument, lax_option

_LOCAL = ("./", "../", "/", "~")


@click.command("convert")
@file_argument
@lax_option
def command(file: str, lax_yaml: bool) -> None:
    """Print a mergekit YAML recipe in the .merge language.

    A model that is a local path, as seen from the recipe, is written as one (`./…`): in a .merge
    recipe `org/name` is always the Hub.

    \b
    mergec convert mergekit.yaml > merge.merge
    """
    problems = Diagnostics()
    parsed = parse(read_recipe(file), SIGNATURES, YamlOptions(lax=lax_yaml))
    recipe = with_defaults(parsed, problems)
    show_diagnostics((*parsed.warnings, *problems.warnings))
    folder = Path(file).parent
    click.echo(format_recipe(map_references(recipe, lambda s: _as_path(s, folder))), nl=False)


def _as_path(reference: String, folder: Path) -> String:
    """mergekit looks for any reference as a path first: beside the recipe, then where it's run."""
    text = reference.value
    if text.startswith(_LOCAL):
        return reference
    for start in (folder, Path()):
        if (start / text).exists():
            relative = os.path.relpath(start / text, folder)
            local = relative if relative.startswith("..") else f"./{relative}"
            return replace(reference, value=Path(local).as_posix() if ".." in local else local)
    return reference
