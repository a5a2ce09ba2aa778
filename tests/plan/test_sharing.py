"""What stages and outputs share is read once a sweep and computed once, counted at the reader."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import mergec
import pytest
from mergec.checkpoints.source_tensors import TensorReader
from mergec.compiler.graph.graph import Invoke, Load
from mergec.runtime.files import Files
from mergec.views.treatment import fates
from support.checkpoints import tiny_mistral

MERGE_14 = Path(mergec.__file__).parent / "examples" / "merge-14.merge"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model of Merge-14, with 2 layers."""
    mirror = tmp_path_factory.mktemp("models")
    references = re.findall(r'"([\w-][\w.-]*/[\w.-]+)"', MERGE_14.read_text("utf-8"))
    for seed, reference in enumerate(dict.fromkeys(references)):
        tiny_mistral(mirror / reference, seed, layers=2, hidden=32, vocab=48)
    return mirror


def first_only(text: str) -> str:
    return text[: text.index("save v0_2")].replace("let v0_2 = ", "# ")


def read_bytes(text: str, models: Path, out: Path) -> int:
    """Bytes that a run reads from its sources, counted where they are read."""
    report = mergec.run(mergec.compile(text, models=[models], out=out))
    assert report.bytes_read == report.planned_read == sum(s.bytes_read for s in report.stages)
    return report.bytes_read


def test_two_outputs_read_no_more_than_one(models: Path, tmp_path: Path) -> None:
    # gradients that stay clear of 0 and 1, where a blend is one of its inputs as it is
    text = MERGE_14.read_text("utf-8").replace("[0, ", "[0.1, ").replace(", 0]", ", 0.1]")
    text = text.replace("[1, ", "[0.9, ").replace(", 1]", ", 0.9]")
    both = read_bytes(text, models, tmp_path / "both")
    one = read_bytes(first_only(text), models, tmp_path / "one")
    assert both == one
    two, single = (tmp_path / name for name in ("both", "one"))
    written = [two / "Mistral-7B-Merge-14-v0.1", single]
    assert len({(folder / "model.safetensors").read_bytes() for folder in written}) == 1


def test_merge_14_reads_more_only_where_a_blend_is_one_input(models: Path) -> None:
    text = MERGE_14.read_text("utf-8")
    both = mergec.compile(text, models=[models])
    one = mergec.compile(first_only(text), models=[models])
    reads = []
    for plan in (both, one):
        found = {}
        for component, choice in zip(plan.components, plan.choices, strict=True):
            for targets in component.targets:
                found |= {t.name: choice.read for t in targets if t.output == 0}
        reads.append(found)
    more = [name for name, nbytes in reads[1].items() if reads[0][name] > nbytes]
    assert not more
    extra = both.bytes_read - one.bytes_read
    blends = {c.targets[0][0].name for c in one.components if len(c.loads) < 16}
    assert 0 < extra <= sum(16 * _tensor_bytes(one, name) for name in blends)


def _tensor_bytes(plan: mergec.Plan, name: str) -> int:
    return next(iter(plan.bound.sources.values())).tensors[name].nbytes


def test_outputs_of_one_pass_are_written_in_one_sweep(models: Path) -> None:
    plan = mergec.compile(MERGE_14, models=[models])
    together = [c for c in plan.components if len(c.targets) == 2]
    assert together
    for component, choice in zip(plan.components, plan.choices, strict=True):
        if len(component.targets) == 2 and choice.sweeps:
            writing = [s for s in choice.sweeps if any(g.writes for g in s.segments)]
            assert len(writing) == 1
            assert sorted(n for g in writing[0].segments for n in g.writes) == [0, 1]


THREE_USES = """\
let core = ties { base = "mistralai/Mistral-7B-v0.1"
  "teknium/OpenHermes-2.5-Mistral-7B" weight=0.5 density=0.5
  "janai-hq/trinity-v1" weight=0.5 density=0.5
}
save linear { core weight=0.5, "Arc53/docsgpt-7b-mistral" weight=0.5 } to "./x"
save linear { core weight=0.7, "Arc53/docsgpt-7b-mistral" weight=0.3 } to "./y"
save core to "./z"
"""


def test_three_uses_of_one_stage_compute_it_once(models: Path) -> None:
    plan = mergec.compile(THREE_USES, models=[models])
    calls = Counter(
        node.op.invocation.method.name
        for node in plan.optimised.nodes
        if isinstance(node.op, Invoke)
    )
    assert calls == {"ties": 21, "linear": 42}
    (core,) = [found for key, found in fates(plan).items() if key.stage == "core"]
    assert [(fate.how, fate.sweeps, fate.tensors) for fate in core] == [("written", 1, 21)]
    assert plan.distinct_loads == 4 * 21 and plan.loads == (4 + 4 + 3) * 21


SLICES = """\
let stack_of = stack {
  "mistralai/Mistral-7B-v0.1"[0:2]
  "mistralai/Mistral-7B-v0.1"[1:2]
  "janai-hq/trinity-v1"[0:2]
}
save stack_of to "./x"
"""


def test_overlapping_slices_read_a_layer_once(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    reader = Files.reader

    class Counting(NamedTuple):
        inner: TensorReader
        name: tuple[str, str]

        def read(self, start: int, buffer: memoryview) -> None:
            counted[self.name] += len(buffer)
            self.inner.read(start, buffer)

        def soon(self, start: int, count: int) -> None:
            self.inner.soon(start, count)

    def counted_reader(self: Files, load: Load) -> TensorReader:
        return Counting(reader(self, load), (load.checkpoint.reference, load.tensor.name))

    monkeypatch.setattr(Files, "reader", counted_reader)
    plan = mergec.compile(SLICES, models=[models], out=tmp_path / "x")
    report = mergec.run(plan)
    assert report.tensors == 5 * 9 + 3
    for (reference, name), nbytes in counted.items():
        assert nbytes == plan.bound.sources[reference].tensors[name].nbytes, name
    shared = "model.layers.1.mlp.up_proj.weight"
    assert counted["mistralai/Mistral-7B-v0.1", shared] > 0
    assert len(counted) == 4 * 9 + 3
