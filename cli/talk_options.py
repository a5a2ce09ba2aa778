"""The flags of commands that let a model speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def talk_options(function: _F) -> _F:
    """Adds the flags `tokens`, `temperature`, `device`."""
    for option in reversed(
        (
            click.option(
                "-n", "--tokens", default=64, type=click.IntRange(min=1), help="Most tokens."
            ),
            click.option(
                "-t",
                "--temperature",
                default=0.0,
                type=click.FloatRange(min=0),
                help="0 takes the likeliest token each time.",
            ),
            click.option("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, …"),
        )
    ):
        function = option(function)
    return function
