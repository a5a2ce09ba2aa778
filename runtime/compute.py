"""Run folders + some components -> their tensors in the shards, each noted once it is on the disk.

Any process may compute any components, in any order, and again: the bytes are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..checkpoints.shard_layout import Shard
from ..compiler.planning.plan import Plan
from ..compiler.sweeps.components import Target
from ..compiler.sweeps.program import Program, Segment, Sweep
from ..ops.opaque_functions import prepare as prepare_functions
from ..whole_files import write_whole
from .arrivals import Arrivals, Fetch
from .backends import Backend
from .files import Files, Writer
from .jobs import Job
from .journal import Finished, Record, Recorder
from .meters import Gauge, Meter
from .pools import Pools, decode_counts, encode_counts
from .record import Keys, marker_text
from .run_folder import RunFolder
from .workers import Waiting, Workers

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


class Computation:
    """Computes components of a plan in this process.

    folders: for each output its run folder, which is prepared; None for one that isn't written.
    keys: each output's content keys; records: its finished tensors, to which new ones are added.
    stop: once it is set, what is under way is finished, and no more. `files` is its caller's to
    close.
    """

    def __init__(
        self,
        plan: Plan,
        folders: Sequence[RunFolder | None],
        keys: Sequence[Keys],
        records: Sequence[Record],
        backend: Backend,
        files: Files,
        arrivals: Arrivals,
        gauge: Gauge,
        meters: dict[tuple[str, ...], Meter],
        watch: Watch | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._plan = plan
        self._folders = folders
        self._keys = keys
        self._records = records
        self._backend = backend
        self._watch = watch
        self._stop = stop
        self._lock = threading.Lock()
        self.files = files
        self._arrivals = arrivals
        self._gauge = gauge
        self._meters = meters
        self.tensors = 0
        self._paths: dict[tuple[int, int], Path] = {}  # of outputs' shards
        self.progress = Progress(
            plan.bytes_read + plan.bytes_written, bytes_to_fetch=arrivals.bytes_total
        )
        self._part_of = {c: n for n, part in enumerate(plan.parts) for c in part}
        self._left = [sum(self._is_left(c) for c in part) for part in plan.parts]

    def compute(self, components: Collection[int]) -> None:
        """Compute these components, by their numbers in the plan.

        Errors: RunError E0605 to E0609; ResourceError E0507.
        """
        plan = self._plan
        self.progress.tensors_total = sum(
            len(names) for at in components for names in plan.components[at].targets
        )
        if not components:
            return
        choices = [plan.choices[at] for at in components]
        if any(sweep.wholes for choice in choices for sweep in choice.sweeps):
            prepare_functions()
        pools = self._find_thresholds(components)
        with ExitStack() as stack:
            recorder = stack.enter_context(Recorder())
            arrived = self._arrivals.in_order(components, lambda at: plan.components[at].files)
            early = self.files.expecting(arrived, lambda at: plan.components[at].loads)
            jobs = (self._waiting(at, plan.choices[at].sweeps, pools, writes=True) for at in early)
            self._work(jobs, partial(self._note, recorder))

    def look(self, number: int, components: Collection[int], pools: Pools) -> None:
        """Take a pass's look at these components: what they count is added to the pools.

        No output is opened. Errors: those of `compute`.
        """
        jobs = (
            self._waiting(at, looks, pools, writes=False)
            for at in components
            if (looks := [s for turn, s in self._plan.choices[at].scans if turn == number])
        )
        self._work(jobs, lambda at, job: None)

    def _find_thresholds(self, components: Collection[int]) -> Pools:
        """All passes over the model that these components need; those known aren't taken again."""
        plan = self._plan
        compute = plan.components[0].template.program.compute
        pools = Pools(plan.pool_sizes, compute)
        if not any(plan.choices[at].scans for at in components):
            return pools
        for number in range(plan.passes):
            kept = self._pass_file(number)
            known = None
            if kept is not None and kept.is_file():
                known = decode_counts(kept.read_bytes())
            if known is None:
                self.look(number, range(len(plan.components)), pools)
                if self._stop is not None and self._stop.is_set():
                    break
                if kept is not None:
                    write_whole(kept, encode_counts(pools.counts()))
            else:
                for pool, bins in known.items():
                    pools.add(pool, bins)
            pools.finish()
        return pools

    def _pass_file(self, number: int) -> Path | None:
        """Where a pass's counts are kept; they name the sources' content, as keys do."""
        first = next((folder for folder in self._folders if folder is not None), None)
        return None if first is None else first.control / f"pass-{number}"

    # Workers ------------------------------------------------------------------------------------

    def _work(self, jobs: Iterator[Waiting], on_done: Callable[[int, Job], None]) -> None:
        workers = Workers(
            jobs,
            self._plan.threads,
            max((choice.peak for choice in self._plan.choices), default=0),
            on_done,
            self._stop,
        )
        with self._gauge.watch(lambda: (job.meter for job in workers.active())):
            workers.start()
            try:
                while not workers.wait(_TICK):
                    self._tell()
                self._tell()
            except BaseException:
                workers.stop()
                raise

    def _waiting(self, at: int, sweeps: Sequence[Sweep], pools: Pools, writes: bool) -> Waiting:
        plan = self._plan
        component, group = plan.components[at], plan.stage_groups[at]
        self.progress.current = component.targets[0][0].name
        self.progress.stage = group[-1]
        meter = self._meters.setdefault(group, Meter())
        spills = self._folders[component.targets[0][0].output] or next(filter(None, self._folders))

        return Waiting(
            at,
            lambda buffers: Job(
                component,
                plan.choices[at],
                sweeps,
                pools,
                [self._writers(targets) for targets in component.targets] if writes else [],
                self.files,
                self._kernel,
                spills.folder,
                meter,
                buffers,
            ),
            plan.choices[at].peak,
        )

    def _writers(self, targets: Sequence[Target]) -> list[Writer]:
        found = []
        for target in targets:
            folder = self._folders[target.output]
            if folder is not None:
                _, offset = self._place(target)
                found.append(self.files.writer(self._path(target, folder), offset))
        return found

    def _path(self, target: Target, folder: RunFolder) -> Path:
        """The shard's file: one object a shard, since making paths takes time."""
        number = self._plan.outputs[target.output].layout.slots[target.name].shard
        path = self._paths.get((target.output, number))
        if path is None:
            path = folder.folder / self._place(target)[0].name
            self._paths[target.output, number] = path
        return path

    def _place(self, target: Target) -> tuple[Shard, int]:
        layout = self._plan.outputs[target.output].layout
        slot = layout.slots[target.name]
        return layout.shards[slot.shard], slot.offset

    def _kernel(self, program: Program, segment: Segment) -> Callable[..., None]:
        return self._backend.kernel(program, segment, self._loading)

    @contextmanager
    def _loading(self, compiles: bool) -> Iterator[None]:
        """A kernel is loaded meanwhile: its memory doesn't count as the merge's."""
        self.progress.compiling = compiles
        try:
            with self._gauge.aside():
                yield
        finally:
            self.progress.compiling = False

    # What is finished ---------------------------------------------------------------------------

    def _note(self, recorder: Recorder, at: int, job: Job) -> None:
        """A component is computed: its tensors are noted, and its part if that is complete."""
        rows = [
            (target, checksum)
            for targets, checksum in zip(job.component.targets, job.checksums, strict=True)
            for target in targets
        ]
        self._enter(recorder, rows)
        with self._lock:
            self.tensors += len(rows)
            self.progress.tensors_done += len(rows)
            part = self._part_of[at]
            self._left[part] -= 1
            complete = self._left[part] == 0
        if complete:
            self._mark(recorder, part)

    def _enter(self, recorder: Recorder, rows: Sequence[tuple[Target, str]]) -> None:
        for target, checksum in rows:
            folder = self._folders[target.output]
            if folder is not None:
                finished = Finished(self._keys[target.output][target.name], checksum)
                path = self._path(target, folder)
                recorder.note(folder.journal, target.name, finished, path)
                folder.keep()
                with self._lock:
                    self._records[target.output][target.name] = finished

    def _mark(self, recorder: Recorder, part: int) -> None:
        """The part's marker in the folder of each output that it owns files of."""
        tensors: dict[int, Record] = {}
        for at in self._plan.parts[part]:
            for targets in self._plan.components[at].targets:
                for output, name in targets:
                    if self._folders[output] is not None:
                        tensors.setdefault(output, {})[name] = self._records[output][name]
        for output, record in tensors.items():
            folder = self._folders[output]
            if folder is not None:
                places = {self._place(Target(output, name))[0] for name in record}
                files = sorted((shard.name, shard.size) for shard in places)
                text = marker_text(self._plan.digest, files, record)
                recorder.mark(folder.control / "done" / f"{part:05d}.json", text)

    def _is_left(self, at: int) -> bool:
        """Whether any tensor of a component isn't finished."""
        return any(
            self._folders[t.output] is not None and t.name not in self._records[t.output]
            for targets in self._plan.components[at].targets
            for t in targets
        )

    def left(self) -> list[int]:
        """The components of which any tensor isn't finished."""
        return [at for at in range(len(self._plan.components)) if self._is_left(at)]

    def _tell(self) -> None:
        if self._watch is not None:
            self.progress.bytes_done = self.files.bytes_read + self.files.bytes_written
            self.progress.bytes_fetched = self._arrivals.bytes_done
            self.progress.fetching = self._arrivals.under_way
            self._watch(self.progress)
