"""A command line -> what it took: CPU seconds of its process tree, wall seconds, peak memory.

Run as a program it is the inside of a measurement: it calls a command's function as the installed
script would, and then writes the peak of its own resident memory, which only the process itself
can tell (`ru_maxrss` of a child begins at its parent's).
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """user_seconds, system_seconds: of the process and all that it waited for."""

    user_seconds: float
    system_seconds: float
    wall_seconds: float
    peak_bytes: int

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


def measure(python: Path, function: str, arguments: list[str]) -> Measured:
    """Run `module:function` with command-line arguments in a process of its own.

    python: the interpreter of its environment. Raises RuntimeError with the command's own words
    where it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        peak, log = Path(scratch, "peak"), Path(scratch, "log")
        command = [str(python), __file__, str(peak), function, *arguments]
        with log.open("wb") as stream:
            started = time.monotonic()
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=_environment())
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            words = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{function} {' '.join(arguments)} failed:\n{words}")
        return Measured(usage.ru_utime, usage.ru_stime, wall, int(peak.read_text()))


def _environment() -> dict[str, str]:
    """This process's own, but modules are compiled once, as where a tool is used every day."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _peak_bytes() -> int:
    """VmHWM of this process; it includes what the interpreter and libraries take."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM: peak memory is measured on Linux only")


def _inside(peak: Path, function: str, arguments: list[str]) -> None:
    module, _, name = function.partition(":")
    sys.argv = [name, *arguments]
    sys.path.pop(0)  # this script's folder
    try:
        getattr(importlib.import_module(module), name)()
    finally:
        peak.write_text(str(_peak_bytes()))


if __name__ == "__main__":
    _inside(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
