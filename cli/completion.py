"""What a shell may complete: methods, and the parameters of the one that was typed."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from ..ops.method import find_method, method_names


def complete_methods(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """The merge methods, each with its summary."""
    found = [find_method(name) for name in method_names() if name.startswith(typed)]
    return [CompletionItem(method.name, help=method.summary) for method in found if method]


def complete_parameters(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """The parameters of the command line's method, as `name=`."""
    # click hasn't parsed what stands before an option that still lacks its value
    words = os.environ.get("COMP_WORDS", "").split()
    method = next((found for word in words if (found := find_method(word)) is not None), None)
    if method is None:
        return []
    names = [p.name for p in method.parameters if not p.filled and p.kind != "model"]
    return [CompletionItem(f"{name}=") for name in names if name.startswith(typed)]
