"""The estimate of a run's time: measured fast, adding up, and honest about the page cache."""

from __future__ import annotations

import os
import time
from pathlib import Path

import mergec
import pytest
from mergec.compiler.kernels import compiled
from mergec.compiler.planning import estimate as module
from mergec.compiler.planning.estimate import Machine, cached_share, estimate, measure_machine
from mergec.views.plan_facts import frontier
from mergec.views.plan_text import time_text
from mergec.views.stages import Stages
from mergec.views.treatment import fates

from .test_promise import SLERP, WHOLE

MACHINE = Machine(copied=1e10, slowness=1.0, cores=2)


@pytest.fixture(scope="module")
def plan(mirror: Path) -> mergec.Plan:
    return mergec.compile(SLERP.format(size="big"), models=[mirror], threads=2, memory="64GiB")


def test_measuring_is_quick():
    measure_machine()  # numpy is loaded once
    took = []
    for _ in range(5):
        started = time.perf_counter()
        machine = measure_machine()
        took.append(time.perf_counter() - started)
    assert min(took) < 0.06
    assert machine.copied > 1e8 and 0.01 < machine.slowness < 100 and machine.cores >= 1


@pytest.mark.slow
def test_parts_add_up(plan, monkeypatch):
    for cached in (None, 0.0, 0.5, 1.0):
        monkeypatch.setattr(module, "cached_share", lambda plan, share=cached: share)
        made = estimate(plan, MACHINE)
        assert sum(made.parts) == pytest.approx(made.seconds)
        assert len(made.parts) == len(plan.components)


def test_what_it_depends_on(plan, mirror, monkeypatch):
    monkeypatch.setattr(module, "cached_share", lambda plan: 1.0)
    monkeypatch.setattr(module, "DISK_RATE", 1e15)
    seconds = estimate(plan, MACHINE).seconds
    assert estimate(plan, MACHINE._replace(copied=1e9)).seconds > seconds
    assert estimate(plan, MACHINE._replace(slowness=3.0)).seconds > 1.5 * seconds
    assert estimate(plan, MACHINE._replace(cores=1)).seconds == pytest.approx(2 * seconds)
    smaller = mergec.compile(SLERP.format(size="big"), models=[mirror], threads=2, memory="min")
    assert estimate(smaller, MACHINE).seconds > seconds
    monkeypatch.setattr(module, "DISK_RATE", 1e6)
    made = estimate(plan, MACHINE)  # sweeps that only read what is cached come on top
    assert made.disk_bound
    assert made.seconds == pytest.approx(plan.bytes_written / 1e6, rel=0.01)


def test_handling_comes_on_top_and_compiling_once(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path))
    first = estimate(plan, MACHINE)
    steps = sum(len(strategy.sweeps) for strategy in plan.choices)
    assert first.kernels > 0 and "to compile first" in time_text(first)
    monkeypatch.setattr(compiled, "is_cached", lambda kernel: True)
    later = estimate(plan, MACHINE)
    assert later.kernels == 0 and "compile" not in time_text(later)
    assert first.handling - later.handling == pytest.approx(module.COMPILE * first.kernels)
    assert later.total - later.seconds == pytest.approx(module.START + module.HANDLE * steps)


def test_each_row_of_the_frontier_has_its_time_whatever_bounds_the_run(plan, monkeypatch):
    for cached in (0.0, 1.0):
        monkeypatch.setattr(module, "cached_share", lambda plan, share=cached: share)
        made = estimate(plan, MACHINE)
        times = [row.seconds for row in frontier(plan, made)]
        assert len(times) > 1
        assert len(set(times)) == len(times)
        assert times[0] == pytest.approx(made.seconds)


def test_a_system_that_cannot_tell(plan, monkeypatch):
    for name in ("RWF_NOWAIT", "posix_fadvise"):
        monkeypatch.delattr(os, name, raising=False)
    assert cached_share(plan) is None


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="the system doesn't tell")
def test_the_page_cache_is_asked(plan):
    files = [Path(file.place) for source in plan.bound.sources.values() for file in source.files]
    for path in files:
        path.read_bytes()
    assert cached_share(plan) == 1.0
    for path in files:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    shares = [cached_share(plan) for _ in range(3)]  # looking doesn't fill it
    assert all(share is not None and share < 0.2 for share in shares)
    assert "of the sources are in the page cache, the rest on disk" in time_text(estimate(plan))


def test_whole_tensors_are_said_to_come_on_top(mirror):
    plan = mergec.compile(WHOLE.format(size="tall"), models=[mirror])
    made = estimate(plan, MACHINE)
    assert made.uncounted == ("tsvm",)
    assert "the linear algebra of tsvm comes on top" in time_text(made)
    (found,) = [fate for key, fate in fates(plan).items() if key.stage == "core"]
    assert found[0].how == "whole"
    assert "not tiled: tsvm works on whole tensors" in found[0].reason
    (facts,) = [facts for facts in Stages(plan).facts() if facts.name == "core"]
    assert facts.treatments[0].largest == plan.peak_bytes
