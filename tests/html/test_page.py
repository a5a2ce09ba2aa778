"""The page as text: self-contained, well-formed, escaped, and with the plan's figures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from mergec.compiler.planning.plan import Plan
from mergec.views.html import plan_page
from mergec.views.page import memory_steps
from mergec.views.page.stage_graph import stage_graph
from mergec.views.page.tables import bytes_read_of
from support.checkpoints import tiny_mistral, write_raw
from support.merging import merge, plan_recipe

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(2)>&amp;</style>"


class Parsed(HTMLParser):
    """Elements with their attributes, the text of each kind, and whether tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def data(self) -> Any:
        """The page's data."""
        return json.loads("".join(self.texts["script"]).split('"use strict"')[0])


def stage_names(parsed: Parsed) -> list[str]:
    return [a["data-stage"] or "" for _, a in parsed.elements if "data-stage" in a]


@pytest.mark.parametrize("name", ["merge-14", "neuralpipe-9b-merged", "sweep"])
def test_pages_are_self_contained(name: str, example: Callable[[str], Plan]) -> None:
    text = plan_page(example(name))
    parsed = Parsed(text)
    assert "http://" not in text and "https://" not in text
    assert len(text) < 200_000
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    for tag, attributes in parsed.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not any(key.startswith("on") or key in ("src", "style") for key in attributes)
        href = attributes.get("href")
        assert href is None or (href.startswith("#") and href[1:] in ids)


def test_the_policy_allows_this_script_and_style_only(example: Callable[[str], Plan]) -> None:
    text = plan_page(example("merge-14"))
    policy = next(
        attributes["content"] or ""
        for tag, attributes in Parsed(text).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_stage_is_drawn_once(example: Callable[[str], Plan]) -> None:
    plan = example("merge-14")
    parsed = Parsed(plan_page(plan))
    assert stage_names(parsed) == ["core", "v0_1", "v0_2"]
    graph = stage_graph(plan)
    kinds = [node.kind for node in graph.nodes]
    assert [kinds.count(kind) for kind in ("source", "stage", "output")] == [16, 3, 2]
    core = next(node for node in graph.nodes if node.name == "core")
    assert (core.operation, len(core.parts), core.uses) == ("dare_ties", 15, 2)
    assert core.parts[0].role == "base"
    assert core.parts[1].settings == "weight=0.08  density=0.5"


def test_a_loop_is_drawn_turn_by_turn(example: Callable[[str], Plan]) -> None:
    graph = stage_graph(example("sweep"))
    turns = [node for node in graph.nodes if node.operation == "slerp"]
    assert [node.tensors for node in turns] == [291] * 5
    assert {node.uses for node in turns} == {1}


def test_slices_are_words_on_edges(example: Callable[[str], Plan]) -> None:
    graph = stage_graph(example("neuralpipe-9b-merged"))
    assert [edge.layers for edge in graph.edges] == [("[0:32]",), ("[24:32]",), ()]


def test_reads_of_sources_add_up(example: Callable[[str], Plan]) -> None:
    for name in ("merge-14", "neuralpipe-9b-merged", "sweep"):
        assert sum(bytes_read_of(example(name)).values()) == example(name).bytes_read


def test_the_chart_peaks_where_the_plan_does(example: Callable[[str], Plan]) -> None:
    plan = example("merge-14")
    runs = memory_steps.memory_runs(plan)
    peak = runs.runs[runs.peak]
    assert peak.usage.total == plan.peak_bytes
    assert [held.name for held in peak.usage.held] == ["core"]
    assert runs.steps == sum(max(1, len(choice.sweeps)) for choice in plan.choices)


def test_many_steps_are_shown_in_runs(
    example: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = example("merge-14")
    monkeypatch.setattr(memory_steps, "MOST_SHOWN", 40)
    runs = memory_steps.memory_runs(plan)
    assert len(runs.runs) <= 40
    assert sum(run.steps for run in runs.runs) == runs.steps
    assert all(run.first <= run.step < run.first + run.steps for run in runs.runs)
    assert runs.runs[runs.peak].usage.total == plan.peak_bytes


def test_a_spilled_value_is_named_beside_its_file(example: Callable[[str], Plan]) -> None:
    plan = example("merge-14")
    least = plan.frontier()[-1]
    tight = replace(plan, choices=least.choices, limit=least.peak)
    held = {value for run in memory_steps.memory_runs(tight).runs for value in run.usage.held}
    assert {value.name for value in held} == {"core"}
    in_memory = [value.nbytes for value in held if not value.in_file]
    assert max(in_memory, default=0) <= least.peak
    assert max(value.nbytes for value in held if value.in_file) > least.peak
    page = plan_page(tight)
    assert "500.0 MiB in a file" in page
    assert (
        "spilled"
        in next(node for node in stage_graph(tight).nodes if node.name == "core").fates[0].how
    )


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "|")
    header = {HOSTILE: {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}}
    model = tmp_path / f"{name[:40]}.safetensors"
    write_raw(model, header, 64)
    text = f"""# {HOSTILE}
        let x = linear {{ {json.dumps("./" + model.name)} weight=0.5 }}
        save x to "./out"
    """
    page = plan_page(
        plan_recipe(text, tmp_path / "out", folder=tmp_path),
        {"stages": [{"name": HOSTILE, "seconds": 1}]},
    )
    parsed = Parsed(page)
    assert len(re.findall("<script", page)) == 2
    assert page.count("</style>") == 1
    assert not any(tag == "img" for tag, _ in parsed.elements)
    assert parsed.data()["memory"]["tensors"] == [HOSTILE]
    assert HOSTILE in "".join(parsed.texts["code"])
    assert HOSTILE in parsed.texts["th"]


def test_planned_and_measured(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        tiny_mistral(tmp_path / "models" / "org" / name, seed, layers=1)
    text = 'save slerp { "org/a", "org/b", t = 0.3 } to "./out"'
    plan = plan_recipe(text, tmp_path / "out", models=[tmp_path / "models"])
    report = merge(text, tmp_path / "out", models=[tmp_path / "models"])
    for given in (report, report.to_json()):
        page = plan_page(plan, given)
        assert 'id="measured"' in page
        assert "Peak memory" in page
    assert 'id="measured"' not in plan_page(plan)


def test_a_report_of_another_plan_or_a_damaged_one(example: Callable[[str], Plan]) -> None:
    report = {"planned_bytes": 1, "seconds": "soon", "peak_bytes": None, "bytes_read": 245e9}
    page = plan_page(example("merge-14"), report)
    assert "The run kept to a plan of 1 B: it isn't quite this one." in page
    assert "Peak memory" not in page
    assert "1.00 ×" in page


def test_stages_of_a_report(example: Callable[[str], Plan]) -> None:
    stages = [{"name": "core", "seconds": 12.5}, {"name": "v0_1", "planned_seconds": 2}, "?"]
    page = plan_page(example("merge-14"), {"stages": stages})
    texts = Parsed(page).texts
    assert "By stage" in texts["caption"]
    assert {"12.5 s", "2.0 s"} <= set(texts["td"])


def test_the_next_command_is_shown(example: Callable[[str], Plan]) -> None:
    page = plan_page(example("sweep"), command="mergec run 'a b.merge' --memory 2GiB")
    assert ">mergec run 'a b.merge' --memory 2GiB<" in page
