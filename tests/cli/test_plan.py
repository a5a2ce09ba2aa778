"""`mergec plan`: its text, its JSON, the frontier, selections, and the graph in other languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mergec
import pytest
from mergec.compiler.planning.timeline import timeline
from mergec.views.columns import paragraph, table
from mergec.views.memory_text import sparkline
from mergec.views.plan_text import plan_text
from support.checkpoints import sparse_checkpoint

TWO = """\
let core = dare_ties { base = "org/base"
  "org/a" weight=0.5 density=0.5
  "org/b" weight=0.5 density=0.5
}
let blend = slerp { core, "org/b", t = [0.5, 0.5, 0] }
save blend to "./blend"
save linear { core weight=1, "org/a" weight=2 } to "./soup"
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of org/base, org/a and org/b: tensors of many tiles, on no disk."""
    mirror = tmp_path_factory.mktemp("wide")
    for name in ("base", "a", "b"):
        sparse_checkpoint(mirror / "org" / name, layers=2, hidden=2048, intermediate=4096)
    return mirror


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of two stages and two outputs, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("two.merge").write_text(TWO)
    return Path("two.merge")


@pytest.fixture
def planned(invoke, models, two):
    """`mergec plan two.merge ARGUMENTS`, its standard output."""

    def run(*arguments: object) -> str:
        result = invoke("plan", two, "-m", models, *arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


# Text -------------------------------------------------------------------------------------------


def test_the_text_says_what_is_not_fused_and_why(planned):
    text = planned("--memory", "4GiB")
    assert re.search(r"├─ core  dare_ties of 2  used 2 times +21 +\S+ MB  held \(\d+\)", text)
    assert "tensors held in memory since two sweeps need it" in text
    assert "blend: 18 tensors" not in text  # what is written where it is computed needs no reason
    assert re.search(r"blend: \d+ tensors taken from an input as they are", text)
    assert "core computed once, used 2 times" in text
    assert re.search(r"^Seed +0; `set seed", text, re.M)
    assert re.search(r"peak \S+ \S+ of 4.0 GiB, proved least for what it holds", text)
    assert re.search(r"at \S+\.weight, step \d+ of \d+, sweep \d of 2: core \S+ MiB, tiles", text)
    assert re.search(r" {12}[▁▂▃▄▅▆▇█]+  █ is the peak, not the limit", text)
    assert re.search(r"^Time        about \S+ s on this machine", text, re.MULTILINE)


def test_the_smallest_memory_computes_again_or_spills(planned):
    text = planned("--memory", "min")
    assert "█ is the limit" in text
    assert re.search(r"computed again since two sweeps need it, to save 250.0 MiB of memory", text)


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal(models, two, width):
    plan = mergec.compile(two, models=[models], memory="min")
    lines = list(plan_text(plan, "0", width))
    assert max(map(len, lines)) <= width
    assert any(len(line) > 0.8 * width for line in lines)


def test_a_narrow_table_shortens_its_first_column():
    rows = [("name", "size"), ("a" * 40, "10 GB")]
    assert list(table(rows, width=30)) == ["name" + " " * 21 + "size", "a" * 22 + "…  10 GB"]
    assert list(paragraph("Head", "word " * 12, 40))[1].startswith(" " * 12 + "word")


def test_a_sparkline_keeps_the_peak_in_sight():
    assert sparkline([0, 0, 8, 0, 4, 4], 3, 8) == "▁█▅"
    assert sparkline([5], 4, 5) == "████"


# JSON -------------------------------------------------------------------------------------------

KEYS = {
    "left": dict,
    "mergec": str,
    "format_version": int,
    "recipe": str,
    "recipe_sha256": str,
    "seed": int,
    "threads": int,
    "limit_bytes": int,
    "peak_bytes": int,
    "lower_bound_bytes": int,
    "optimal": bool,
    "fixed_bytes": int,
    "binding": dict,
    "bytes_read": int,
    "bytes_read_most": int,
    "bytes_written": int,
    "bytes_spilled": int,
    "loads": int,
    "distinct_loads": int,
    "operations": dict,
    "estimate": dict,
    "frontier": list,
    "sources": list,
    "stages": list,
    "outputs": list,
    "steps": list,
    "disks": list,
    "warnings": list,
}
INNER = {
    "binding": {"step", "tensor", "sweep", "bytes", "scratch_bytes", "tile_bytes", "held"},
    "operations": {"written", "computed"},
    "estimate": {
        "seconds",
        "disk_bound",
        "cached_share",
        "uncounted_methods",
        "kernels",
        "copy_bytes_per_second",
        "slowness",
        "cores",
    },
    "frontier": {
        "peak_bytes",
        "bytes_read",
        "bytes_spilled",
        "seconds",
        "held",
        "spilled",
        "recomputed",
        "whole",
        "chosen",
    },
    "sources": {
        "reference",
        "path",
        "revision",
        "files",
        "dtypes",
        "tensors",
        "bytes",
        "bytes_to_fetch",
    },
    "stages": {
        "name",
        "kind",
        "operation",
        "inputs",
        "tensors",
        "folded",
        "bytes",
        "uses",
        "treatments",
        "output",
    },
    "outputs": {"path", "tensors", "parameters", "bytes", "files"},
    "steps": {
        "stage",
        "stages",
        "shape",
        "copies",
        "writes",
        "reads",
        "sweeps",
        "held",
        "spilled",
        "bytes_read",
        "bytes_spilled",
        "peak_bytes",
        "memory",
    },
    "disks": {"folder", "need", "free", "spill"},
}
TREATMENT = {"how", "sweeps", "tensors", "bytes", "largest", "saved", "reason"}


def test_the_schema_of_format_version_1(planned):
    """Keys may be added here; none may go or change while `format_version` is 1."""
    plan = json.loads(planned("--json"))
    assert plan["format_version"] == 1
    assert {key: type(value) for key, value in plan.items()} == KEYS
    for key, inner in INNER.items():
        found = plan[key][0] if isinstance(plan[key], list) else plan[key]
        assert set(found) == inner, key
    treated = [t for stage in plan["stages"] for t in stage["treatments"]]
    assert treated and all(set(treatment) == TREATMENT for treatment in treated)
    moment = plan["steps"][0]["memory"][0]
    assert set(moment) == INNER["binding"] - {"step", "tensor"}


def test_figures_agree(planned):
    plan = json.loads(planned("--json", "--threads", "2", "--memory", "1GiB"))
    assert plan["threads"] == 2 and plan["limit_bytes"] == 2**30
    assert plan["distinct_loads"] < plan["loads"]
    assert 0 < plan["lower_bound_bytes"] <= plan["peak_bytes"] <= plan["limit_bytes"]
    assert plan["optimal"] == (plan["lower_bound_bytes"] == plan["peak_bytes"])
    steps = plan["steps"]
    assert plan["bytes_read"] == sum(step["bytes_read"] for step in steps)
    assert plan["bytes_written"] == sum(output["bytes"] for output in plan["outputs"])
    assert plan["peak_bytes"] == max(step["peak_bytes"] for step in steps)
    assert plan["peak_bytes"] == max(m["bytes"] for step in steps for m in step["memory"])
    assert plan["peak_bytes"] == plan["binding"]["bytes"]
    written = [(w["output"], w["tensor"]) for step in steps for w in step["writes"]]
    assert len(written) == len(set(written)) == sum(o["tensors"] for o in plan["outputs"]) == 42
    stages = {stage["name"]: stage for stage in plan["stages"]}
    assert list(stages) == ["core", "blend", "./blend", "./soup"]
    assert stages["core"]["uses"] == 2
    assert sum(t["tensors"] for t in stages["core"]["treatments"]) == stages["core"]["tensors"]
    assert stages["blend"]["tensors"] + stages["blend"]["folded"] == 21
    chosen = [row for row in plan["frontier"] if row["chosen"]]
    assert [row["peak_bytes"] for row in chosen] == [plan["peak_bytes"]]


@pytest.mark.parametrize("memory", ["min", "1GiB"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_timeline_peaks_where_the_plan_says(models, two, memory, threads):
    plan = mergec.compile(two, models=[models], memory=memory, threads=threads)
    assert max(moment.nbytes for moment in timeline(plan)) == plan.peak_bytes


# The frontier -----------------------------------------------------------------------------------


def test_the_frontier(planned):
    rows = json.loads(planned("--frontier", "--json"))["frontier"]
    peaks = [row["peak_bytes"] for row in rows]
    assert len(rows) > 1 and peaks == sorted(peaks, reverse=True)
    assert rows[0]["chosen"] and rows[0]["held"] == ["core"]
    assert rows[-1]["recomputed"] == ["core"]
    assert rows[-1]["bytes_read"] > rows[0]["bytes_read"]
    text = planned("--frontier").splitlines()
    assert text[2].split() == ["peak", "read", "spilled", "time", "held", "computed", "again"]
    assert text[3].split()[0] == "→"
    smallest = json.loads(planned("--json", "--memory", "min"))["peak_bytes"]
    assert smallest == peaks[-1]


# Selections -------------------------------------------------------------------------------------

ALL = {"core", "blend", "./blend", "./soup"}


@pytest.mark.parametrize(
    ("selector", "stages", "sources"),
    [
        ("core", {"core"}, set()),
        ("+core", {"core"}, {"org/base", "org/a", "org/b"}),
        ("core+", ALL, set()),
        ("+blend", {"core", "blend"}, {"org/base", "org/a", "org/b"}),
        ("@blend", {"core", "blend", "./blend"}, {"org/base", "org/a", "org/b"}),
        ("./soup", {"./soup"}, set()),
        ("soup", {"./soup"}, set()),
        ("org/base+", ALL, {"org/base"}),
        ("@core", ALL, {"org/base", "org/a", "org/b"}),
    ],
)
def test_selections(planned, selector, stages, sources):
    plan = json.loads(planned("--select", selector, "--json"))
    assert {stage["name"] for stage in plan["stages"]} == stages
    assert {source["reference"] for source in plan["sources"]} == sources
    assert plan["selected"] == [selector]
    whole = json.loads(planned("--json"))
    assert plan["bytes_read"] == whole["bytes_read"]
    assert len(plan["steps"]) <= len(whole["steps"])
    text = planned("--select", selector)
    assert "The whole plan, of which this is a part:" in text


def test_selected_text_counts_what_it_leaves_out(planned):
    text = planned("--select", "core")
    assert "└─ (3 inputs not selected)" in text
    assert "Sources" not in text
    assert "org/a" not in text


def test_selections_add_up(planned):
    plan = json.loads(planned("--select", "core", "--select", "org/a", "--json"))
    assert [stage["name"] for stage in plan["stages"]] == ["core"]
    assert [source["reference"] for source in plan["sources"]] == ["org/a"]


@pytest.mark.parametrize("selector", ["cor", "+cor+", "@cor", "", "+"])
def test_an_empty_selection_is_an_error(invoke, models, two, selector):
    result = invoke("plan", two, "-m", models, "--select", selector)
    assert result.exit_code == 1
    assert "error[E0220]" in result.stderr and result.stdout == ""
    assert "`core`" in result.stderr if "cor" in selector else "core, blend" in result.stderr


# The graph in other languages -------------------------------------------------------------------

_STRING = r'"(?:[^"\\]|\\.)*"'
_DOT_LINE = re.compile(
    rf"  (?:rankdir=LR;|node \[fontname=sans, fontsize=11\];"
    rf"|{_STRING} \[shape=\w+, label={_STRING}\];|{_STRING} -> {_STRING};)"
)
_MERMAID_LINE = re.compile(r'  n\d+(?:\[\(?/?"[^"\[\]{}()|]*"/?\)?\]| --> n\d+)')


def test_dot(planned):
    first, *lines, last = planned("--format", "dot").splitlines()
    assert first == 'digraph "two.merge" {' and last == "}"
    assert all(_DOT_LINE.fullmatch(line) for line in lines)
    assert '  "core" -> "blend";' in lines and '  "blend" -> "./blend";' in lines


def test_mermaid(planned):
    first, *lines = planned("--format", "mermaid").splitlines()
    assert first == "flowchart LR"
    assert all(_MERMAID_LINE.fullmatch(line) for line in lines)
    assert len([line for line in lines if "-->" in line]) == 8
    only = planned("--format", "mermaid", "--select", "core+").splitlines()
    assert len([line for line in only if "-->" not in line]) == 5


def test_odd_names_are_escaped(invoke, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.merge").write_text(
        'for t in [0.5] {\n  let m = slerp { "org/a", "org/b", t = t }\n'
        "  save m to './\"o[1]\" #<b>'\n}\n".replace("'", '"').replace('"o[1]"', '\\"o[1]\\"')
    )
    dot = invoke("plan", "x.merge", "-m", models, "--format", "dot")
    assert dot.exit_code == 0, dot.stderr
    assert all(_DOT_LINE.fullmatch(line) for line in dot.stdout.splitlines()[1:-1])
    mermaid = invoke("plan", "x.merge", "-m", models, "--format", "mermaid").stdout
    assert all(_MERMAID_LINE.fullmatch(line) for line in mermaid.splitlines()[1:])


# Usage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--format", "dot"],
        ["--json", "--emit", "graph"],
        ["--frontier", "--emit", "graph"],
        ["--format", "svg"],
        ["-o", "merged"],
        ["--report", __file__],
    ],
)
def test_wrong_usage(invoke, models, two, arguments):
    result = invoke("plan", two, "-m", models, *arguments)
    assert result.exit_code == 64
    assert result.stdout == ""


def test_a_limit_too_small_names_the_step_and_what_would_do(invoke, models, two):
    result = invoke("plan", two, "-m", models, "--memory", "1KB")
    assert result.exit_code == 1
    assert "error[E0506]: 1000 B of memory are too little: step " in result.stderr
    assert re.search(r"step \d+ of \d+, `\S+\.weight` \(dare_ties, ", result.stderr)
    smallest = re.search(r"the smallest limit that works is (\w+)", result.stderr)
    assert smallest is not None
    assert invoke("plan", two, "-m", models, "--memory", smallest[1]).exit_code == 0


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "0GiB", "-5GiB"])
def test_a_limit_that_is_none(invoke, models, two, limit):
    result = invoke("plan", two, "-m", models, f"--memory={limit}")
    assert result.exit_code == 64
    assert "error[E0520]" in result.stderr
    assert "limits look like `8GiB`" in result.stderr
