"""Plan -> checkpoints on disk: components streamed through workers, final names given last."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..compiler.planning.estimate import estimate
from ..compiler.planning.plan import Plan
from ..compiler.sweeps.components import Component
from ..compiler.sweeps.program import Program, Segment, Sweep
from ..ops.opaque_functions import prepare
from .arrivals import Arrivals, Fetch
from .backends import Backend, BackendName, find_backend
from .checks import check_equalities, check_outputs
from .files import Files
from .jobs import Destination, Job
from .manifest import manifest
from .meters import Gauge, Meter
from .pools import Pools
from .report import Report, resident_bytes
from .stage_reports import stage_reports
from .staging import MANIFEST_NAME, StagedOutput, check_space
from .workers import Workers

_TICK = 0.1  # seconds between looks at the progress


@dataclass
class Progress:
    """How far a run is; bytes are those read and written of all that the plan foresees."""

    bytes_total: int
    bytes_done: int = 0
    tensors_total: int = 0
    tensors_done: int = 0
    current: str = ""
    stage: str = ""
    compiling: bool = False
    bytes_to_fetch: int = 0
    bytes_fetched: int = 0
    fetching: Sequence[Fetch] = ()


Watch: TypeAlias = Callable[[Progress], None]


def run_plan(
    plan: Plan,
    *,
    backend: BackendName = "auto",
    device: str = "cpu",
    watch: Watch | None = None,
) -> Report:
    """Compute every output of a plan.

    Nothing appears under an output's final name before all of it is written and flushed. On any
    error or interruption what was written is removed, and what was there before stays.
    Errors: ResourceError E05xx, RunError E06xx, CheckpointError for a source that has changed.
    """
    predicted = estimate(plan)
    started, cpu = time.monotonic(), time.process_time()
    with Arrivals(plan.source_files) as arrivals:
        run = _Run(plan, find_backend(backend, device), watch, arrivals)
        try:
            run.execute()
        finally:
            run.files.close()
    return Report(
        outputs=tuple(output.path for output in plan.outputs),
        tensors=run.progress.tensors_done,
        seconds=time.monotonic() - started,
        planned_seconds=predicted.seconds,
        cpu_seconds=time.process_time() - cpu,
        bytes_read=run.files.bytes_read,
        bytes_written=run.files.bytes_written
        + sum(len(shard.header) for output in plan.outputs for shard in output.layout.shards),
        planned_read=plan.bytes_read,
        planned_bytes=plan.peak_bytes,
        grown_bytes=run.gauge.grown_bytes,
        peak_bytes=resident_bytes(),
        kernels_compiled=run.backend.compiled,
        backend=run.backend.name,
        stages=stage_reports(plan, predicted.parts, run.meters),
    )


class _Run:
    def __init__(
        self, plan: Plan, backend: Backend, watch: Watch | None, arrivals: Arrivals
    ) -> None:
        self.plan = plan
        self.backend = backend
        self.arrivals = arrivals
        self.files = Files(arrivals)
        self._watch = watch
        self._count_lock = threading.Lock()
        self.gauge = Gauge()
        self.pools = Pools(plan.components)
        self.meters: dict[tuple[str, ...], Meter] = {}
        self._paths: dict[tuple[int, int], Path] = {}  # of an output's shards
        self.progress = Progress(
            bytes_total=plan.bytes_read + plan.bytes_written,
            tensors_total=sum(len(t) for c in plan.components for t in c.targets),
            bytes_to_fetch=arrivals.bytes_total,
        )

    def execute(self) -> None:
        plan = self.plan
        check_outputs(plan)
        with ExitStack() as stack:
            staged = [
                stack.enter_context(StagedOutput(output.path, output.span))
                for output in plan.outputs
            ]
            needs = {
                output.path: planned.layout.nbytes + spilled
                for output, planned, spilled in zip(
                    staged, plan.outputs, plan.most_spilled, strict=True
                )
            }
            check_space(needs)
            check_equalities(plan, self.files)
            for output, planned in zip(staged, plan.outputs, strict=True):
                output.allocate(planned)
            self._compute([output.folder for output in staged])
            for output, planned in zip(staged, plan.outputs, strict=True):
                facts = manifest(planned, self.backend.name, output.folder)
                output.write_file(MANIFEST_NAME, (json.dumps(facts, indent=2) + "\n").encode())
            for output in staged:
                output.commit()

    def _compute(self, folders: list[Path]) -> None:
        if any(sweep.wholes for choice in self.plan.choices for sweep in choice.sweeps):
            prepare()
        for number in range(self.plan.passes):
            self._work(self._looking(number, folders), lambda job: None)
            self.pools.finish()
        self._work(self._jobs(folders), self._on_done)

    def _work(self, jobs: Iterator[tuple[Job, int]], on_done: Callable[[Job], None]) -> None:
        workers = Workers(jobs, self.plan.threads, self._budget(), on_done)
        with self.gauge.watch(lambda: (job.meter for job in workers.active())):
            workers.start()
            try:
                while not workers.wait(_TICK):
                    self._tell()
                self._tell()
            except BaseException:
                workers.stop()
                raise

    def _budget(self) -> int:
        """Bytes for what components hold between sweeps, beside the workers' own buffers."""
        return max((choice.peak for choice in self.plan.choices), default=0)

    def _looking(self, number: int, folders: list[Path]) -> Iterator[tuple[Job, int]]:
        """A pass over the model that takes a look at what shares a threshold."""
        for at, option in enumerate(self.plan.choices):
            looks = [sweep for turn, sweep in option.scans if turn == number]
            if looks:
                yield self._job(at, looks, folders), option.peak

    def _jobs(self, folders: list[Path]) -> Iterator[tuple[Job, int]]:
        places = range(len(self.plan.choices))
        arrived = self.arrivals.in_order(places, lambda at: self.plan.components[at].files)
        for at in self.files.expecting(arrived, lambda at: self.plan.components[at].loads):
            option = self.plan.choices[at]
            yield self._job(at, option.sweeps, folders), option.peak

    def _job(self, at: int, sweeps: Sequence[Sweep], folders: list[Path]) -> Job:
        component, group = self.plan.components[at], self.plan.stage_groups[at]
        self.progress.current = component.targets[0][0].name
        self.progress.stage = group[-1]
        return Job(
            component,
            self.plan.choices[at],
            sweeps,
            self.pools,
            self._places(component, folders),
            self.files,
            self._kernel,
            folders[component.targets[0][0].output],
            self.meters.setdefault(group, Meter()),
        )

    def _places(self, component: Component, folders: list[Path]) -> list[list[Destination]]:
        def place(output: int, name: str) -> Destination:
            layout = self.plan.outputs[output].layout
            slot = layout.slots[name]
            path = self._paths.get((output, slot.shard))
            if path is None:
                path = folders[output] / layout.shards[slot.shard].name
                self._paths[output, slot.shard] = path
            return Destination(path, slot.offset)

        return [[place(*target) for target in targets] for targets in component.targets]

    # Progress -----------------------------------------------------------------------------------

    def _kernel(self, program: Program, segment: Segment) -> Callable[..., None]:
        return self.backend.kernel(program, segment, self._loading)

    @contextmanager
    def _loading(self, compiles: bool) -> Iterator[None]:
        """A kernel is loaded meanwhile: its memory doesn't count as the merge's."""
        self.progress.compiling = compiles
        try:
            with self.gauge.aside():
                yield
        finally:
            self.progress.compiling = False

    def _on_done(self, job: Job) -> None:
        with self._count_lock:
            self.progress.tensors_done += sum(len(t) for t in job.component.targets)

    def _tell(self) -> None:
        if self._watch is not None:
            self.progress.bytes_done = self.files.bytes_read + self.files.bytes_written
            self.progress.bytes_fetched = self.arrivals.bytes_done
            self.progress.fetching = self.arrivals.under_way
            self._watch(self.progress)
