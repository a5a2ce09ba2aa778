"""Every merge method: how far from mergekit, how far from its formula, and what it costs.

    python benchmarks/method_table.py [--only ties,slerp] [--no-costs]

mergekit: the largest float32 difference over the conformance configurations of the method.
formula: the largest difference from its float64 reference in the tests; both in parts of the
tensor's largest magnitude. sweeps, CPU and memory: of a merge of 2 and of 8 bfloat16 models of 0.2
B parameters on two workers, or of one small layer where the method works on whole matrices. CPU is
all of the run but the interpreter's start and the compiling of kernels, by element of the output;
memory is planned and measured growth.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from compare import DATA, ROOT

from checkpoints import SIZES, TINY, Size, models

sys.path.insert(0, str(ROOT / "tests"))

from mergec.ops.method import Method, find_method, method_names

SMALL = Size(layers=1, hidden=768, intermediate=2048, vocab=2048)
"""Of methods that work on whole matrices, whose time grows faster than their size."""

COUNTS = 2, 8
SHAPES = (1,), (37,), (24, 40), (3, 5, 7), (300, 500)
VALUES = {"weight": "0.4", "density": "0.5", "t": "0.4", "lambda": "0.9"}
HEAD = (
    f"{'method':18}{'mergekit':>10}{'formula':>10}{'sweeps':>8}"
    f"{'ns at 2':>9}{'at 8':>7}   memory at 2, at 8 (planned / measured MiB)"
)


def main() -> None:
    """Print the table, a row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(method_names()), help="methods, between commas")
    parser.add_argument("--no-costs", action="store_true", help="errors only")
    parser.add_argument("--inside", nargs=2, metavar=("RECIPE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(*options.inside)
    mergekit = _mergekit_errors()
    print(HEAD)
    for name in options.only.split(","):
        method = find_method(name)
        assert method is not None, f"there is no method {name}"
        cells = f"{name:18}{_error(mergekit.get(name)):>10}{_error(_formula_error(method)):>10}"
        print(cells + ("" if options.no_costs else _costs(method)), flush=True)
    return None


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


# Errors -----------------------------------------------------------------------------------------


def _mergekit_errors() -> dict[str, float]:
    """Method -> the largest difference in any configuration that is all of that method."""
    from conformance import test_conformance as suite
    from support.merging import merge, read_checkpoint

    found: dict[str, float] = defaultdict(float)
    for config in suite._cases():
        documents = suite._documents(config)
        names = {str(document["merge_method"]) for document in documents}
        with tempfile.TemporaryDirectory() as folder:
            merge(config, Path(folder, "out"), folder=config.parents[1])
            ours = read_checkpoint(Path(folder, "out"))
        theirs = read_checkpoint(config.parents[1] / "expected" / f"{config.stem}.safetensors")
        for name, tensor in theirs.items():
            computed = {str(suite._compute_dtype(documents, tensor)), str(tensor.dtype)}
            if len(names) == 1 and computed == {"torch.float32"}:
                apart = float((ours[name].double() - tensor.double()).abs().max())
                (method,) = names
                found[method] = max(found[method], apart / float(tensor.abs().max()))
    return found


def _formula_error(method: Method) -> float:
    """The largest difference between kernels and the float64 formula, over settings and shapes."""
    from kernels.calls import sample_call, variants
    from methods import test_reference as suite

    formula, _ = suite.ROWS[method.name]
    worst = 0.0
    for variant in range(variants(method)):
        for shape in SHAPES:
            call = sample_call(method, variant, shape, seed=5)
            wanted = suite._expected(call, formula)
            largest = max(float(np.abs(wanted).max()), 1e-300)
            apart = np.abs(call.compiled().double().numpy() - wanted) / largest
            # of a method whose threshold hangs on rounding a few elements may fall otherwise
            otherwise = int(suite.CHOICES.get(method.name, 0.0) * apart.size)
            worst = max(worst, float(np.sort(apart.ravel())[-1 - otherwise]))
    return worst


# Costs ------------------------------------------------------------------------------------------


def _costs(method: Method) -> str:
    fewest, most = method.sources
    counts = [count for count in COUNTS if count >= fewest and count <= (most or count)]
    counts = counts or [fewest]
    found = {count: _cost(method, count) for count in counts}
    cells = [f"{found[counts[0]]['sweeps']:>8}"]
    for count, width in zip(COUNTS, (9, 7), strict=True):
        at = found.get(count) or (found[counts[0]] if count == COUNTS[0] else None)
        cells.append(f"{at['ns']:>{width}.2f}" if at else f"{'–':>{width}}")
    memory = [f"{of['planned']:.0f}/{of['measured']:.0f}" for of in found.values()]
    where = "" if counts == list(COUNTS) else f"  ({', '.join(map(str, counts))} models)"
    return "".join(cells) + "   " + ", ".join(memory) + where


def _cost(method: Method, count: int) -> dict[str, float]:
    found = _run(method, count, "tiny", TINY)  # it compiles the kernels
    return _run(method, count, *(("small", SMALL) if found["whole"] else ("0.2B", SIZES[0.2])))


def _run(method: Method, count: int, where: str, size: Size) -> dict[str, float]:
    folder = DATA / where
    recipe, out = folder / "method.merge", folder / "out-method"
    recipe.write_text(_recipe(method, models(folder, size, count), size))
    command = [sys.executable, __file__, "--inside", str(recipe), str(out)]
    try:
        done = subprocess.run(command, check=True, capture_output=True)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _recipe(method: Method, found: list[Path], size: Size) -> str:
    base, *tunes = found
    rows = [f'base = "{base}"'] if method.base in ("required", "optional") else []
    for number, tune in enumerate(tunes):
        cells = [f'"{tune}"']
        for parameter in method.columns:
            if parameter.kind == "model":
                cells.append(f'{parameter.name}="{_statistics(method, tune, number, size)}"')
            elif parameter.name in VALUES:
                cells.append(f"{parameter.name}={VALUES[parameter.name]}")
        rows.append(" ".join(cells))
    rows += [f"{p.name} = {VALUES[p.name]}" for p in method.settings if p.name in VALUES]
    return f"save {method.name} {{\n" + "\n".join(rows) + '\n} to "./out" { dtype = bfloat16 }\n'


def _statistics(method: Method, tune: Path, number: int, size: Size) -> Path:
    """What a method wants to know of a model: itself, or a Gram matrix of every linear layer."""
    if method.name != "regmean":
        return tune
    from safetensors.numpy import save_file

    folder = tune.with_name(f"grams-{number}")
    if not folder.exists():
        folder.mkdir()
        random = np.random.default_rng(number)
        grams = {}
        for name, shape in size.shapes().items():
            if ".layers." in name and len(shape) == 2:
                inputs = random.standard_normal((shape[1] + 8, shape[1]), dtype=np.float32)
                grams[name] = inputs.T @ inputs
        save_file(grams, folder / "model.safetensors")
    return folder


def _inside(recipe: str, out: str) -> None:
    """Run a recipe in this process, and print what it took."""
    import mergec

    plan = mergec.compile(Path(recipe), out=out, threads=2)
    report = mergec.run(plan)
    elements = sum(layout.total_parameters for layout in plan.layouts)
    sweeps = [sum(not s.seldom for s in choice.sweeps) for choice in plan.choices]
    found = {
        "whole": any(sweep.wholes for choice in plan.choices for sweep in choice.sweeps),
        "sweeps": max(sweeps),
        "ns": 1e9 * report.cpu_seconds / elements,
        "planned": report.planned_bytes / 2**20,
        "measured": report.grown_bytes / 2**20,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
