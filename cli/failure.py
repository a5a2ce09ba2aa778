"""Problems -> messages on stderr, in colour on a terminal, and the exit codes."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Sequence

import click

from ..grammar.diagnostics import Diagnostic, MergecError

FAILED, USAGE, PAUSED, INTERRUPTED = 1, 64, 75, 130
MOST_SHOWN = 20
_COLOURS = {"error": "red", "warning": "yellow"}


class BadValue(click.BadParameter):
    """A flag's value that isn't one, with the diagnostics that say why."""

    def __init__(self, error: MergecError, param: click.Parameter | None) -> None:
        super().__init__(error.diagnostics[0].message, param=param)
        self.diagnostics = error.diagnostics


def show_diagnostics(diagnostics: Sequence[Diagnostic], *, err: bool = True) -> None:
    """Print the first MOST_SHOWN, and how many more there are."""
    for number, diagnostic in enumerate(diagnostics[:MOST_SHOWN]):
        _echo(("\n" if number else "") + coloured(diagnostic), err)
    if (more := len(diagnostics) - MOST_SHOWN) > 0:
        _echo(f"\n… and {more} more", err)


def coloured(diagnostic: Diagnostic) -> str:
    """A diagnostic's text, its first words in the colour of its severity."""
    head, colon, rest = str(diagnostic).partition(": ")
    return click.style(head, fg=_COLOURS[diagnostic.severity], bold=True) + colon + rest


def show_error(error: MergecError) -> None:
    """Print what went wrong; the traceback too if MERGEC_DEBUG is set."""
    if _debugging():
        traceback.print_exception(error)
    show_diagnostics(error.diagnostics)
    errors = sum(d.severity == "error" for d in error.diagnostics)
    if errors > 1:
        _echo(f"\n{errors} errors", True)


def show_unexpected(error: BaseException) -> None:
    """Print an error that is a fault of mergec, or of the machine, rather than of the recipe."""
    if _debugging():
        traceback.print_exception(error)
    said = str(error).strip() or type(error).__name__
    message = f"something unexpected happened: {type(error).__name__}: {said}"
    hint = "MERGEC_DEBUG=1 shows where; please report it with that"
    show_diagnostics([Diagnostic("E0900", message, hint=hint)])


def show_interrupted() -> None:
    """Say that a person or the system stopped us, if the terminal is still there to say it to."""
    with contextlib.suppress(OSError):
        _echo("interrupted", True)


def show_usage(error: click.UsageError) -> None:
    """Print what is wrong with the command line, and how to learn more."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help itself
        _echo(error.format_message(), True)
        return
    if isinstance(error, BadValue):
        show_diagnostics(error.diagnostics)
        if error.param is not None:
            _echo(f"  = in {'/'.join(error.param.opts)}", True)
    else:
        _echo(click.style("error", fg="red", bold=True) + f": {error.format_message()}", True)
    if error.ctx is not None:
        _echo(f"try `{error.ctx.command_path} --help`", True)


def _debugging() -> bool:
    return os.environ.get("MERGEC_DEBUG", "0") not in ("", "0")


def _echo(text: str, err: bool) -> None:
    click.echo(text, err=err, color=False if "NO_COLOR" in os.environ else None)
