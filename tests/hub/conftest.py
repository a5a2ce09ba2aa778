"""A Hub on 127.0.0.1, with a home and a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from support.checkpoints import tiny_mistral
from support.hub_server import HubServer

NAMES = ("org/base", "org/a", "org/b")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept or cached yet."""
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # read when it was imported
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def hub(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Three models of three shards each, which are also in the mirror `models`."""
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        for seed, name in enumerate(NAMES):
            folder = tiny_mistral(place / "models" / name, seed, hidden=96, shards=3)
            (folder / "tokenizer.json").write_text('{"version": "1.0"}')
            server.add(name, folder)
        yield server
