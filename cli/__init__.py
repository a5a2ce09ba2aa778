"""The `mergec` command: flags -> calls of the Python API -> text, JSON and exit codes.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 64 wrong usage, 130
interrupted.
"""

from __future__ import annotations

from .group import cli

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line of this process and exit."""
    cli.main(prog_name="mergec")
