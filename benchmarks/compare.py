"""mergec beside mergekit 0.1.5: CPU time, wall time and peak memory of the same merges.

    make bench                                  (all of it; half an hour on two cores)
    python benchmarks/compare.py --size 0.2 --only slerp,ties --runs 2

Both tools run the same YAML on the same generated checkpoints, one after the other, each in a
process and an environment of its own. mergec's kernels are compiled before, on a tiny checkpoint,
and the models are in the page cache.
Data is made under benchmarks/data once and kept: 1.8 GB a model at 0.9 B parameters.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from measuring import Measured, measure

from checkpoints import SIZES, TINY, models

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "benchmarks" / "data"
MERGEKIT_PYTHON = ROOT / "benchmarks" / ".venv-mergekit" / "bin" / "python"
MERGEKIT = "mergekit.scripts.run_yaml:main"
MERGEC = "mergec.cli:main"
TUNES = 3

RECIPES = {
    "linear": """
models:
  - {model: $tune_1, parameters: {weight: 0.6}}
  - {model: $tune_2, parameters: {weight: 0.4}}
merge_method: linear
dtype: bfloat16
""",
    "slerp": """
models: [{model: $tune_1}, {model: $tune_2}]
merge_method: slerp
base_model: $tune_1
parameters: {t: 0.4}
dtype: bfloat16
""",
    "ties": """
models:
  - {model: $tune_1, parameters: {weight: 0.5, density: 0.5}}
  - {model: $tune_2, parameters: {weight: 0.3, density: 0.5}}
merge_method: ties
base_model: $base
dtype: bfloat16
""",
    "dare_ties": """
models:
  - {model: $tune_1, parameters: {weight: 0.4, density: 0.53}}
  - {model: $tune_2, parameters: {weight: 0.3, density: 0.53}}
  - {model: $tune_3, parameters: {weight: 0.3, density: 0.53}}
merge_method: dare_ties
base_model: $base
dtype: bfloat16
""",
}
NEEDED = {"linear": 4, "slerp": 4, "ties": 20, "dare_ties": 20}
"""How many times less CPU time mergec is to take."""


def main() -> None:
    """Measure, and print a table as each figure comes."""
    options = _options()
    _prepare_mergekit()
    small = models(DATA / "tiny", TINY, TUNES)
    large = models(DATA / f"{options.size}B", SIZES[options.size], TUNES)
    _print_head(options)
    for name in options.only:
        _run_mergec(name, small, options.threads)
        ours, theirs = [], []
        for _ in range(options.runs):
            _warm(large)
            ours.append(_run_mergec(name, large, options.threads))
            _warm(large)
            theirs.append(_run_mergekit(name, large))
        _print_rows(name, ours, theirs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, choices=list(SIZES), default=0.9)
    parser.add_argument("--only", default=",".join(RECIPES), help="recipes, between commas")
    parser.add_argument("--runs", type=int, default=1, help="of each tool; medians are printed")
    parser.add_argument("--threads", type=int, default=2, help="mergec's; mergekit chooses its own")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(RECIPES):
        parser.error(f"there is no recipe {', '.join(sorted(unknown))}")
    return options


def _prepare_mergekit() -> None:
    rule = MERGEKIT_PYTHON.parents[1].relative_to(ROOT) / "ready"
    subprocess.run(["make", "--no-print-directory", str(rule)], cwd=ROOT, check=True)


def _recipe(name: str, found: Sequence[Path]) -> Path:
    """The recipe's file beside the models that it merges."""
    path = found[0].parent / f"{name}.yaml"
    names = {model.name.replace("-", "_"): str(model) for model in found}
    path.write_text(Template(RECIPES[name]).substitute(names).lstrip())
    return path


def _run_mergec(name: str, found: Sequence[Path], threads: int) -> Measured:
    out = found[0].parent / "out-mergec"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["run", str(_recipe(name, found)), "--out", str(out), "--threads", str(threads)]
    return measure(Path(sys.executable), MERGEC, arguments)


def _run_mergekit(name: str, found: Sequence[Path]) -> Measured:
    out = found[0].parent / "out-mergekit"
    shutil.rmtree(out, ignore_errors=True)
    arguments = [str(_recipe(name, found)), str(out), "--no-write-model-card"]
    return measure(MERGEKIT_PYTHON, MERGEKIT, [*arguments, "--no-copy-tokenizer"])


def _warm(found: Sequence[Path]) -> None:
    """Read the models once, so that neither tool pays for what the page cache has lost."""
    for path in (path for model in found for path in model.glob("*.safetensors")):
        with path.open("rb", buffering=0) as stream:
            while stream.read(1 << 22):
                pass


def _print_head(options: argparse.Namespace) -> None:
    print(f"{options.size} B parameters in bfloat16, {options.runs} run(s) of each")
    print(
        f"{'recipe':10} {'tool':9} {'CPU s':>8} {'user':>8} {'system':>8} {'wall s':>8} {'MiB':>7}"
    )


def _print_rows(name: str, ours: list[Measured], theirs: list[Measured]) -> None:
    for tool, runs in (("mergec", ours), ("mergekit", theirs)):
        print(
            f"{name:10} {tool:9} {_median(runs, 'cpu_seconds'):8.2f} "
            f"{_median(runs, 'user_seconds'):8.2f} {_median(runs, 'system_seconds'):8.2f} "
            f"{_median(runs, 'wall_seconds'):8.2f} {_median(runs, 'peak_bytes') / 2**20:7.0f}"
        )
    ratio = {
        field: _median(theirs, field) / _median(ours, field)
        for field in ("cpu_seconds", "wall_seconds", "peak_bytes")
    }
    print(
        f"{name:10} {'ratio':9} {ratio['cpu_seconds']:8.1f} {'':17} "
        f"{ratio['wall_seconds']:8.1f} {ratio['peak_bytes']:7.1f}   "
        f"(CPU: at least {NEEDED[name]} wanted)",
        flush=True,
    )


def _median(runs: list[Measured], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)


if __name__ == "__main__":
    main()
