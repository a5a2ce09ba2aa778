"""What kernels cost: nanoseconds an element, by method and number of sources, beside memory's.

    python benchmarks/kernel_table.py [--only ties,slerp] [--sources 2,8,14]

Each sweep of a merge of bfloat16 models is run on one tile again and again, on one core: the best
time, by element of the output; `loop` is the instructions that its longest inner loop takes for a
vector, and the spills among them. `bytes` is what all sweeps read and write an element, `copied`
the time that copying so many bytes from memory to memory takes. Looks count two guesses, as they do
after a good sample.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kernels.assembly import innermost_loops
from kernels.calls import all_methods, bfloat16_call
from kernels.harness import TILE, kernel, segments
from mergec.compiler.kernels.arguments import (
    COUNT,
    CUT,
    CUT_FIELDS,
    GUESS,
    OFF,
    SHIFT,
    STORAGE,
    UNTIL,
    sum_slots,
)
from mergec.compiler.kernels.compiled import kernel_assembly
from mergec.compiler.kernels.mathematics import mathematics
from mergec.compiler.sweeps.program import Program, Segment
from mergec.ops.method import Method
from mergec.ops.primitives import Role, ValueKind

SECONDS = 0.05
CUTS = 0x3D000000, 0x3D010000  # bits of magnitudes that are in the middle of the tiles' numbers
STREAMED = ",".join(
    [
        "linear",
        "slerp",
        "nuslerp",
        "karcher",
        "model_stock",
        "multislerp",
        "task_arithmetic",
        "ties",
        "dare_ties",
        "dare_linear",
        "della",
        "breadcrumbs",
        "sce",
        "nearswap",
        "magmax",
        "fisher",
    ]
)


def main() -> None:
    """Print the table, a row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=STREAMED, help="methods, between commas")
    parser.add_argument("--sources", default="2,8,14", help="how many, between commas")
    options = parser.parse_args()
    rate = _copied()
    print(f"memory is copied at {rate / 1e9:.1f} GB/s\n")
    print(
        f"{'method':16}{'sources':>8}  {'ns an element, by sweep':36}{'sum':>7}{'copied':>8}  loop"
    )
    methods = all_methods()
    for name in options.only.split(","):
        for count in map(int, options.sources.split(",")):
            if count >= methods[name].sources[0] and count <= (methods[name].sources[1] or count):
                print(_row(methods[name], count, rate), flush=True)


def _row(method: Method, sources: int, rate: float) -> str:
    program, _ = bfloat16_call(method, sources).program("bfloat16")
    costs, moved, loops = [], 0, []
    for segment in segments(program):
        costs.append(_cost(program, segment))
        moved += sum(program.inputs[slot].itemsize for slot in segment.reads)
        moved += sum(program.outputs[number][1].itemsize for number in segment.writes)
        loop = innermost_loops(kernel_assembly(mathematics(program, segment)))[0]
        loops.append(f"{loop.instructions}" + (f" ({loop.spills} spills)" if loop.spills else ""))
    each = " + ".join(f"{cost:.2f}" for cost in costs)
    copied = 1e9 * moved / 2 / rate  # a byte that is copied is read and written
    cells = f"{method.name:16}{sources:>8}  {each:36}{sum(costs):>7.2f}{copied:>8.2f}"
    return f"{cells}  {', '.join(loops)}"


def _cost(program: Program, segment: Segment) -> float:
    function = kernel(program, segment)
    arguments = list(_arguments(program, segment))
    return 1e9 * _best(lambda: function(*arguments)) / TILE


def _arguments(program: Program, segment: Segment) -> Iterator[Any]:
    """A tile of small normal numbers, and what the middle of a run would tell the kernel."""
    held = np.dtype(program.compute.name)
    numbers = np.random.default_rng(0).standard_normal((len(segment.reads), TILE), np.float32) / 20
    for slot, row in zip(segment.reads, numbers, strict=True):
        small = (row.view(np.uint32) >> 16).astype(np.uint16)
        yield small if program.inputs[slot].itemsize == 2 else row
    for _ in segment.fetches:
        yield np.ones(TILE, held)
    for number in segment.writes:
        yield np.zeros(TILE, STORAGE[program.outputs[number][1].name])
    for _ in segment.stores:
        yield np.zeros(TILE, held)
    yield from (TILE, 0)
    yield np.full(max(1, len(segment.scalars)), 0.45)
    streams = sum(node.role is Role.RANDOM for node in program.nodes)
    yield np.arange(max(1, streams), dtype=np.uint64) * 0x9E3779B97F4A7C15
    selections = sum(node.kind is ValueKind.SELECTION for node in program.nodes)
    cuts = np.zeros((max(1, selections), CUT_FIELDS), np.uint64)
    cuts[:, [CUT, UNTIL, SHIFT, COUNT]] = CUTS[0], 1 << 62, OFF, len(CUTS)
    cuts[:, GUESS : GUESS + len(CUTS)] = CUTS
    yield cuts
    yield np.zeros(max(1, sum_slots(segment)))
    yield np.zeros(segment.bins, np.uint32)


def _copied() -> float:
    """Bytes a second of copying what no cache holds, on one core."""
    source = np.ones(1 << 28, np.uint8)
    target = np.zeros_like(source)
    return len(source) / _best(lambda: np.copyto(target, source))


def _best(action: Callable[[], Any]) -> float:
    """Seconds of the quickest call: what else the machine does only slows."""
    action()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end or best == float("inf"):
        action()
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()
