"""mergec.json says what was computed, of what, and which files came of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

RECIPE = """\
import "./values.merge" as values
param s = 0.25
save linear { "org/a" weight=s, "org/b@main" weight=values.other } to "./out"
"""
VALUES = "let other = 0.5\n"


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "models" / "org" / "a" / "LICENSE").touch()
    (tmp_path / "recipe.merge").write_text(RECIPE)
    (tmp_path / "values.merge").write_text(VALUES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def manifest(place: Path, invoke) -> dict[str, Any]:
    result = invoke("run", "recipe.merge", "-m", "models", "--set", "s=0.9", "-q")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads((place / "out" / "mergec.json").read_text())
    return found


def test_values_and_texts(manifest, place):
    assert manifest["set"] == {"s": "0.9"}
    assert manifest["recipe"] == {
        "name": "recipe.merge",
        "text": RECIPE,
        "imports": [
            {
                "path": str(place / "values.merge"),
                "sha256": hashlib.sha256(VALUES.encode()).hexdigest(),
                "text": VALUES,
            }
        ],
    }
    assert manifest["optimise"] == 1


def test_sources(manifest, place):
    first, second = manifest["sources"]
    assert (first["reference"], first["asked_revision"]) == ("org/a", None)
    assert (second["reference"], second["asked_revision"]) == ("org/b@main", "main")
    assert first["path"] == str(place / "models" / "org" / "a")
    assert first["revision"] is None


def test_files_are_all_that_was_written(manifest, place):
    files = {path.name: path.stat().st_size for path in (place / "out").iterdir()}
    del files["mergec.json"], files["README.md"]  # the card is there to be edited
    assert {file["name"]: file["size"] for file in manifest["files"]} == files
    assert {"model.safetensors", "config.json", "LICENSE"} <= set(files)


def test_what_a_user_adds_is_kept_by_the_next_run(manifest, place, invoke):
    (place / "out" / "README.md").write_text("mine")
    assert invoke("run", "recipe.merge", "-m", "models", "-q").exit_code == 0
    assert (place / "out" / "README.md").read_text() == "mine"
    again = json.loads((place / "out" / "mergec.json").read_text())
    assert again["set"] == {}
    assert again["files"] == manifest["files"]


def test_an_import_of_numbers_alone_is_watched_by_plans(place, invoke):
    assert invoke("plan", "recipe.merge", "-m", "models", "-o", "x.mplan").exit_code == 0
    (place / "values.merge").write_text("let other = 0.75\n")
    result = invoke("run", "x.mplan")
    assert "error[E0622]" in result.stderr
