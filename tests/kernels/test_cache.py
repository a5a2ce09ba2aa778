"""The kernel cache: one process compiles while others wait; later ones load what is intact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from mergec.compiler.kernels.cache import find_kernel
from mergec.compiler.kernels.source import KernelSource
text = '''from numba import cfunc
@cfunc("void(CPointer(uint16), int64, int64, CPointer(float64), CPointer(uint64), "
       "CPointer(uint64), CPointer(float64), CPointer(uint32))", error_model="numpy")
def sweep(out, count, start, scalars, keys, cuts, sums, bins):
    for i in range(count):
        out[i] = 7
    sums[0] = scalars[0] / count
'''
out, sums = np.zeros(4, np.uint16), np.zeros(1)
words = np.zeros(1, np.uint64)
bins = np.zeros(1, np.uint32)
find_kernel(KernelSource(text, ("uint16",)))(out, 3, 0, np.ones(1), words, words, sums, bins)
assert out.tolist() == [7, 7, 7, 0] and sums[0] == 1 / 3
"""


@pytest.mark.slow
def test_processes_that_want_one_kernel_get_it(tmp_path: Path) -> None:
    environment = os.environ | {"MERGEC_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM]
    processes = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    [entry] = (tmp_path / "kernels").glob("*.kernel")

    once_more = "import sys\n" + PROGRAM + "assert 'numba' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", once_more], env=environment, check=True, timeout=120)

    whole = entry.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], whole[:-1] + b"?"):
        entry.write_bytes(damaged)
        subprocess.run(command, env=environment, check=True, timeout=120)
        assert entry.read_bytes() == whole
