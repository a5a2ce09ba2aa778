"""Models of the Hub planned, fetched and streamed: the same bytes as from a folder."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import mergec
import pytest
from mergec.grammar.diagnostics import MergecError, RunError
from mergec.runtime.run import Progress
from support.checkpoints import TELLING, sparse_checkpoint
from support.hub_server import HubServer

from .conftest import NAMES

TIES = """
let core = ties {{
  base = "org/base"
  "org/a" weight=0.5 density=0.5
  "org/b" weight=0.4 density=0.4
}}
save core to "{out}" {{ dtype = bfloat16 }}
"""


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in TELLING}


@pytest.fixture
def expected(place: Path, hub: HubServer) -> dict[str, bytes]:
    mergec.run(mergec.compile(TIES.format(out=place / "local"), models=[place / "models"]))
    assert not hub.requests
    return outputs(place / "local")


def compiled(place: Path, **options: bool) -> mergec.Plan:
    return mergec.compile(TIES.format(out=place / "out"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("faults", [{}, {"resets": 3, "short": 3, "limited": 1, "broken": 1}])
def test_the_bytes_are_those_of_a_folder(place, hub, expected, stream, faults):
    plan = compiled(place, stream=stream)
    planned = len(hub.requests)
    for name, count in faults.items():
        setattr(hub.faults, name, count)
    mergec.run(plan)
    assert outputs(place / "out") == expected
    assert "tokenizer.json" in expected
    needed = sum(checkpoint.nbytes for checkpoint in plan.sources.values())
    sent = sum(request.sent for request in hub.requests[planned:])
    assert needed <= sent
    if stream:
        assert sent <= 1.02 * needed
        assert not (place / "cache").exists()


def test_planning_again_asks_nothing(place, hub):
    compiled(place)
    assert hub.requests
    hub.requests.clear()
    compiled(place)
    compiled(place, offline=True)
    assert not hub.requests


def test_a_branch_is_asked_for_again_after_a_day(place, hub, monkeypatch):
    compiled(place)
    hub.requests.clear()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    compiled(place, offline=True)
    assert not hub.requests
    compiled(place)
    assert [r.path.split("/")[2] for r in hub.requests] == ["models"] * len(NAMES)


@pytest.mark.slow
def test_sixteen_models_are_planned_in_under_three_seconds(place, hub, tmp_path):
    for number in range(16):
        hub.add(f"org/m{number}", sparse_checkpoint(tmp_path / f"m{number}"))
    rows = "\n".join(f'"org/m{number}" weight=0.1 density=0.5' for number in range(1, 16))
    text = f'save dare_ties {{\n base = "org/m0"\n {rows}\n}} to "./out" {{ dtype = bfloat16 }}'
    hub.delay = 0.02
    started = time.monotonic()
    mergec.compile(text)
    assert time.monotonic() - started < 3.0
    assert sum(request.sent for request in hub.requests) < 2_000_000
    count = len(hub.requests)
    mergec.compile(text)
    assert len(hub.requests) == count


def test_only_shards_that_are_needed_are_fetched(place, hub):
    text = f'save stack {{ "org/a"[0:1], "org/a"[0:1] }} to "{place / "out"}" {{}}'
    plan = mergec.compile(text)
    names = {file.name for file in plan.source_files}
    assert 0 < len(names) < 3
    mergec.run(plan)
    cached = {path.name for path in (place / "cache").rglob("*.safetensors")}
    assert cached == names


def test_a_second_run_fetches_nothing(place, hub, expected):
    mergec.run(compiled(place))
    hub.requests.clear()
    mergec.run(compiled(place))
    assert not hub.requests


def test_computing_begins_while_files_arrive(place, hub, expected):
    plan = compiled(place)
    third = hub.repositories["org/b"].files["model-00003-of-00003.safetensors"]
    gate = threading.Event()
    route = hub.routes[-1]

    def held(handler, match):
        if match[1] == third.sha256:
            gate.wait(20)
        route[2](handler, match)

    hub.routes[-1] = (route[0], route[1], held)
    before: list[int] = []

    def watch(progress: Progress) -> None:
        if not gate.is_set() and progress.tensors_done:
            before.append(progress.tensors_done)
            assert progress.bytes_fetched < progress.bytes_to_fetch
            gate.set()

    mergec.run(plan, watch=watch)
    assert before
    assert outputs(place / "out") == expected


def test_a_file_that_changes_under_its_commit_is_noticed(place, hub):
    plan = compiled(place, stream=True)
    hub.repositories["org/a"].commit = "f" * 40
    hub.repositories["org/a"].revisions.add(plan.sources["org/a"].revision or "")
    with pytest.raises(RunError, match="X-Repo-Commit"):
        mergec.run(plan)
    assert not (place / "out").exists()


def test_a_line_that_stays_dead_is_one_error(place, hub, monkeypatch):
    plan = compiled(place, stream=True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.faults.broken = 10_000
    with pytest.raises(MergecError, match="E0632"):
        mergec.run(plan)
    assert not (place / "out").exists()
