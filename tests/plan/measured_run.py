"""A recipe -> what running it really took in memory, for several limits and numbers of threads.

A program of its own: `python measured_run.py REQUEST`, where REQUEST is JSON with the keys recipe,
warm_up (a recipe of the same steps on small models), models, out, and runs: (limit, threads) pairs,
a limit being `min`, a number of bytes, or `2min` for twice the smallest. It prints a JSON list with
a result for each run. Every run is a fork of one warmed-up process: kernels are loaded then, and
no run inherits what another one's allocator kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import mergec


def main() -> None:
    request = json.loads(sys.argv[1])
    for threads in (1, 2):
        plan = mergec.compile(
            request["warm_up"], models=request["models"], out=request["out"], threads=threads
        )
        mergec.run(plan)
    json.dump([_forked(request, *run) for run in request["runs"]], sys.stdout)


def _forked(request: dict[str, Any], limit: str | int, threads: int) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writer, "w") as stream:
            json.dump(_measured(request, limit, threads), stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"a run failed: {status}"
    result: dict[str, Any] = json.loads(text)
    return result


def _measured(request: dict[str, Any], limit: str | int, threads: int) -> dict[str, Any]:
    def compiled(memory: str | int) -> mergec.Plan:
        return mergec.compile(
            request["recipe"],
            models=request["models"],
            out=request["out"],
            threads=threads,
            memory=memory,
        )

    plan = compiled(2 * compiled("min").limit if limit == "2min" else limit)
    peak = Peak()
    with peak:
        report = mergec.run(plan)
    digest = hashlib.sha256()
    for folder in report.outputs:
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(file.name.encode() + file.read_bytes())
    return {
        "limit": plan.limit,
        "promised": plan.peak_bytes,
        "grown": peak.grown,
        "reported": report.grown_bytes,
        "read": report.bytes_read,
        "planned_read": plan.bytes_read,
        "spilled": plan.bytes_spilled,
        "held": sum(bool(set(choice.held) - choice.spilled) for choice in plan.choices),
        "digest": digest.hexdigest(),
        "left": sorted(p.name for o in report.outputs for p in o.parent.iterdir()),
    }


class Peak:
    """The most that RssAnon grows by inside a `with` block."""

    def __enter__(self) -> Peak:
        self.grown = 0
        self._before = _anonymous()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.003):
            self.grown = max(self.grown, _anonymous() - self._before)


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


if __name__ == "__main__":
    main()
