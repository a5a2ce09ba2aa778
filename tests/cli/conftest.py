"""The command line on small models: in this process through click's runner, or as a program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mergec.cli.group import cli
from support.checkpoints import tiny_mistral

PROGRAM = [sys.executable, "-c", "from mergec.cli import main; main()"]

TIES = """\
let base = "org/base"
let core = ties {
  base = base
  "org/a"  weight=0.5  density=0.6
  "org/b"  weight=0.3  density=0.5
}
param t = 0.25
save slerp { core, "org/a", t = t } to "./out" { dtype = bfloat16 }
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of org/base, org/a and org/b."""
    mirror = tmp_path_factory.mktemp("mirror")
    for seed, name in enumerate(("base", "a", "b")):
        tiny_mistral(mirror / "org" / name, seed, layers=2)
    return mirror


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.merge"
    path.write_text(TIES)
    return path


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Runs `mergec ARGUMENTS` in this process."""

    def run(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments], input=stdin)

    return run


@pytest.fixture
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `mergec ARGUMENTS` as a process of its own."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *(str(a) for a in arguments)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            timeout=120,
            check=False,
        )

    return run
