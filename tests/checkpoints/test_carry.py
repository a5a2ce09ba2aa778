"""What a user has put into an output is still there when the output is replaced."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from mergec.grammar.diagnostics import RunError
from mergec.runtime import run_folder
from mergec.runtime.carry import files_below
from mergec.runtime.run_folder import RunFolder

DIGEST = "0123456789abcdef"


def write_output(path: Path, listed: bool = True, **files: str) -> None:
    """An output with these files, dots as `__` and slashes as `___`."""
    with RunFolder(path, DIGEST) as output:
        for name, text in files.items():
            target = output.folder / name.replace("___", "/").replace("__", ".")
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
        names = [{"name": name} for name in files_below(output.folder)]
        manifest = {"format_version": 2, "files": names} if listed else {"format_version": 1}
        output.write("mergec.json", json.dumps(manifest).encode())
        output.commit()


def content(folder: Path) -> dict[str, str]:
    found = {name: (folder / name).read_text() for name in sorted(files_below(folder))}
    del found["mergec.json"]
    return found


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        target = folder / name.replace("___", "/").replace("__", ".")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def test_only_what_mergec_wrote_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_output(out, model__safetensors="old", LICENSE="old", templates___a__jinja="old")
    put(out, README__md="mine", model__gguf="mine", templates___b__jinja="mine", notes___x="mine")
    (out / "link").symlink_to("README.md")
    (out / "empty").mkdir()
    write_output(out, model__safetensors="new")
    assert content(out) == {
        "README.md": "mine",
        "link": "mine",
        "model.gguf": "mine",
        "model.safetensors": "new",
        "notes/x": "mine",
        "templates/b.jinja": "mine",
    }
    assert (out / "link").is_symlink() and (out / "empty").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    write_output(out, model__safetensors="newer")
    assert content(out)["README.md"] == "mine"


def test_a_new_file_takes_the_place_of_its_namesake(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_output(out)
    put(out, LICENSE="mine", templates___a="mine", templates___b="mine")
    write_output(out, LICENSE="new", templates___a="new")
    assert content(out) == {"LICENSE": "new", "templates/a": "new", "templates/b": "mine"}


@pytest.mark.parametrize("manifest", ['{"format_version": 1, "files": []}', "{}", "[]", "cut o"])
def test_a_manifest_that_does_not_list_all(manifest: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    usual = {"config__json": "old", "tokenizer__model": "old", "model-1__safetensors": "old"}
    write_output(out, **usual, LICENSE="old")
    (out / "mergec.json").write_text(manifest)
    put(out, README__md="mine", sub___config__json="mine")
    write_output(out, LICENSE="new")
    assert content(out) == {"LICENSE": "new", "README.md": "mine", "sub/config.json": "mine"}


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_run_killed_while_files_are_moved(
    moved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_output(out, config__json="old")
    put(out, a="mine", b="mine")
    rename, left = Path.rename, [2 + moved]  # the two of the folders come first

    def killed(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        patch.setattr(run_folder.shutil, "rmtree", _interrupted)
        write_output(out, config__json="new")
    assert (tmp_path / ".out.mergec-old").is_dir()
    RunFolder(out, DIGEST).__enter__().discard()
    assert content(out) == {"config.json": "new", "a": "mine", "b": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_an_old_output_half_removed_is_not_carried(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_output(out)
    put(tmp_path / ".out.mergec-old", LICENSE="old")
    RunFolder(out, DIGEST).__enter__().discard()
    assert content(out) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_that_cannot_be_moved_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_output(out)
    put(out, a="mine")

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(RunError, match="E0603") as caught:
        patch.setattr(run_folder, "carry_over", fail)
        write_output(out, b="new")
    assert ".out.mergec-old: Input/output error" in str(caught.value)
    assert content(out) == {"b": "new"}
    assert (tmp_path / ".out.mergec-old" / "a").read_text() == "mine"
    write_output(out, b="newer")
    assert content(out) == {"a": "mine", "b": "newer"}
