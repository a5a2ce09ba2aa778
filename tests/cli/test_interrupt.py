"""Signals stop a run cleanly: the shells' exit codes, and the outputs are as they were."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergec.cli.signals import Stopped, terminable
from mergec.runtime.journal import read_journal
from mergec.runtime.run_folder import run_folders
from support.checkpoints import sparse_checkpoint

from .conftest import PROGRAM

RECIPE = 'save linear { "org/a" weight=1, "org/b" weight=2 } to "./out" { dtype = bfloat16 }\n'
SLOW = """
import time
from mergec.runtime.walk import Walk
def slowly(self, *arguments):
    time.sleep(0.5)
    chunk(self, *arguments)
chunk, Walk.chunk = Walk.chunk, slowly
"""
SLOW_PROGRAM = [PROGRAM[0], "-c", SLOW + PROGRAM[2]]
"""It needs half a second for each of the recipe's tensors."""


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Children hear all signals, though the tests may run in the background or by nohup."""
    heard = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in heard.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("numbers", "pause", "codes"),
    [
        ([signal.SIGINT], 0, {75}),
        ([signal.SIGINT, signal.SIGINT], 0.1, {130}),
        ([signal.SIGTERM], 0, {143}),
        ([signal.SIGHUP], 0, {129}),
        # Python may hear both before it runs a handler, then in the order of their numbers
        ([signal.SIGTERM, signal.SIGHUP], 0, {143, 129}),
        ([signal.SIGTERM, *[signal.SIGHUP] * 50], 0.02, {143, 129}),  # until it has ended
    ],
)
def test_a_signal_stops_a_run_that_then_goes_on(
    numbers: list[signal.Signals], pause: float, codes: set[int], tmp_path: Path
):
    for name in "ab":
        sparse_checkpoint(tmp_path / "models" / "org" / name, layers=4, hidden=1024)
    (tmp_path / "recipe.merge").write_text(RECIPE)
    before = tmp_path / "out"
    before.mkdir()
    (before / "mergec.json").write_text("{}")
    command = [*SLOW_PROGRAM, "run", "recipe.merge", "--models", "models", "--threads", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_a_tensor(tmp_path, process)
        for number in numbers:
            process.send_signal(number)  # does nothing once it is known to have ended
            time.sleep(pause)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in codes
    assert "go on with: mergec run recipe.merge --models models --threads 1" in errors
    assert "Traceback" not in errors
    assert [path.name for path in before.iterdir()] == ["mergec.json"]
    (left,) = run_folders(before)
    done = read_journal(left / ".mergec" / "journal")
    assert done
    again = subprocess.run(
        [*PROGRAM, "run", "recipe.merge", "--models", "models", "--json", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout)["computed"] == 39 - len(done)
    assert {path.name for path in tmp_path.iterdir()} == {"models", "out", "recipe.merge"}


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_ignored_signal_stays_ignored(handlers: None):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with terminable():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_failure_after_a_signal_is_that_signal(handlers: None):
    with pytest.raises(Stopped) as caught, terminable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            raise OSError("the terminal is gone")
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # for as long as the process lasts


def test_handlers_are_put_back_where_no_signal_came(handlers: None):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError), terminable():
        raise OSError("something else")
    assert signal.getsignal(signal.SIGTERM) is before


def _wait_for_a_tensor(place: Path, process: subprocess.Popen[str]) -> None:
    """Until a tensor is finished, and the next one is under way."""
    end = time.monotonic() + 60
    while not any(path.stat().st_size for path in place.glob(".out.mergec-*/.mergec/journal")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
