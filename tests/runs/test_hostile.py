"""Files made to crash, hang or fill the memory: each is refused at once, with a code."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mergec
import pytest
from mergec import api
from mergec.errors import MergecError, RunError
from mergec.grammar.diagnostics import MOST_PROBLEMS, Diagnostics, SourceText, Span
from mergec.grammar.recipe_file import MOST_BYTES, read_recipe_file

DEEP = "[" * 90_000 + "]" * 90_000
PROGRAM = [sys.executable, "-c", "from mergec.cli import main; main()"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def deep_header(folder: Path) -> None:
    text = f'{{"a": {DEEP}}}'.encode()
    (folder / "model.safetensors").write_bytes(safetensors(text))


def deep_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {DEEP}}}')


def deep_config(folder: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    data = safetensors(json.dumps(header).encode()) + b"\0" * 4
    (folder / "model.safetensors").write_bytes(data)
    (folder / "config.json").write_text(f'{{"a": {DEEP}}}')


@pytest.mark.parametrize("make", [deep_header, deep_index, deep_config])
def test_json_that_is_nested_deeply(make: Callable[[Path], None], place: Path) -> None:
    (place / "model").mkdir()
    make(place / "model")
    (place / "r.merge").write_text('save "./model" to "./out"')
    ended = subprocess.run([*PROGRAM, "check", "r.merge"], capture_output=True, check=False)
    assert ended.returncode == 1, ended.returncode  # and no signal
    assert ended.stderr.startswith(b"error[E031")


@pytest.mark.parametrize("text", ["[" * 20_000, "- " * 20_000, "{a: " * 20_000])
def test_yaml_that_is_nested_deeply(text: str, place: Path) -> None:
    (place / "r.yaml").write_text("a: " + text)
    started = time.monotonic()
    with pytest.raises(MergecError, match=r"E0109|E0111|E0112"):
        mergec.compile("r.yaml")
    assert time.monotonic() - started < 5


def test_only_regular_files_are_recipes(place: Path) -> None:
    os.mkfifo("pipe.merge")
    for name in ("pipe.merge", "/dev/zero", "."):
        with pytest.raises(MergecError, match="E0607"):
            mergec.compile(name)
    (place / "r.merge").write_text('import "./pipe.merge" as p\nsave p.x to "./out"')
    with pytest.raises(MergecError, match=r"E0206.*regular"):
        mergec.compile("r.merge")
    with pytest.raises(RunError, match="E0620"):
        os.mkfifo("pipe.mplan")
        mergec.run("pipe.mplan")


def test_a_recipe_has_a_size_that_somebody_wrote(place: Path) -> None:
    with open("large.merge", "wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(OSError, match="too large"):
        read_recipe_file(place / "large.merge")


def test_many_faults_end_soon(place: Path) -> None:
    (place / "r.merge").write_text("let = \n" * 100_000)
    started = time.monotonic()
    with pytest.raises(MergecError) as caught:
        mergec.compile("r.merge")
    assert time.monotonic() - started < 20
    assert len(caught.value.diagnostics) == MOST_PROBLEMS


def test_a_problem_is_reported_once() -> None:
    problems = Diagnostics()
    span = Span(SourceText("r", "text"), 0, 1)
    for _ in range(3):
        problems.report("E0101", "same", span)
    assert len(problems.items) == 1


def test_messages_show_the_neighbourhood_and_nothing_that_moves_a_cursor() -> None:
    text = "a" * 5_000 + "\x1b[31m\u202e!" + "b" * 5_000
    problems = Diagnostics()
    problems.report(
        "E0101", "an \x1b[2J in a message", Span(SourceText("r\x07.merge", text), 5006, 5007)
    )
    with pytest.raises(MergecError) as caught:
        problems.raise_errors()
    said = str(caught.value)
    assert not {"\x1b", "\u202e", "\x07"} & set(said)
    assert "\\u001b[2J" in said and "…aaa" in said and len(said) < 1_000


@pytest.mark.parametrize(("name", "value"), [("threads", -1), ("threads", "4"), ("memory", None)])
def test_a_forged_plan(name: str, value: object, place: Path, mirror: Path) -> None:
    from mergec.compiler.planning.plan_file import _checksum

    (place / "r.merge").write_text('save linear { "org/a" weight=1 } to "./out"')
    api.write_plan(mergec.compile("r.merge", models=[mirror]), "x.mplan")
    document = json.loads(Path("x.mplan").read_text())
    del document["sha256"]
    document["options"][name] = value
    Path("x.mplan").write_text(json.dumps(document | {"sha256": _checksum(document)}))
    with pytest.raises(RunError, match="E0620"):
        mergec.run("x.mplan")
    assert not (place / "out").exists()


def test_no_output_in_a_source(place: Path, mirror: Path) -> None:
    inside = mirror / "org" / "a" / "out"
    (place / "r.merge").write_text(f'save linear {{ "org/a" weight=1 }} to "{inside}"')
    with pytest.raises(MergecError, match="E0505"):
        mergec.run("r.merge", models=[mirror])
    assert not inside.exists()


def test_no_file_handles_left(place: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of file handles in the middle: an error with a code, and the run goes on afterwards."""
    import errno

    (place / "r.merge").write_text('save linear { "org/a" weight=1 } to "./out"')
    opened, left = os.open, [25]

    def limited(*arguments: object, **options: object) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(MergecError):
        patch.setattr(os, "open", limited)
        left[0] = 8
        mergec.run("r.merge", models=[mirror])
    assert not (place / "out").exists()
    assert mergec.run("r.merge", models=[mirror]).tensors == 21


@pytest.mark.parametrize("name", ["org/" + "n" * 300, "./" + "n" * 300, "o" + "[" * 300 + "/x"])
def test_a_model_name_that_no_file_can_have(name: str, place: Path) -> None:
    (place / "r.merge").write_text(f'save linear {{ "{name}" weight=1 }} to "./out"')
    with pytest.raises(MergecError, match=r"E0\d\d\d"):
        mergec.compile("r.merge", models=[place], offline=True)
