"""Plan -> checkpoints on disk: prepare, compute what isn't finished yet, finish."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from ..compiler.planning.estimate import estimate
from ..compiler.planning.plan import Plan
from .arrivals import Arrivals
from .backends import Backend, BackendName, find_backend
from .compute import Computation, Progress, Watch
from .earlier_output import EarlierOutput, is_unchanged, read_earlier
from .files import Files
from .finish import finish
from .identity import run_digest, run_keys
from .journal import Record
from .manifest import manifest, write_manifest
from .meters import Gauge, Meter
from .paused import Paused
from .prepare import prepare
from .record import Keys
from .report import Report, resident_bytes
from .reuse import copy_unchanged, reusable
from .run_folder import RunFolder
from .stage_reports import stage_reports

__all__ = ["Progress", "Watch", "run_plan"]


def run_plan(
    plan: Plan,
    *,
    backend: BackendName = "auto",
    device: str = "cpu",
    watch: Watch | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Compute of every output of a plan what isn't there yet.

    Nothing appears under an output's final name before all of it is written and flushed; what was
    there before stays until then. After any error or interruption the tensors that are finished are
    kept beside the output, and the same plan goes on from there. Tensors of an earlier output whose
    content keys are the plan's are copied from it; if all are, nothing is written.
    stop: once it is set what is under way is finished, and Paused raised.
    Errors: ResourceError E05xx, RunError E06xx, CheckpointError for a source that has changed.
    """
    engine = find_backend(backend, device)
    run = _Run(plan, engine, run_keys(plan, engine.name, device), watch, stop)
    predicted = estimate(plan)
    started, cpu = time.monotonic(), time.process_time()
    run.execute()
    return Report(
        outputs=tuple(output.path for output in plan.outputs),
        tensors=sum(len(layout.slots) for layout in plan.layouts),
        computed=run.computed,
        copied=run.copied,
        copied_bytes=run.copied_bytes,
        seconds=time.monotonic() - started,
        planned_seconds=predicted.total,
        cpu_seconds=time.process_time() - cpu,
        bytes_read=run.files.bytes_read,
        bytes_written=run.files.bytes_written + run.copied_bytes + run.header_bytes,
        planned_read=plan.bytes_read,
        planned_bytes=plan.peak_bytes,
        grown_bytes=run.gauge.grown_bytes,
        peak_bytes=resident_bytes(),
        kernels_compiled=engine.compiled,
        backend=engine.name,
        stages=stage_reports(plan, predicted.parts, run.meters) if run.computed else (),
    )


class _Run:
    """One run of a plan, and what it has done."""

    def __init__(
        self,
        plan: Plan,
        engine: Backend,
        keys: tuple[Keys, ...],
        watch: Watch | None,
        stop: threading.Event | None,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._keys = keys
        self._watch = watch
        self._stop = stop
        self.files = Files()
        self.gauge = Gauge()
        self.meters: dict[tuple[str, ...], Meter] = {}
        self.computed = self.copied = self.copied_bytes = self.header_bytes = 0

    def execute(self) -> None:
        plan = self._plan
        earlier = [read_earlier(output.path) for output in plan.outputs]
        complete = [
            old is not None and self._is_complete(number, old) for number, old in enumerate(earlier)
        ]
        if all(complete):
            return
        digest = run_digest(plan, self._engine.name)
        with ExitStack() as stack:
            arrivals = stack.enter_context(Arrivals(plan.source_files))
            self.files = Files(arrivals)
            stack.callback(self.files.close)
            folders = [
                None if done else stack.enter_context(RunFolder(output.path, digest, output.span))
                for done, output in zip(complete, plan.outputs, strict=True)
            ]
            self._execute(folders, earlier, arrivals)

    def _execute(
        self,
        folders: list[RunFolder | None],
        earlier: list[EarlierOutput | None],
        arrivals: Arrivals,
    ) -> None:
        plan = self._plan
        records = prepare(plan, folders, self._keys, self.files)
        computation = Computation(
            plan,
            folders,
            self._keys,
            records,
            self._engine,
            self.files,
            arrivals,
            self.gauge,
            self.meters,
            self._watch,
            self._stop,
        )
        self.header_bytes = sum(
            len(shard.header)
            for folder, layout in zip(folders, plan.layouts, strict=True)
            for shard in layout.shards
            if folder is not None
        )
        before = _count(records)
        same = reusable(plan, computation.left(), folders, earlier, self._keys, records)
        self.copied_bytes = copy_unchanged(plan, same, folders, earlier, records, self._stop)
        self.copied = _count(records) - before
        computation.compute(computation.left())
        self.computed = computation.tensors
        if computation.left():
            raise Paused(_count(records), sum(len(layout.slots) for layout in plan.layouts))
        finish(plan, folders, records, self._engine.name)

    def _is_complete(self, number: int, old: EarlierOutput) -> bool:
        """Whether an output is all that is planned; what its manifest tells is brought up to date.

        Its tensors' bytes are the same even if the recipe says so in other words by now.
        """
        output, lineage = self._plan.outputs[number], self._plan.lineages[number]
        if not is_unchanged(old, output, self._keys[number]):
            return False
        facts = manifest(output, lineage, self._engine.name, old.tensors)
        if facts != old.manifest:
            write_manifest(old.path, facts)
        return True


def _count(records: Sequence[Record]) -> int:
    return sum(len(record) for record in records)
