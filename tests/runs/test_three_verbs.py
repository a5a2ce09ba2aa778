"""A run is prepare, compute some components, finish: by different processes, at different times."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from mergec.compiler.planning.plan import Plan
from mergec.errors import MergecError, RunError
from mergec.grammar.diagnostics import SourceText, Span
from mergec.runtime.arrivals import Arrivals
from mergec.runtime.backends import find_backend
from mergec.runtime.compute import Computation
from mergec.runtime.files import Files
from mergec.runtime.finish import finish
from mergec.runtime.identity import run_digest, run_keys
from mergec.runtime.meters import Gauge
from mergec.runtime.pools import Pools, decode_counts, encode_counts
from mergec.runtime.prepare import prepare
from mergec.runtime.record import read_record
from mergec.runtime.run import run_plan
from mergec.runtime.run_folder import RunFolder
from support.merging import plan_recipe

TWO = """\
let core = ties { base = "org/base"
  "org/a" weight=0.5 density=0.6
  "org/b" weight=0.3 density=0.5
}
save slerp { core, "org/a", t = 0.25 } to "./one" { shard = 20KB }
save slerp { "org/a", core, t = 0.25 } to "./two" { shard = 30KB, dtype = float32 }
save linear { "org/b" weight = 1 } to "./three" { shard = 30KB }
"""
POOLED = """\
save ties { base = "org/base", scope = model
  "org/a" weight=0.5 density=0.6
  "org/b" weight=0.3 density=0.5
} to "./out"
"""
WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runs.test_three_verbs import compute_part, plan_in
compute_part(plan_in(Path(sys.argv[2]), Path(sys.argv[3])), [int(n) for n in sys.argv[4:]])
"""


def plan_in(folder: Path, mirror: Path, recipe: str = TWO) -> Plan:
    return plan_recipe(recipe, folder, models=[mirror], folder=folder)


def folders_of(plan: Plan) -> list[RunFolder]:
    digest = run_digest(plan, "native")
    return [RunFolder(output.path, digest, output.span) for output in plan.outputs]


def compute_part(plan: Plan, components: list[int]) -> None:
    """What a worker does in a process of its own."""
    engine, files, folders = find_backend("native", "cpu"), Files(), folders_of(plan)
    keys = run_keys(plan, "native")
    records = [read_record(*row) for row in zip(folders, plan.outputs, keys, strict=True)]
    computation = Computation(
        plan, folders, keys, records, engine, files, Arrivals(()), Gauge(), {}
    )
    computation.compute(components)
    files.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_parts_computed_by_processes_in_any_order(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run_plan(plan_in(tmp_path / "a", mirror))
    plan = plan_in(tmp_path / "b", mirror)
    folders = folders_of(plan)
    keys = run_keys(plan, "native")
    for folder in folders:  # one process prepares, and leaves
        with folder:
            folder.keep()
    again = folders_of(plan)
    files = Files()
    for folder in again:
        folder.__enter__()
        folder.keep()
    prepare(plan, again, keys, files)
    for folder in again:
        folder.discard()
    with pytest.raises(RunError, match="E0650"):
        finish(plan, again, [{}, {}, {}], "native")
    half = len(plan.parts) // 2
    for parts in (plan.parts[half:], plan.parts[: half + 1]):  # one of them twice
        numbers = [str(number) for part in parts for number in part]
        tests = str(Path(__file__).resolve().parents[1])
        command = [sys.executable, "-c", WORKER, tests, str(tmp_path / "b"), str(mirror)]
        subprocess.run([*command, *numbers], check=True, timeout=120)
    last = folders_of(plan)
    records = [read_record(*row) for row in zip(last, plan.outputs, keys, strict=True)]
    for folder in last:
        folder.__enter__()
    markers = sorted(path.name for path in (last[0].control / "done").iterdir())
    assert markers
    finish(plan, last, records, "native")
    files.close()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_outputs_that_share_components_are_cut_at_the_same_ones(
    mirror: Path, tmp_path: Path
) -> None:
    plan = plan_in(tmp_path, mirror)
    first, second = (
        [
            sorted(n for n, slot in layout.slots.items() if slot.shard == number)
            for number in range(len(layout.shards))
        ]
        for layout in plan.layouts[:2]
    )
    assert first == second and len(first) > 3
    owned = [
        {
            (t.output, plan.layouts[t.output].slots[t.name].shard)
            for at in part
            for targets in plan.components[at].targets
            for t in targets
        }
        for part in plan.parts
    ]
    assert sum(len(files) for files in owned) == sum(len(each.shards) for each in plan.layouts)
    assert sorted(at for part in plan.parts for at in part) == list(range(len(plan.components)))
    assert len(plan.parts) > len(first)


def test_a_component_is_the_same_in_another_recipe(mirror: Path, tmp_path: Path) -> None:
    whole = plan_in(tmp_path, mirror)
    part = plan_in(tmp_path, mirror, TWO.split("save linear", maxsplit=1)[0])
    assert set(part.digests) < set(whole.digests)
    assert part.digest != whole.digest
    moved = plan_in(tmp_path, mirror, TWO.replace("density=0.5", "density=0.25"))
    assert not set(moved.digests) & set(part.digests)


def test_work_is_named_without_paths_and_times(mirror: Path, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, mirror)
    before = plan.digest, plan.keys
    for path in mirror.rglob("*.safetensors"):
        path.touch()
    again = plan_in(tmp_path / "elsewhere", mirror)
    assert again.digest == before[0]
    assert again.keys != before[1]  # this machine notices


def test_pools_are_the_plans_and_their_counts_can_be_given(mirror: Path, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, mirror, POOLED)
    engine, files = find_backend("native", "cpu"), Files()
    folders, keys = folders_of(plan), run_keys(plan, "native")
    compute = plan.components[0].template.program.compute
    whole, first, second = (Pools(plan.pool_sizes, compute) for _ in range(3))

    computation = Computation(plan, folders, keys, [{}], engine, files, Arrivals(()), Gauge(), {})
    numbers = range(len(plan.components))
    computation.look(0, numbers, whole)
    computation.look(0, numbers[:5], first)
    computation.look(0, numbers[5:], second)
    files.close()
    assert not list(tmp_path.iterdir())  # a look opens no output
    given = decode_counts(encode_counts(second.counts()))
    assert given is not None
    for pool, bins in given.items():
        first.add(pool, bins)
    for pool, bins in whole.counts().items():
        assert (bins == first.counts()[pool]).all()
    assert decode_counts(encode_counts(second.counts())[:-1]) is None


def test_errors_come_whole_from_another_process() -> None:
    span = Span(SourceText("r.merge", "save a\n"), 5, 6)
    error = RunError.of("E0605", "can't read it", span=span, hint="look", notes=("a", "b"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RunError and isinstance(again, MergecError)
    assert str(again) == str(error)
    assert json.dumps(again.diagnostics[0].to_json()) == json.dumps(error.diagnostics[0].to_json())
