"""Progress of a run -> what a person sees: a live display on a terminal, else a line now and then.

Both are the `watch` callback of `run_plan`, inside a `with` block:

    with display(plan, sys.stderr) as watch:
        report = run_plan(plan, watch=watch)
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from ..compiler.planning.plan import FIXED_BYTES, Plan
from ..machine_code.cache_folder import is_lasting
from ..quantities import binary_size, count, decimal_size, duration
from ..runtime.arrivals import Fetch
from ..runtime.report import Report, resident_bytes
from ..views.columns import shortened, table

if TYPE_CHECKING:
    from ..runtime.run import Progress

LINE_SECONDS = 30.0
"""How often a line is written where there is no terminal."""

_WINDOW_SECONDS = 10.0  # the speed is that of so long a time
_BAR = 28
_STAGE_LINES = 12
_NAMES, _NAME = 3, 24  # how many names of a group are shown, and how long each


class Display(Protocol):
    """A context manager that is called with the run's progress."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, progress: Progress) -> None: ...


def display(plan: Plan, stream: TextIO) -> Display:
    """A live display if the stream is a terminal, else lines every LINE_SECONDS."""
    return LiveDisplay(plan, stream) if stream.isatty() else LineDisplay(plan, stream)


class Pace:
    """How fast bytes go by: a moving average, and the time that the rest will take."""

    def __init__(self, now: float) -> None:
        self._seen: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, now: float, done: int) -> None:
        """Note that `done` bytes are through by now."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def bytes_per_second(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def seconds_left(self, left: int) -> float | None:
        """None while nothing has gone by."""
        speed = self.bytes_per_second
        return left / speed if speed > 0 else None


def figures(progress: Progress, pace: Pace) -> str:
    """`1.2 of 3.4 GB · 560.0 MB/s · 0:04 left`."""
    done, total = min(progress.bytes_done, progress.bytes_total), progress.bytes_total
    parts = [f"{decimal_size(done)} of {decimal_size(total)}"]
    parts.append(f"{decimal_size(pace.bytes_per_second)}/s")
    left = pace.seconds_left(total - done)
    if left is not None:
        parts.append(f"{duration(left)} left")
    return " · ".join(parts)


def fetch_figures(fetch: Fetch) -> str:
    """`model-00001-of-00003.safetensors 1.2 of 4.9 GB`."""
    done = min(fetch.done, fetch.size)
    return f"{os.path.basename(fetch.name)} {decimal_size(done)} of {decimal_size(fetch.size)}"


def activity(progress: Progress) -> str:
    """The stage and tensor that are under way, or that a kernel is being compiled."""
    here = " · ".join(word for word in (progress.stage, progress.current) if word)
    tensors = f"{progress.tensors_done:,}/{progress.tensors_total:,} tensors"
    note = "compiling a kernel, once" if progress.compiling else here
    return f"{tensors} · {note}" if note else tensors


def memory(plan: Plan) -> str:
    """What the process holds against what the plan promised."""
    planned = binary_size(plan.peak_bytes + FIXED_BYTES)
    held = resident_bytes("VmRSS")
    return f"memory {binary_size(held)} of {planned}" if held else f"memory {planned} planned"


class LineDisplay:
    """A plain line every LINE_SECONDS, and one when kernels have to be compiled first."""

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        self._plan = plan
        self._stream = stream
        self._next = time.monotonic() + LINE_SECONDS
        self._pace = Pace(time.monotonic())
        self._compiled = False

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        self._pace.add(now, progress.bytes_done)
        if progress.compiling and not self._compiled:
            self._compiled = True
            kept = "; the next run of this recipe finds them in the cache" if is_lasting() else ""
            self._print(f"compiling kernels{kept}")
        if now < self._next:
            return
        self._next = now + LINE_SECONDS
        share = progress.bytes_done / max(1, progress.bytes_total)
        words = [figures(progress, self._pace), activity(progress), memory(self._plan)]
        if progress.bytes_fetched < progress.bytes_to_fetch:
            everything = Fetch("fetched", progress.bytes_to_fetch, progress.bytes_fetched)
            words.insert(0, fetch_figures(everything))
        self._print(f"{min(share, 1):4.0%} · {' · '.join(words)}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class LiveDisplay:
    """A bar with figures, and below it what is being done; it disappears at the end."""

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        # rich is loaded only here: runs without a terminal do without its memory
        from rich.console import Console
        from rich.live import Live

        self._plan = plan
        self._pace = Pace(time.monotonic())
        self._live: Any = Live(
            console=Console(file=stream), auto_refresh=False, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        self._pace.add(time.monotonic(), progress.bytes_done)
        self._live.update(self._picture(progress), refresh=True)

    def _picture(self, progress: Progress) -> Any:
        from rich.console import Group
        from rich.text import Text

        words = figures(progress, self._pace)
        line = self._bar(progress.bytes_done, progress.bytes_total, words)
        style = "yellow" if progress.compiling else "dim"
        below = Text(f"     {activity(progress)}", style=style, no_wrap=True, overflow="ellipsis")
        held = Text(f"     {memory(self._plan)}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(*self._fetching(progress), line, below, held)

    def _bar(self, done: int, total: int, words: str) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        share = min(1.0, done / max(1, total))
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(f"{share:4.0%}"), ProgressBar(total, done, width=_BAR), Text(words))
        return line

    def _fetching(self, progress: Progress) -> Iterator[Any]:
        """A bar for all that is fetched, and one for each file under way."""
        if progress.bytes_fetched >= progress.bytes_to_fetch:
            return
        everything = Fetch("fetching", progress.bytes_to_fetch, progress.bytes_fetched)
        for fetch in (everything, *progress.fetching):
            yield self._bar(fetch.done, fetch.size, fetch_figures(fetch))


def report_lines(report: Report) -> Iterator[str]:
    """A finished run in a few lines: how much, how long, memory predicted and measured."""
    if not report.computed and not report.copied and not report.bytes_written:
        yield f"nothing to do: {count(report.tensors, 'tensor')} are as the recipe wants them"
        return
    compiled = report.kernels_compiled
    kernels = f" ({count(compiled, 'kernel')} compiled)" if compiled else ""
    yield (
        f"{count(len(report.outputs), 'output')} of {count(report.tensors, 'tensor')} "
        f"in {duration(report.seconds)}, estimated {duration(report.planned_seconds)}"
        f" ({duration(report.cpu_seconds)} of CPU), {report.backend}{kernels}"
    )
    if report.computed < report.tensors:
        kept = report.tensors - report.computed - report.copied
        yield (
            f"{report.computed:,} tensors computed, {report.copied:,} copied from the output that "
            f"was there ({decimal_size(report.copied_bytes)}), {kept:,} finished before"
        )
    yield (
        f"read {decimal_size(report.bytes_read)} (planned {decimal_size(report.planned_read)}), "
        f"wrote {decimal_size(report.bytes_written)}"
    )
    if report.peak_bytes:
        yield _memory_line(report)
    if len(report.stages) > 1:
        yield from _stage_lines(report)


def _memory_line(report: Report) -> str:
    in_all = f"{binary_size(report.peak_bytes)} in all"
    planned = f"(planned {binary_size(report.planned_bytes)})"
    if not report.grown_bytes:
        return f"peak memory {in_all}; buffers and held tensors too small to measure {planned}"
    grown = binary_size(report.grown_bytes)
    return f"peak memory {grown} of buffers and held tensors {planned}, {in_all}"


def _stage_lines(report: Report) -> Iterator[str]:
    """Measured and planned for each group of stages."""
    head = ("stages", "steps", "time", "planned", "read", "planned", "memory", "planned")
    rows = [
        (
            _group(stage.stages),
            f"{stage.steps:,}",
            duration(stage.seconds),
            duration(stage.planned_seconds),
            decimal_size(stage.bytes_read),
            decimal_size(stage.planned_read),
            binary_size(stage.grown_bytes) if stage.grown_bytes else "–",
            binary_size(stage.planned_bytes),
        )
        for stage in report.stages[:_STAGE_LINES]
    ]
    yield from table([head, *rows], right=range(1, len(head)))
    if (more := len(report.stages) - _STAGE_LINES) > 0:
        yield f"… and {more} more, all with --json"


def _group(stages: Sequence[str]) -> str:
    names = [os.path.basename(name) if name.startswith((".", os.sep)) else name for name in stages]
    shown = [shortened(name, _NAME) for name in names[:_NAMES]]
    more = [f"{len(stages) - _NAMES} more"] if len(stages) > _NAMES else []
    return " + ".join([*shown, *more])
