"""Processes that want one kernel at the same time: one compiles it, the others wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from mergec.compiler.kernels.cache import cache_folder, load_kernel
from mergec.compiler.kernels.source import Source
text = '''from numba import njit
@njit("void(int64)", nogil=True, cache=True)
def sweep(count):
    for i in range(count):
        pass
'''
load_kernel(Source(text, ()))(3)
"""


def test_processes_that_want_one_kernel_get_it(tmp_path: Path) -> None:
    environment = os.environ | {"MERGEC_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM]
    processes = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    entries = [path for path in (tmp_path / "kernels").iterdir() if path.is_dir()]
    assert len(entries) == 1 and (entries[0] / "digests.json").is_file()
