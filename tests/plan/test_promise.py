"""What a plan promises of memory is what a run takes, and limits and threads change no byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("measured_run.py")
SLACK = 64 * 2**20
LIMITS = ("min", "2min", "64GiB")

SLERP = """\
let base = "{size}/base"
let core = dare_ties {{ base = base
  "{size}/a" weight=0.5 density=0.5
  "{size}/b" weight=0.4 density=0.6
}}
save slerp {{ core, "{size}/c", t = 0.4 }} to "./one" {{ dtype = bfloat16 }}
"""
SWEEP = """\
let core = ties {{ base = "{size}/base"
  "{size}/a" weight=0.5 density=0.6
  "{size}/b" weight=0.5 density=0.6
}}
for t in [0.1, 0.3, 0.5, 0.7, 0.9] {{
  save slerp {{ core, "{size}/c", t = t }} to "./t-{{t}}" {{ dtype = bfloat16 }}
}}
"""
WHOLE = """\
let core = tsvm {{ base = "{size}/base"
  "{size}/a"
  "{size}/b"
}}
save slerp {{ core, "{size}/c", t = 0.4 }} to "./one" {{ dtype = bfloat16 }}
"""
FLAT = """\
save iso_cts {{ base = "{size}/base"
  "{size}/a"
  "{size}/b"
  "{size}/c"
}} to "./one" {{ dtype = bfloat16 }}
"""


def measured(
    recipe: str, sizes: tuple[str, str], mirror: Path, out: Path, runs: list[tuple[str | int, int]]
) -> list[dict[str, Any]]:
    """The results of the runs; sizes: the folder of the models, and of those to warm up with."""
    request = {
        "recipe": recipe.format(size=sizes[0]),
        "warm_up": recipe.format(size=sizes[1]),
        "models": [str(mirror)],
        "out": str(out / "result"),
        "runs": runs,
    }
    found = subprocess.run(
        [sys.executable, str(PROGRAM), json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    results: list[dict[str, Any]] = json.loads(found.stdout)
    return results


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "sizes"),
    [(SLERP, ("big", "small")), (SWEEP, ("big", "small")), (WHOLE, ("tall", "low"))],
    ids=["slerp-of-dare-ties", "sweep-of-five", "whole-tensors"],
)
def test_memory_is_as_promised(
    recipe: str, sizes: tuple[str, str], mirror: Path, tmp_path: Path
) -> None:
    runs = [(limit, threads) for limit in LIMITS for threads in (1, 2, 4)]
    results = measured(recipe, sizes, mirror, tmp_path, runs)
    for run, result in zip(runs, results, strict=True):
        assert result["promised"] <= result["limit"], run
        assert result["grown"] <= 1.1 * result["promised"] + SLACK, (run, result)
        assert result["reported"] <= result["grown"] + SLACK, (run, result)
        assert not any("spill" in name for name in result["left"]), (run, result)
    assert len({result["digest"] for result in results}) == 1
    assert results[-1]["promised"] > SLACK  # or the promise would say little
    if sizes[0] == "big":
        assert results[-1]["held"] > results[0]["held"]
        assert results[0]["promised"] < results[-1]["promised"] / 4
        assert results[0]["grown"] < results[-1]["promised"]


@pytest.mark.slow
def test_what_linear_algebra_frees_is_gone(mirror: Path, tmp_path: Path) -> None:
    """One matrix after the other, none so large that the C library would give it back by itself."""
    [result] = measured(FLAT, ("flat", "low"), mirror, tmp_path, [("min", 1)])
    assert result["grown"] <= 1.1 * result["promised"] + SLACK / 4, result
