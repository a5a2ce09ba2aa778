"""Outputs that appear whole or not at all, and the small files that go with them."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from mergec.checkpoints.shard_layout import plan_layout
from mergec.checkpoints.small_files import readable_sidecars
from mergec.compiler.planning.planned_output import NewFile, PlannedOutput
from mergec.grammar.diagnostics import ResourceError, RunError, SourceText, Span
from mergec.ops.dtypes import float32
from mergec.runtime.disk import check_space
from mergec.runtime.run_folder import RunFolder
from support.checkpoints import tiny_mistral
from support.stores import open_path

DIGEST = "0123456789abcdef"
SPAN = Span(SourceText("r.merge", 'save a to "./out"'), 10, 17)
LAYOUT = plan_layout([("a", float32, (2,)), ("b", float32, (3,))], 8)
assert LAYOUT.index is not None
FILES = (NewFile("model.safetensors.index.json", LAYOUT.index.encode()),)
PLANNED = PlannedOutput(Path("out"), "./out", SPAN, LAYOUT, FILES, {})
Usage = namedtuple("Usage", "total used free")


def write_output(path: Path, manifest: str = "{}") -> None:
    with RunFolder(path, DIGEST) as output:
        output.fill(PLANNED)
        output.write("mergec.json", manifest.encode())
        output.commit()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_appears_at_commit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out"
    with RunFolder(path, DIGEST) as output:
        assert names(path.parent) == [f".out.mergec-{DIGEST}"]
        output.fill(PLANNED)
        for shard in LAYOUT.shards:
            file = output.folder / shard.name
            assert file.stat().st_size == shard.size
            assert file.read_bytes().startswith(shard.header)
        output.write("mergec.json", b"{}")
        assert not path.exists()
        output.commit()
        output.discard()
    assert names(path.parent) == ["out"]
    assert len(open_path(path).tensors) == 2


@pytest.mark.parametrize("before", ["nothing", "empty folder", "output", "link to an output"])
def test_replaces(before: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    if before == "empty folder":
        path.mkdir()
    elif before == "output":
        write_output(path, "old")
    elif before == "link to an output":
        write_output(tmp_path / "disk" / "out", "old")
        path.symlink_to(tmp_path / "disk" / "out")
    write_output(path, "new")
    assert (path / "mergec.json").read_text() == "new"
    assert path.is_symlink() == before.startswith("link")
    assert not [name for name in names(path.resolve().parent) if name.startswith(".")]


@pytest.mark.parametrize("before", ["nothing", "output"])
def test_discard_leaves_what_was_there(before: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "out"
    if before == "output":
        write_output(path, "old")
    with pytest.raises(KeyboardInterrupt), RunFolder(path, DIGEST) as output:
        output.fill(PLANNED)
        raise KeyboardInterrupt
    if before == "output":
        assert (path / "mergec.json").read_text() == "old"
        assert names(path.parent) == ["out"]
    else:
        assert names(tmp_path) == []


def refused(path: Path, code: str, words: str) -> None:
    with pytest.raises(ResourceError) as caught:
        RunFolder(path, DIGEST, SPAN).__enter__()
    [problem] = caught.value.diagnostics
    assert (problem.code, problem.span) == (code, SPAN)
    assert words in problem.message
    assert problem.hint


def test_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused(tmp_path / "out", "E0503", "is a file")
    assert (tmp_path / "out").read_text() == "mine"
    assert names(tmp_path) == ["out"]


def test_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    tiny_mistral(tmp_path / "out", 1)
    refused(tmp_path / "out", "E0503", "is a folder without mergec.json")
    assert names(tmp_path) == ["out"]


def test_refuses_a_folder_that_became_somebody_elses_meanwhile(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out", DIGEST) as output:
        output.write("mergec.json", b"{}")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "pytorch_model.bin").touch()
        with pytest.raises(ResourceError, match="E0503"):
            output.commit()
    assert names(tmp_path / "out") == ["pytorch_model.bin"]
    assert names(tmp_path) == ["out"]


def test_a_folder_of_a_person_s_own_files_is_taken_and_they_stay(tmp_path: Path) -> None:
    (tmp_path / "out" / "plots").mkdir(parents=True)
    (tmp_path / "out" / "plots" / "loss.png").write_text("picture")
    (tmp_path / "out" / "notes.md").write_text("mine")
    with RunFolder(tmp_path / "out", DIGEST) as output:
        output.write("mergec.json", b'{"format_version": 2, "files": []}')
        output.write("config.json", b"{}")
        output.commit()
    assert names(tmp_path / "out") == ["config.json", "mergec.json", "notes.md", "plots"]
    assert (tmp_path / "out" / "notes.md").read_text() == "mine"
    assert (tmp_path / "out" / "plots" / "loss.png").read_text() == "picture"
    assert names(tmp_path) == ["out"]


def test_refuses_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    refused(tmp_path / "f" / "out", "E0502", "Not a directory")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_refuses_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(tmp_path / "out", "E0502", "Permission denied")
    tmp_path.chmod(0o700)


def test_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", deny)
    refused(tmp_path / "out", "E0502", f"{tmp_path}/.out.mergec-{DIGEST}: Permission denied")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out", DIGEST) as first:
        refused(tmp_path / "out", "E0504", "another mergec is writing")
        first.write("mergec.json", b"{}")
        first.commit()
    write_output(tmp_path / "out")


def test_takes_over_what_a_killed_run_left(tmp_path: Path) -> None:
    left = tmp_path / f".out.mergec-{DIGEST}"
    (left / "sub").mkdir(parents=True)
    (left / LAYOUT.shards[0].name).write_text("half")
    write_output(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert len(names(tmp_path / "out")) == 4


@pytest.mark.parametrize("renamed", ["once", "twice"])
def test_recovers_from_a_kill_between_two_renames(renamed: str, tmp_path: Path) -> None:
    write_output(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.mergec-old")
    if renamed == "twice":
        write_output(tmp_path / "new", "new")
        (tmp_path / "new").rename(tmp_path / "out")
    RunFolder(tmp_path / "out", DIGEST).__enter__().discard()
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "mergec.json").read_text() == ("old" if renamed == "once" else "new")


def test_failed_rename_brings_the_old_output_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_output(tmp_path / "out", "old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(DIGEST):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(RunError, match="Input/output error"):
        write_output(tmp_path / "out", "new")
    assert (tmp_path / "out" / "mergec.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_commit_needs_a_manifest(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "out", DIGEST) as output,
        pytest.raises(ValueError, match=r"mergec\.json"),
    ):
        output.commit()


def test_full_disk_is_found_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 900, 100))
    with RunFolder(tmp_path / "out", DIGEST, SPAN) as output:
        with pytest.raises(ResourceError) as caught:
            output.fill(PLANNED)
        assert names(output.folder) == [".mergec"]
    [problem] = caught.value.diagnostics
    assert (problem.code, problem.span) == ("E0501", SPAN)
    assert f"needs {LAYOUT.nbytes:,} bytes, 100 are free" in problem.message
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_while_writing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(os, "posix_fallocate", fail, raising=False)
    with RunFolder(tmp_path / "out", DIGEST) as output, pytest.raises(ResourceError, match="E0501"):
        output.fill(PLANNED)
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", ["absent", "not supported"])
def test_disk_without_fallocate(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if how == "absent":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", fail, raising=False)
    write_output(tmp_path / "out")
    assert (tmp_path / "out" / LAYOUT.shards[0].name).stat().st_size == LAYOUT.shards[0].size


def test_space_is_checked_for_all_outputs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 900, 100))
    check_space({tmp_path / "a" / "b": 60, tmp_path / "c": 40})
    with pytest.raises(ResourceError, match="needs 101 bytes, 100 are free"):
        check_space({tmp_path / "a" / "b": 60, tmp_path / "c": 41})


def test_sidecars(tmp_path: Path) -> None:
    base = tiny_mistral(tmp_path / "base", 1)
    along = [
        "tokenizer.json",
        "tokenizer.model",
        "generation_config.json",
        "chat_template.jinja",
        "additional_chat_templates/tool.jinja",
        "1_Pooling/config.json",
        "LICENSE.txt",
        "NOTICE",
    ]
    behind = ["README.md", "modeling.py", "pytorch_model.bin", "onnx/config.json", "x/LICENSE"]
    for name in along + behind:
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(name)
    found = readable_sidecars(open_path(base))
    assert {file.name for file in found} == set(along)


def test_no_sidecars_for_a_lone_file(tmp_path: Path) -> None:
    base = tiny_mistral(tmp_path, 1)
    (base / "config.json").unlink()
    (base / "LICENSE").touch()
    assert readable_sidecars(open_path(base / "model.safetensors")) == []


def test_links_of_the_hugging_face_cache_stay_in_it(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    base = tiny_mistral(repository / "snapshots" / ("a" * 40), 1)
    blob = repository / "blobs" / "b"
    blob.parent.mkdir()
    blob.write_text("vocab")
    (base / "vocab.json").symlink_to("../../blobs/b")
    assert readable_sidecars(open_path(base))[0].name == "vocab.json"


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_link_out_of_the_checkpoint_is_refused(snapshot: bool, tmp_path: Path) -> None:
    base = tmp_path / ("m/snapshots/x" if snapshot else "base")
    tiny_mistral(base, 1)
    (tmp_path / "secret").write_text("mine")
    (base / "tokenizer.json").symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="E0611"):
        readable_sidecars(open_path(base))
