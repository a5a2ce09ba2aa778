"""Peak resident memory of mergec (VmHWM of its whole process) for every recipe in examples/.

    python benchmarks/memory.py [--sizes 0.2,0.9] [--threads 2] [--memory min] [--only sweep]

Wanted where nothing is held, as nothing is with `--memory min`: under 300 MiB each, and the same
within 10 % at any size of checkpoint. The models that the
examples name are hard links to three generated fine-tunes of one base; a slice of layers is taken
at the same distance from the last layer.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from compare import DATA, MERGEC, ROOT
from measuring import Measured, measure

from checkpoints import SIZES, TINY, Size, models

EXAMPLES = sorted((ROOT / "examples").glob("*.merge"))
BASE = "mistralai/Mistral-7B-v0.1"
LAYERS = 32
TUNES = 3
WANTED = 300  # MiB


def main() -> None:
    """Measure each recipe at each size, and print a row of the table as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="0.2,0.9", help="between commas: " + _listed(SIZES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", help="mergec's limit; its own choice without")
    parser.add_argument("--only", default=_listed(path.stem for path in EXAMPLES))
    options = parser.parse_args()
    sizes = [float(size) for size in options.sizes.split(",")]
    tiny = _mirror(DATA / "tiny", TINY)
    mirrors = [_mirror(DATA / f"{size}B", SIZES[size]) for size in sizes]
    print(f"{'MiB at':24}" + "".join(f"{size:>7} B" for size in sizes) + "   ratio")
    for example in EXAMPLES:
        if example.stem in options.only.split(","):
            _run(example, tiny, TINY, options)
            peaks = [
                _run(example, mirror, SIZES[size], options).peak_bytes / 2**20
                for mirror, size in zip(mirrors, sizes, strict=True)
            ]
            _print_row(example.stem, peaks)


def _listed(items: object) -> str:
    return ",".join(str(item) for item in items)  # type: ignore[attr-defined]


def _print_row(name: str, peaks: Sequence[float]) -> None:
    ratio = max(peaks) / min(peaks)
    remarks = ["" if max(peaks) < WANTED else f"over {WANTED}", "" if ratio < 1.1 else "grows"]
    cells = "".join(f"{peak:9.0f}" for peak in peaks)
    print(f"{name:24}{cells}{ratio:8.2f}  {' '.join(remarks)}", flush=True)


def _mirror(folder: Path, size: Size) -> Path:
    """A `--models` folder with every model that the examples name, and the examples beside it."""
    base, *tunes = models(folder, size, TUNES)
    names = sorted({name for path in EXAMPLES for name in _references(path)} - {BASE})
    mirror = folder / "mirror"
    for number, name in enumerate([BASE, *names]):
        source = base if number == 0 else tunes[number % TUNES]
        (mirror / name).mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            if not (mirror / name / file.name).exists():
                os.link(file, mirror / name / file.name)
    return mirror


def _references(recipe: Path) -> set[str]:
    return set(re.findall(r'"([\w-][\w.-]*/[\w.-]+)"', recipe.read_text(encoding="utf-8")))


def _run(example: Path, mirror: Path, size: Size, options: argparse.Namespace) -> Measured:
    recipes = mirror.parent / "recipes"
    recipes.mkdir(exist_ok=True)
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        (recipes / path.name).write_text(_fitted(text, size.layers), encoding="utf-8")
    out = mirror.parent / "out-memory"
    arguments = ["run", str(recipes / example.name), "--out", str(out), "--models", str(mirror)]
    arguments += ["--threads", str(options.threads)]
    arguments += ["--memory", options.memory] if options.memory else []
    try:
        return measure(Path(sys.executable), MERGEC, arguments)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _fitted(recipe: str, layers: int) -> str:
    """A recipe for models of 32 layers, made for as many as there are."""

    def shifted(match: re.Match[str]) -> str:
        start, stop = (max(0, int(bound) - LAYERS + layers) for bound in match.groups())
        return f"[{start if int(match[1]) else 0}:{stop}]"

    return re.sub(r"\[(\d+):(\d+)\]", shifted, recipe)


if __name__ == "__main__":
    main()
