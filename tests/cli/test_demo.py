"""`mergec demo`: its own folder can be used again, and nothing of anyone else is overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mergec.cli.demo_command import RECIPE
from mergec.cli.demo_folder import refuse_foreign, write_files
from mergec.errors import ResourceError

FILES = {RECIPE: b"recipe", "models/org/a/config.json": b"{}", "models/org/b/config.json": b"{}"}


def everything(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_demo(invoke, tmp_path):
    folder = tmp_path / "demo"
    result = invoke("demo", folder)
    assert result.exit_code == 0, result.stderr
    assert "16 checkpoints" in result.stdout
    for step in ("check", "plan", "run"):
        assert f"$ mergec {step} " in result.stdout
    outputs = sorted(path.name for path in folder.glob("*-v0.?"))
    assert outputs == ["Mistral-7B-Merge-14-v0.1", "Mistral-7B-Merge-14-v0.2"]
    before = everything(folder)
    assert invoke("demo", folder).exit_code == 0
    assert everything(folder) == before
    (folder / RECIPE).write_text("mine")
    result = invoke("demo", folder)
    assert result.exit_code == 1
    assert result.stderr.startswith("error[E0503]: the demo would overwrite ")
    assert everything(folder) == before | {RECIPE: b"mine"}


def a_file(folder: Path) -> None:
    (folder / RECIPE).write_text("mine")


def a_model(folder: Path) -> None:
    write_files(folder, {"models/org/b/config.json": b"{ }"})


def a_dangling_link(folder: Path) -> None:
    (folder / RECIPE).symlink_to(folder / "gone")


def a_file_for_a_folder(folder: Path) -> None:
    (folder / "models").touch()


def a_folder_for_a_file(folder: Path) -> None:
    (folder / RECIPE).mkdir()


def an_output(manifest: object) -> Callable[[Path], None]:
    return lambda folder: write_files(folder, {"out/mergec.json": json.dumps(manifest).encode()})


def manifest_of(text: str, model: object) -> dict[str, object]:
    return {"recipe": {"text": text}, "sources": [{"path": str(model)}]}


@pytest.mark.parametrize(
    "made",
    [
        a_file,
        a_model,
        a_dangling_link,
        a_file_for_a_folder,
        a_folder_for_a_file,
        an_output({}),
        an_output([]),
        an_output(manifest_of("another", "models/org/a")),
        an_output(manifest_of("recipe", "/real/models/org/a")),
    ],
)
def test_what_is_in_the_way(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path)
    with pytest.raises(ResourceError, match="E0503"):
        refuse_foreign(tmp_path, FILES, ["out"], "recipe")


def test_what_is_not_in_the_way(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    (tmp_path / "out").mkdir()
    refuse_foreign(tmp_path, FILES, ["out"], "recipe")
    an_output(manifest_of("recipe", tmp_path / "models" / "org" / "a"))(tmp_path)
    write_files(tmp_path, {"models/org/mine/config.json": b"{}", "notes.md": b"mine"})
    refuse_foreign(tmp_path, FILES, ["out"], "recipe")
