"""`mergec completion`: a shell -> the script that completes mergec's command lines in it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
_WHERE = {
    "bash": 'eval "$(mergec completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(mergec completion zsh)"   # in ~/.zshrc',
    "fish": "mergec completion fish > ~/.config/fish/completions/mergec.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(_WHERE.values()))
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, flags, methods and parameters."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "mergec", "_MERGEC_COMPLETE").source())
