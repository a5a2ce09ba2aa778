"""The `mergec` command: flags -> calls of the Python API -> text, JSON and exit codes.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 64 wrong usage; 75 a
run that has finished what was under way when Ctrl-C was pressed, and goes on when it is started
again; 130 interrupted (129 by SIGHUP, 143 by SIGTERM).
"""

from __future__ import annotations

import os

from .group import cli

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line of this process and exit."""
    # numpy's linear algebra has only small matrices here: its idle threads would cost 0.1 s
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    cli.main(prog_name="mergec")
