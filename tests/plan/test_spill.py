"""Spill files: chosen between the limits, gone afterwards, and nothing of them after a SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mergec
import pytest
from mergec.compiler.planning.plan import Plan
from mergec.runtime import held
from mergec.runtime.run_folder import run_folders

# so many sources that a file is quicker than reading all of them again
RECIPE = """\
let core = dare_ties { base = "big/base"
  "big/a" weight=0.3 density=0.5
  "big/b" weight=0.3 density=0.5
  "big/c" weight=0.3 density=0.5
  "big/d" weight=0.3 density=0.5
  "big/e" weight=0.3 density=0.5
  "big/f" weight=0.3 density=0.5
}
save slerp { core, "big/g", t = 0.4 } to "./one" { dtype = bfloat16 }
"""
PROGRAM = "import sys, mergec; mergec.run(sys.argv[1], models=[sys.argv[2]], memory=sys.argv[3])"


def spilling(mirror: Path, out: Path) -> Plan:
    """A plan that spills: the first of the frontier that does."""
    plan = mergec.compile(RECIPE, models=[mirror], out=out, threads=2)
    for row in plan.frontier():
        if row.spilled:
            return mergec.compile(RECIPE, models=[mirror], out=out, threads=2, memory=row.peak)
    raise AssertionError("nothing on the frontier spills")


@pytest.mark.slow
def test_a_limit_between_makes_it_spill(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    made = held.Spilled.__init__

    def noted(self: held.Spilled, folder: Path, *rest: object) -> None:
        made(self, folder, *rest)  # type: ignore[arg-type]
        folders.append(folder)

    monkeypatch.setattr(held.Spilled, "__init__", noted)
    plan = spilling(mirror, tmp_path / "spilt")
    assert plan.bytes_spilled > 0
    assert max(plan.most_spilled) >= 4 * 4096 * 4096
    mergec.run(plan)
    (folder,) = set(folders)
    assert folder.parent == tmp_path and folder.name.startswith(".spilt.mergec-")
    free = mergec.compile(RECIPE, models=[mirror], out=tmp_path / "free", memory="64GiB")
    assert free.bytes_spilled == 0
    mergec.run(free)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["free", "spilt"]
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("free", "spilt")]
    assert files[0] == files[1]


def test_a_kill_leaves_only_the_run_folder(mirror: Path, tmp_path: Path) -> None:
    limit = spilling(mirror, tmp_path / "one").limit
    recipe = tmp_path / "recipe.merge"
    recipe.write_text(RECIPE)
    # an empty kernel cache makes the run long enough to be killed in the middle
    environment = os.environ | {"MERGEC_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", PROGRAM, str(recipe), str(mirror), str(limit)]
    with subprocess.Popen(command, env=environment) as process:
        _wait_until_spilling(process, tmp_path / ".one.mergec-")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert process.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()} - {"home"}
    (partial,) = run_folders(tmp_path / "one")
    assert left == {partial.name, "recipe.merge"}
    assert {path.name for path in partial.iterdir()} == {
        ".mergec",
        "model.safetensors",
        "README.md",
        "recipe.merge",
    }
    mergec.run(recipe, models=[mirror], memory=limit)
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"one", "recipe.merge"}


def _wait_until_spilling(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the process has an open file in the folder that has no name."""
    end = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < end:
        for link in Path(f"/proc/{process.pid}/fd").glob("*"):
            try:
                target = os.readlink(link)
                if target.startswith(str(folder)) and target.endswith(" (deleted)"):
                    return
            except OSError:
                continue
        time.sleep(0.01)
    raise AssertionError("the run never spilled")
