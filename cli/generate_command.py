"""`mergec generate`: a model's folder and a prompt -> what follows."""

from __future__ import annotations

from pathlib import Path

import click

from ..publishing.talk import Speaker
from .talk_options import talk_options


@click.command("generate")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prompt")
@talk_options
def command(folder: Path, prompt: str, tokens: int, temperature: float, device: str) -> None:
    """Print what a merged model says after a prompt. Needs `pip install 'mergec[transformers]'`.

    \b
    mergec generate ./merged "Once upon a time" -n 64
    """
    speaker = Speaker(folder, device)
    speaker.say(
        prompt, tokens, temperature=temperature, told=lambda text: click.echo(text, nl=False)
    )
    click.echo()
