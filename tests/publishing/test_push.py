"""Pushes to a local server that speaks the Hub's routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mergec.cli.group import cli
from support.checkpoints import tiny_mistral
from support.hub_server import HubServer
from support.hub_uploads import TOKEN, Uploads, accept_uploads
from support.merging import merge


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Uploads]:
    with HubServer() as hub:
        for name, value in {
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HOME": str(tmp_path / "hf"),
        }.items():
            monkeypatch.setenv(name, value)
        from huggingface_hub import constants

        # read once, when the library is loaded
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
        yield accept_uploads(hub)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    tiny_mistral(tmp_path / "a", 1)
    merge('save "./a" to "out" { shard = 40KB }', tmp_path / "out", folder=tmp_path)
    return tmp_path / "out"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def held(uploads: Uploads, name: str, revision: str = "main") -> dict[str, bytes]:
    files = uploads.files(name, revision)
    return {path: file.read(0, file.size) for path, file in files.items()}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_push_makes_the_repository(uploads: Uploads, output: Path) -> None:
    result = invoke("push", output, "me/merged", "--private")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{uploads.hub.endpoint}/me/merged\n"
    assert held(uploads, "me/merged") == content(output)
    assert uploads.hub.repositories["me/merged"].private


def test_a_dry_run_lists_files_and_asks_nothing(uploads: Uploads, output: Path) -> None:
    result = invoke("push", output, "me/merged", "--dry-run")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert {line[0] for line in lines} == {path.name for path in output.iterdir()}
    assert "nothing was uploaded" in result.stderr
    told: dict[str, Any] = json.loads(invoke("push", output, "me/merged", "-n", "--json").stdout)
    sizes = {file["name"]: file["size"] for file in told["files"]}
    assert sizes == {path.name: path.stat().st_size for path in output.iterdir()}
    assert uploads.hub.requests == []


def test_what_is_there_is_only_added_to_when_asked(uploads: Uploads, output: Path) -> None:
    assert invoke("push", output, "me/merged").exit_code == 0
    before = held(uploads, "me/merged")
    (output / "notes.txt").write_text("new")
    refused = invoke("push", output, "me/merged")
    assert refused.exit_code == 1 and "E0647" in refused.stderr
    assert held(uploads, "me/merged") == before
    branched = invoke("push", output, "me/merged", "--revision", "next")
    assert branched.exit_code == 0, branched.stderr
    assert held(uploads, "me/merged") == before
    assert held(uploads, "me/merged", "next") == content(output)
    assert invoke("push", output, "me/merged", "--yes").exit_code == 0
    assert held(uploads, "me/merged") == content(output)


def test_a_push_that_broke_goes_on(uploads: Uploads, output: Path) -> None:
    uploads.break_after = 1
    broken = invoke("push", output, "me/merged")
    assert broken.exit_code == 1 and "E0646" in broken.stderr
    uploads.break_after, before = None, uploads.taken
    assert invoke("push", output, "me/merged", "--yes").exit_code == 0
    large = [path for path in output.iterdir() if path.stat().st_size > 4096]
    assert uploads.taken == len(large) and before == 1
    assert held(uploads, "me/merged") == content(output)


def test_nobody_is_logged_in(
    uploads: Uploads, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    result = invoke("push", output, "me/merged")
    assert result.exit_code == 1 and "E0645" in result.stderr


def test_a_wrong_token_is_told(
    uploads: Uploads, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    result = invoke("push", output, "me/merged", "--yes")
    assert result.exit_code == 1 and "E0646" in result.stderr
    assert "Invalid username or password" in result.stderr


def test_only_finished_outputs_are_pushed(uploads: Uploads, tmp_path: Path) -> None:
    tiny_mistral(tmp_path / "a", 1)
    result = invoke("push", tmp_path / "a", "me/merged")
    assert result.exit_code == 1 and "E0644" in result.stderr


@pytest.mark.parametrize("name", ["merged", "a/b/c", "hf://", "me/../x", "me/ b"])
def test_a_name_that_is_none(name: str, output: Path) -> None:
    result = invoke("push", output, name)
    assert result.exit_code == 1 and "E0643" in result.stderr
