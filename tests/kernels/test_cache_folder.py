"""Without a place for a lasting cache kernels are compiled into a temporary folder, or refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mergec.machine_code import cache_folder

from .test_cache import PROGRAM

DRY = """
import errno
from pathlib import Path
def full(self, *arguments, **options):
    if "kernels-" not in str(self):
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(self, *arguments, **options)
write, Path.write_bytes = Path.write_bytes, full
"""
"""Makes the disk of the lasting cache a full one."""


def compiled(code: str, tmp_path: Path, **home: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "tmp").mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "MERGEC_HOME"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"TMPDIR": str(tmp_path / "tmp")} | home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("home", ["MERGEC_HOME", "HOME", "full disk"])
def test_a_temporary_folder_stands_in(home: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    full = home == "full disk"
    place = {"MERGEC_HOME": str(tmp_path)} if full else {home: str(tmp_path / "file" / "no")}
    result = compiled((DRY if full else "") + PROGRAM, tmp_path, **place)
    assert result.returncode == 0, result.stderr
    [line] = result.stderr.splitlines()
    reason = "No space left on device" if full else "Not a directory"
    assert line.startswith("warning[W0502]: can't keep compiled kernels in ")
    assert f"/kernels: {reason}; they are in {tmp_path / 'tmp' / 'mergec-kernels-'}" in line
    assert "MERGEC_HOME can name another folder" in line
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_place_at_all(tmp_path: Path) -> None:
    code = "import tempfile; tempfile.tempdir = '/dev/null/no'\n" + PROGRAM
    result = compiled(code, tmp_path, MERGEC_HOME="/dev/null/no")
    assert "error[E0502]: there is no place to compile kernels: Not a directory" in result.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(PermissionError):
        cache_folder.writable_folder()


def test_others_must_not_write_to_it(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    result = compiled(PROGRAM, tmp_path, MERGEC_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "error[E0522]" in result.stderr
