"""`mergec explain`: an error code -> its page: cause, cure, a wrong and a right example."""

from __future__ import annotations

import click

from ..grammar.codes import CODES
from ..grammar.codes.page import errors_page
from ..grammar.diagnostics import did_you_mean


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain an error or a warning by its code; without one, all of them.

    \b
    mergec explain E0304
    """
    if code is None:
        click.echo(errors_page(), nl=False)
        return
    entry = CODES.get(code.upper())
    if entry is None:
        hint = did_you_mean(code.upper(), CODES) or "`mergec explain` lists them"
        raise click.UsageError(f"there is no code `{code}`: {hint}")
    click.echo(entry.markdown())
