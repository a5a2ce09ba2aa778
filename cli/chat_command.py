"""`mergec chat`: a model's folder -> a talk with it, line by line."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..publishing.talk import Speaker
from .talk_options import talk_options


@click.command("chat")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@talk_options
@click.option("--system", metavar="TEXT", help="What the model is told first.")
def command(folder: Path, tokens: int, temperature: float, device: str, system: str | None) -> None:
    """Talk with a merged model: a line is a turn. Needs `pip install 'mergec[transformers]'`.

    A model without a chat template goes on with what is typed. Ctrl-D ends.

    \b
    mergec chat ./merged --system "Be brief."
    """
    speaker = Speaker(folder, device)
    if not speaker.chats:
        click.echo("this model has no chat template: it goes on with what you type", err=True)
    talk = [{"role": "system", "content": system}] if system else []
    while (line := _line()) is not None:
        talk.append({"role": "user", "content": line})
        said = speaker.reply(
            talk, tokens, temperature=temperature, told=lambda text: click.echo(text, nl=False)
        )
        click.echo()
        talk.append({"role": "assistant", "content": said})


def _line() -> str | None:
    """What is typed next; None at the end."""
    if sys.stdin.isatty():
        click.echo("> ", nl=False, err=True)
    while line := sys.stdin.readline():
        if line.strip():
            return line.strip()
    return None
