"""RECIPE.lock: a run refuses sources with other content, whatever their names and times."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result


@pytest.fixture
def place(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., Result]
) -> Path:
    shutil.copytree(mirror, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.merge").write_text('save linear { "org/a" weight=1, "org/b" weight=1 } to "./o"')
    assert invoke("lock", "r.merge", "-m", "models").exit_code == 0
    return tmp_path


def test_a_lock_says_which_files(place: Path) -> None:
    document = json.loads((place / "r.merge.lock").read_text())
    assert list(document["sources"]) == ["org/a", "org/b"]
    (file,) = document["sources"]["org/a"]["files"]
    path = place / "models" / "org" / "a" / "model.safetensors"
    assert file["size"] == path.stat().st_size and len(file["sha256"]) == 64


def test_equal_content_is_run(place: Path, invoke: Callable[..., Result]) -> None:
    os.utime(place / "models" / "org" / "a" / "model.safetensors")  # seen again: it is hashed
    assert invoke("run", "r.merge", "-m", "models", "-q").exit_code == 0


def test_other_content_is_refused_until_the_lock_moves(
    place: Path, invoke: Callable[..., Result]
) -> None:
    file = place / "models" / "org" / "a" / "model.safetensors"
    was = file.stat()
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    refused = invoke("run", "r.merge", "-m", "models", "-q")
    assert refused.exit_code == 1
    assert "E0656" in refused.stderr and "org/a: model.safetensors has other" in refused.stderr
    assert not (place / "o").exists()
    assert invoke("run", "r.merge", "-m", "models", "-q", "--update-lock").exit_code == 0
    assert invoke("run", "r.merge", "-m", "models", "-q").exit_code == 0


@pytest.mark.parametrize("text", ["", "{}", '{"format": "mergec-lock", "sources": {"a": 1}}'])
def test_what_is_no_lock(text: str, place: Path, invoke: Callable[..., Result]) -> None:
    (place / "r.merge.lock").write_text(text)
    assert "E0657" in invoke("run", "r.merge", "-m", "models", "-q").stderr
