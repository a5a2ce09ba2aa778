"""The kernel cache: one process compiles while others wait; later ones load what is intact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from mergec.compiler.kernels.compiled import find_kernel
from mergec.compiler.kernels.mathematics import Buffer, Kernel, Step
from mergec.ops.dtypes import BY_NAME
float32 = BY_NAME["float32"]
kernel = Kernel(
    compute=float32, far=False,
    inputs=(Buffer("in0", BY_NAME["bfloat16"]),), outputs=(Buffer("out0", float32),),
    loads=(("v0", False),), checks=(), scalars=("s0",), flags=(),
    lines=(Step("v1", "mul", ("v0", "s0")),), stores=("v1",), sums=(("v1",),), looks=(), bins=1,
)
x, out, sums = np.full(4, 0x3FC0, np.uint16), np.zeros(4, np.float32), np.zeros(1)
words = np.zeros(1, np.uint64)
bins = np.zeros(1, np.uint32)
find_kernel(kernel)(x, out, 3, 0, np.full(1, 0.5), words, words, sums, bins)
assert out.tolist() == [0.75, 0.75, 0.75, 0] and sums[0] == 2.25
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

    once_more = (
        "import sys\n" + PROGRAM + "assert 'mergec.compiler.kernels.emission' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", once_more], env=environment, check=True, timeout=120)

    whole = entry.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], whole[:-1] + b"?"):
        entry.write_bytes(damaged)
        subprocess.run(command, env=environment, check=True, timeout=120)
        assert entry.read_bytes() == whole
