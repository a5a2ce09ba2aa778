"""SIGINT and SIGTERM stop a run cleanly: code 130, and the outputs are as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.checkpoints import sparse_checkpoint

from .conftest import PROGRAM

RECIPE = 'save linear { "org/a" weight=1, "org/b" weight=2 } to "./out" { dtype = bfloat16 }\n'


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Children hear SIGINT, as they don't where the tests are a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run(number: signal.Signals, tmp_path: Path):
    for name in "ab":
        sparse_checkpoint(tmp_path / "models" / "org" / name, layers=4, hidden=1024)
    (tmp_path / "recipe.merge").write_text(RECIPE)
    before = tmp_path / "out"
    before.mkdir()
    (before / "mergec.json").write_text("{}")
    command = [*PROGRAM, "run", "recipe.merge", "--models", "models"]
    # an empty kernel cache: the run compiles for a while before it can be through
    environment = os.environ | {"MERGEC_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_for(tmp_path / ".out.mergec-partial" / "model.safetensors", process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.rstrip().endswith("interrupted: nothing unfinished is left behind")
    assert "Traceback" not in errors
    assert [path.name for path in before.iterdir()] == ["mergec.json"]
    assert not (tmp_path / ".out.mergec-partial").exists()


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
