"""Runs of small models: a mirror, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checkpoints import tiny_mistral


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of org/base, org/a and org/b."""
    folder = tmp_path_factory.mktemp("mirror")
    for seed, name in enumerate(("base", "a", "b")):
        tiny_mistral(folder / "org" / name, seed, layers=2)
    return folder
