"""Runs of small models: a mirror, and what a folder holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mergec.cli.group import cli
from support.checkpoints import tiny_mistral


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of org/base, org/a and org/b."""
    folder = tmp_path_factory.mktemp("mirror")
    for seed, name in enumerate(("base", "a", "b")):
        tiny_mistral(folder / "org" / name, seed, layers=2)
    return folder


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Runs `mergec ARGUMENTS` in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments])

    return run
