"""The display of a run: lines without a terminal, a live one with it, figures that add up."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import mergec
import pytest
from mergec.cli import live_display as module
from mergec.cli.live_display import LineDisplay, LiveDisplay, Pace, display, figures, report_lines
from mergec.compiler.planning.plan import Plan
from mergec.runtime.report import Report, StageReport
from mergec.runtime.run import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plan(models: Path, recipe: Path) -> Plan:
    return mergec.compile(recipe, models=[models])


def test_the_stream_decides(plan):
    assert isinstance(display(plan, io.StringIO()), LineDisplay)
    assert isinstance(display(plan, Terminal()), LiveDisplay)


def test_a_line_every_thirty_seconds(plan, monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    progress = Progress(bytes_total=10**9, tensors_total=21, current="a.weight", stage="core")
    with display(plan, stream) as watch:
        for second in range(95):
            now = float(second)
            progress.bytes_done = second * 10**7
            watch(progress)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(" 30% · 300.0 MB of 1.0 GB · 10.0 MB/s · 1:10 left · 0/21 tensors")
    assert "core · a.weight" in lines[0]


def test_compiling_is_told_at_once_and_once(plan):
    stream = io.StringIO()
    progress = Progress(bytes_total=100, compiling=True)
    with display(plan, stream) as watch:
        watch(progress)
        watch(progress)
    assert stream.getvalue().count("compiling kernels") == 1


def test_a_live_display_shows_stage_and_memory(plan, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = Progress(
        bytes_total=200, bytes_done=50, tensors_total=4, stage="core", current="a.weight"
    )
    with display(plan, stream) as watch:
        watch(progress)
        progress.compiling = True
        watch(progress)
    text = stream.getvalue()
    for words in ("25%", "50 B of 200 B", "core · a.weight", "memory", "compiling a kernel"):
        assert words in text


def test_speed_is_that_of_the_last_seconds():
    pace = Pace(0.0)
    assert pace.seconds_left(10) is None
    for second in range(1, 21):
        pace.add(float(second), second * 100 if second <= 10 else 1000 + (second - 10) * 10)
    assert pace.bytes_per_second == pytest.approx(10.0)
    assert figures(Progress(2000, 1100), pace).endswith("1:30 left")


def test_a_report_in_lines():
    stage = StageReport(("core", "./x/out"), 3, 21, 9.0, 8.0, 10**9, 10**9, 2**20, 2**21)
    report = Report(
        outputs=(Path("x"),),
        tensors=21,
        computed=21,
        copied=0,
        copied_bytes=0,
        seconds=12.34,
        planned_seconds=10.0,
        cpu_seconds=20.0,
        bytes_read=10**9,
        bytes_written=5 * 10**8,
        planned_read=10**9,
        planned_bytes=2**21,
        grown_bytes=2**20,
        peak_bytes=2**27,
        kernels_compiled=2,
        backend="native",
        stages=(stage,),
    )
    first, second, third = report_lines(report)
    assert first == (
        "1 output of 21 tensors in 12.3 s, estimated 10.0 s (20.0 s of CPU), "
        "native (2 kernels compiled)"
    )
    assert second == "read 1.0 GB (planned 1.0 GB), wrote 500.0 MB"
    assert third == (
        "peak memory 1.0 MiB of buffers and held tensors (planned 2.0 MiB), 128.0 MiB in all"
    )
    *_, head, line, other = report_lines(replace(report, stages=(stage, stage)))
    assert " ".join(head.split()) == "stages steps time planned read planned memory planned"
    assert line == other
    assert line.startswith("core + out") and line.endswith("1.0 MiB  2.0 MiB")


def test_memory_too_small_to_be_seen(plan):
    stage = StageReport(("core",), 1, 1, 0.0, 0.0, 1, 1, 0, 2**20)
    report = Report((), 1, 1, 0, 0, 0.1, 0.1, 0.1, 1, 1, 1, 2**20, 0, 2**27, 0, "native", (stage,))
    line = list(report_lines(report))[2]
    assert line == (
        "peak memory 128.0 MiB in all; "
        "buffers and held tensors too small to measure (planned 1.0 MiB)"
    )
    data = report.to_json()
    assert data["grown_bytes"] is None
    assert data["stages"][0]["grown_bytes"] is None
    assert data["peak_bytes"] == 2**27
