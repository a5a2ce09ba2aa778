"""What each command prints, and what it leaves behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mergec.compiler.binding.stage_selection import shown_path
from mergec.ops.method import method_names


def test_check(invoke, models, recipe):
    result = invoke("check", recipe, "-m", models)
    assert result.exit_code == 0
    assert result.stdout == f"{recipe}: ok (3 sources, 1 output, 21 tensors)\n"
    assert invoke("check", recipe, "-m", models, "-q").stdout == ""


def test_check_says_what_is_wrong_with_each_file(invoke, models, recipe, tmp_path):
    bad = tmp_path / "bad.merge"
    bad.write_text('save dare-ties { "org/a" } to "x"\n')
    result = invoke("check", bad, recipe, "-m", models)
    assert result.exit_code == 1
    assert "did you mean `dare_ties`?" in result.stderr
    assert f"{recipe}: ok" in result.stdout
    document = json.loads(invoke("check", bad, recipe, "-m", models, "--format", "json").stdout)
    assert [entry["ok"] for entry in document["files"]] == [False, True]
    problem = document["files"][0]["diagnostics"][0]
    assert (problem["code"], problem["line"]) == ("E0201", 1)


def test_plan_is_for_people(invoke, models, recipe):
    text = invoke("plan", recipe, "-m", models, "--memory", "1GiB").stdout
    assert text.startswith("recipe.merge · mergec ")
    assert "3 sources, 1 stage, 1 output" in text
    for words in ("Sources", "Stages", "Sharing", "Memory", "I/O", "Disk", "Warnings    none"):
        assert words in text
    assert re.search(r"├─ core  ties of 2 +21 +\S+ KB  held\n", text)
    assert "org/b  weight=0.3 density=0.5" in text
    assert "of 1.0 GiB" in text
    last = text.splitlines()[-1]
    assert last == f"Next        mergec run {recipe} --models {models} --memory 1GiB"


def test_plan_draws_a_shared_stage_once(invoke, models, tmp_path):
    path = tmp_path / "two.merge"
    path.write_text(
        'let core = linear { "org/a" weight=1, "org/b" weight=2 }\n'
        'save slerp { core, "org/base", t = 0.3 } to "x"\n'
        'save slerp { "org/base", core, t = 0.3 } to "y"\n'
    )
    text = invoke("plan", path, "-m", models).stdout
    assert text.count("org/a  weight=1") == 1
    assert text.count("core  (above)") == 1
    assert "core computed once, used 2 times" in text


@pytest.mark.parametrize(
    "phase", ["ast", "graph", "optimized", "schedule", "kernels", "llvm", "asm"]
)
def test_every_phase_prints(invoke, models, recipe, phase):
    result = invoke("plan", recipe, "-m", models, "--emit", phase)
    assert result.exit_code == 0
    assert result.stdout.count("\n") > 5


def test_the_syntax_tree_needs_no_models(invoke, recipe):
    text = invoke("plan", recipe, "--emit", "ast").stdout
    assert text.splitlines()[0] == "Let name='base' keep=False  @1:1"


def test_run(invoke, models, recipe, tmp_path):
    result = invoke("run", recipe, "-m", models)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert "1 output of 21 tensors" in result.stderr
    assert "peak memory" in result.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"model.safetensors", "config.json", "mergec.json"}


def test_run_json_and_quiet(invoke, models, recipe, tmp_path):
    result = invoke("run", recipe, "-m", models, "--json", "-q", "--out", tmp_path / "elsewhere")
    report = json.loads(result.stdout)
    assert report["outputs"] == [str(tmp_path / "elsewhere")]
    assert report["tensors"] == 21
    assert report["format_version"] == 1
    (stage,) = report["stages"]
    assert stage["stages"] == ["core", result_name(tmp_path / "elsewhere")]
    assert stage["planned_bytes"] == report["planned_bytes"] > 0
    assert stage["bytes_read"] == report["bytes_read"] > 0
    assert stage["seconds"] > 0 and stage["planned_seconds"] > 0
    assert result.stderr == ""


def result_name(path: Path) -> str:
    return shown_path(str(path))


def test_a_parameter_changes_the_result(invoke, models, recipe, tmp_path):
    for name, value in (("x", "t=0.25"), ("y", "t=0.75")):
        invoke("run", recipe, "-m", models, "-q", "-o", tmp_path / name, "--set", value)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "xy"]
    assert files[0] != files[1]
    assert invoke("run", recipe, "-m", models, "--set", "tt=1").exit_code == 1


def test_a_dry_run_is_a_plan(invoke, models, recipe, tmp_path):
    result = invoke("run", recipe, "-m", models, "--dry-run")
    assert _timeless(result.stdout) == _timeless(invoke("plan", recipe, "-m", models).stdout)
    assert not (tmp_path / "out").exists()


def _timeless(text: str) -> list[str]:
    """Without the lines that depend on how busy the machine is."""
    unsteady = ("Time", "Memory", "Disk")
    return [line for line in text.splitlines() if not line.startswith(unsteady)]


def test_fmt(invoke, recipe):
    assert invoke("fmt", recipe).exit_code == 0
    neat = recipe.read_text()
    assert invoke("fmt", "--check", recipe).exit_code == 0
    recipe.write_text(neat.replace("let core = ties", "let  core=ties").replace("\n", "\r\n"))
    result = invoke("fmt", "--check", recipe)
    assert result.exit_code == 1
    assert "isn't formatted" in result.stderr
    result = invoke("fmt", "--diff", recipe)
    assert result.exit_code == 1
    assert "+let core = ties {" in result.stdout
    assert "\r\n" in recipe.read_bytes().decode()
    assert invoke("fmt", recipe).exit_code == 0
    assert recipe.read_bytes().decode() == neat


def test_fmt_of_stdin_and_of_what_it_cannot_read(invoke, recipe, tmp_path):
    assert invoke("fmt", "-", stdin='save "./a"   to "b"').stdout == 'save "./a" to "b"\n'
    recipe.write_text("let a = {\n")
    result = invoke("fmt", recipe)
    assert result.exit_code == 1
    assert "error[E0105]" in result.stderr
    assert recipe.read_text() == "let a = {\n"
    assert invoke("fmt", tmp_path / "x.yaml").exit_code == 64


def test_convert_writes_local_paths_as_such(invoke, tmp_path):
    (tmp_path / "org" / "here").mkdir(parents=True)
    path = tmp_path / "x.yaml"
    path.write_text(
        "merge_method: task_arithmetic\n"
        "base_model: org/here\n"
        "models:\n"
        "  - {model: org/here, parameters: {weight: 0.5}}\n"
        "  - {model: org/hub, parameters: {weight: 0.5}}\n"
        "dtype: bfloat16\n"
    )
    text = invoke("convert", path).stdout
    assert 'base = "./org/here"' in text
    assert '"org/hub"' in text
    converted = tmp_path / "x.merge"
    converted.write_text(text)
    assert invoke("fmt", "--check", converted).exit_code == 0


def test_methods(invoke):
    lines = invoke("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(method_names())
    page = invoke("methods", "dare_ties").stdout
    for words in ("Base        required", "density", "none | density | l1", "must be given"):
        assert words in page
    result = invoke("methods", "slurp")
    assert result.exit_code == 1
    assert "did you mean `slerp`?" in result.stderr
    facts = json.loads(invoke("methods", "slerp", "--json").stdout)["methods"][0]
    assert [p["name"] for p in facts["parameters"]] == ["t"]


def test_inspect(invoke, models):
    text = invoke("inspect", "org/a", "-m", models).stdout
    assert "2 at model.layers.*" in text
    assert "bfloat16" in text
    assert 'model_type "mistral"' in text
    facts = json.loads(invoke("inspect", models / "org" / "a", "--json", "--tensors").stdout)
    assert facts["tensor_count"] == len(facts["tensors"]) == 21
    assert facts["stacks"] == [{"prefix": "model.layers.", "layers": 2}]
    result = invoke("inspect", "org/c", "-m", models)
    assert result.exit_code == 1
    assert "error[E0601]" in result.stderr
