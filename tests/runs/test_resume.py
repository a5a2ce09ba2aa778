"""Killed, torn, out of space, changed: the same command does what is left, with equal bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mergec
import pytest
from mergec.errors import MergecError, ResourceError
from mergec.runtime.checksums import Checksum
from mergec.runtime.journal import Finished, journal_line, parse_journal, read_journal
from mergec.runtime.paused import Paused
from mergec.runtime.run_folder import run_folders

RECIPE = """\
let core = ties { base = "org/base"
  "org/a" weight=0.5 density=0.6
  "org/b" weight=0.3 density=0.5
}
save slerp { core, "org/a", t = 0.25 } to "./out" { shard = 40KB, dtype = bfloat16 }
save slerp { "org/b", core, t = 0.5 } to "./other"
"""
PROGRAM = """
import os, sys, time
import mergec
from mergec.runtime import journal, compute
note = compute.Computation._note
def noting(self, recorder, at, job):
    os.write(log, b"%d\\n" % at)
    note(self, recorder, at, job)
    time.sleep(0.002)
compute.Computation._note = noting
log = os.open("computed", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
mergec.run("recipe.merge", models=[sys.argv[1]], threads=2)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipe.merge").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def wanted(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What an uninterrupted run writes."""
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "recipe.merge").write_text(RECIPE)
    with contextlib.chdir(folder):
        mergec.run("recipe.merge", models=[mirror])
    return {name: contents(folder / name) for name in ("out", "other")}


def killed(place: Path, mirror: Path, seconds: float) -> bool:
    """Start the run and kill it after a time; whether it was still at work."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(mirror)], cwd=place) as process:
        end = time.monotonic() + 60
        while not (place / "computed").exists() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    return process.returncode == -signal.SIGKILL


def torture(place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]], kills: int) -> int:
    """Kill runs at random times until so many were hit, and let each end; the work done over."""
    draw = random.Random(9)
    most_over = hit = 0
    while hit < kills:
        shutil.rmtree(place)
        place.mkdir()
        (place / "recipe.merge").write_text(RECIPE)
        os.chdir(place)
        tries = 0
        while killed(place, mirror, draw.uniform(0, 0.12)):
            hit += 1
            tries += 1
            if tries == 3 or hit == kills:
                mergec.run("recipe.merge", models=[mirror])
                break
        assert {name: contents(place / name) for name in wanted} == wanted
        assert {p.name for p in place.iterdir()} == {"recipe.merge", "out", "other", "computed"}
        done = (place / "computed").read_text().split()
        most_over = max(most_over, len(done) - len(set(done)) - tries * IN_FLIGHT)
    return most_over


IN_FLIGHT = 12
"""Components that may be computed and not yet in the journal when a kill comes: those under way,
and those of the flush that is under way."""


def test_killed_at_random_and_resumed(
    place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]]
) -> None:
    assert torture(place, mirror, wanted, 6) <= 0


@pytest.mark.slow
def test_killed_two_hundred_times(
    place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]]
) -> None:
    assert torture(place, mirror, wanted, 200) <= 0


WRITES = ["pwrite", "write", "fsync", "fdatasync", "open", "truncate", "posix_fallocate", "rename"]
CRASHING = """
import os, sys
import mergec
name, left = sys.argv[2], int(sys.argv[3])
call = getattr(os, name)
def crashing(*arguments, **options):
    global left
    left -= 1
    if left == 0:
        os._exit(99)
    return call(*arguments, **options)
setattr(os, name, crashing)
from mergec.runtime import journal
if name == "fdatasync":
    journal._flush = crashing
mergec.run("recipe.merge", models=[sys.argv[1]], threads=1)
"""


@pytest.mark.parametrize("name", WRITES)
def test_crash_at_each_write(
    name: str, place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]]
) -> None:
    """The process is gone at the first, a middle and a late call of the system."""
    for number in (1, 3, 9, 40):
        command = [sys.executable, "-c", CRASHING, str(mirror), name, str(number)]
        ended = subprocess.run(command, cwd=place, check=False, timeout=60).returncode
        assert ended in (0, 99)
        for output in ("out", "other"):
            assert not (place / output).exists() or contents(place / output) == wanted[output]
        if ended == 0:
            break
    mergec.run("recipe.merge", models=[mirror])
    assert {output: contents(place / output) for output in wanted} == wanted


FAULTS = ["ENOSPC", "EIO", "short", "EINTR"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["pwrite", "write", "fsync", "open", "posix_fallocate", "rename"])
def test_faults_of_the_system(
    name: str,
    fault: str,
    place: Path,
    mirror: Path,
    wanted: dict[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No corrupt output has a final name, whichever call fails; afterwards all goes on."""
    for number in (1, 2, 5, 20):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, _failing(getattr(os, name), number, fault))
            with contextlib.suppress(MergecError):
                mergec.run("recipe.merge", models=[mirror], threads=1)
        for output, content in wanted.items():
            if (place / output).exists():
                assert contents(place / output) == content
    mergec.run("recipe.merge", models=[mirror])
    assert {output: contents(place / output) for output in wanted} == wanted


def _failing(call: Callable[..., Any], number: int, fault: str) -> Callable[..., Any]:
    """A call of the system that fails at its `number`th time."""
    left = [number]

    def failing(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] != 0:
            return call(*arguments, **options)
        if fault != "short":
            raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
        if call.__name__ in ("pwrite", "write"):
            data = memoryview(arguments[1])
            return call(arguments[0], data[: max(1, len(data) // 2)], *arguments[2:])
        return call(*arguments, **options)

    return failing


def half_done(place: Path, mirror: Path, tensors: int = 12) -> Path:
    """A run that was stopped after some tensors; its first run folder."""
    import threading

    stop = threading.Event()

    def watch(progress: object) -> None:
        stop.set()

    with pytest.raises(Paused):
        mergec.run("recipe.merge", models=[mirror], stop=stop, watch=watch, threads=1)
    return run_folders(place / "out")[0]


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tile takes a while, so that a run can be stopped in the middle."""
    from mergec.runtime.walk import Walk

    chunk = Walk.chunk

    def slow(self: Walk, *arguments: int) -> None:
        time.sleep(0.02)
        chunk(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Walk, "chunk", slow)


def test_a_stopped_run_goes_on(
    place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]], slowly: None
) -> None:
    folder = half_done(place, mirror)
    done = len(read_journal(folder / ".mergec" / "journal"))
    report = mergec.run("recipe.merge", models=[mirror], memory="min")
    assert done > 0 and report.computed == 2 * (21 - done)
    assert {output: contents(place / output) for output in wanted} == wanted


@pytest.mark.parametrize("damage", ["torn line", "flipped bit", "empty", "garbage", "folder"])
def test_a_damaged_journal(
    damage: str, place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]], slowly: None
) -> None:
    folder = half_done(place, mirror)
    journal = folder / ".mergec" / "journal"
    data = journal.read_bytes()
    if damage == "torn line":
        journal.write_bytes(data[:-20])
    elif damage == "flipped bit":
        journal.write_bytes(data[:30] + bytes([data[30] ^ 1]) + data[31:])
    elif damage == "folder":
        journal.unlink()
        journal.symlink_to("/dev/zero")
    else:
        journal.write_bytes(b"" if damage == "empty" else os.urandom(4000))
    mergec.run("recipe.merge", models=[mirror])
    assert {output: contents(place / output) for output in wanted} == wanted


def test_a_shard_that_was_lost_is_made_again(
    place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]], slowly: None
) -> None:
    folder = half_done(place, mirror)
    (folder / sorted(p.name for p in folder.glob("*.safetensors"))[0]).unlink()
    mergec.run("recipe.merge", models=[mirror])
    assert {output: contents(place / output) for output in wanted} == wanted


def test_a_source_that_changed_between_is_computed_again(
    place: Path, mirror: Path, wanted: dict[str, dict[str, bytes]], slowly: None
) -> None:
    shutil.copytree(mirror, place / "models")
    models = place / "models"
    half_done(place, models)
    file = models / "org" / "a" / "model.safetensors"
    data, was = file.read_bytes(), file.stat()
    shutil.copyfile(models / "org" / "b" / "model.safetensors", file)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    mergec.run("recipe.merge", models=[models])
    changed = contents(place / "out")
    assert [n for n in wanted["out"] if n != "mergec.json" and changed[n] != wanted["out"][n]]
    file.write_bytes(data)
    mergec.run("recipe.merge", models=[models])
    for name, data in contents(place / "out").items():
        assert name == "mergec.json" or data == wanted["out"][name]


def test_a_source_that_changes_meanwhile_is_noticed(
    place: Path, mirror: Path, slowly: None
) -> None:
    shutil.copytree(mirror, place / "models")
    file = place / "models" / "org" / "a" / "model.safetensors"
    was = file.stat()

    def watch(progress: object) -> None:
        copy = file.with_name("copy")
        shutil.copyfile(file, copy)
        os.utime(copy, ns=(was.st_atime_ns, was.st_mtime_ns))
        copy.replace(file)

    with pytest.raises(MergecError, match="E0651"):
        mergec.run("recipe.merge", models=[place / "models"], watch=watch)
    assert not (place / "out").exists()


def test_two_runs_of_one_output(place: Path, mirror: Path, slowly: None) -> None:
    from mergec.runtime.run_folder import RunFolder

    for digest in ("0123456789abcdef", "fedcba9876543210"):
        with (
            RunFolder(place / "out", digest),
            pytest.raises(ResourceError, match=rf"E0504.*process {os.getpid()}"),
        ):
            mergec.run("recipe.merge", models=[mirror])
    mergec.run("recipe.merge", models=[mirror])  # the locks went with their holders


def test_a_line_of_the_journal_survives_itself() -> None:
    checksum = Checksum(8)
    checksum.add(0, memoryview(b"12345678"))
    finished = Finished("key-native", checksum.text)
    lines = [journal_line(name, finished) for name in ("a", 'b\n"', "ä")]
    data = b"".join(lines)
    assert parse_journal(data) == (dict.fromkeys(["a", 'b\n"', "ä"], finished), len(data))
    for cut in range(len(data)):
        found, good = parse_journal(data[:cut])
        assert good == sum(len(line) for line in lines[: len(found)]) <= cut
