"""`plan -o x.mplan` and `run x.mplan`: exactly the plan that was looked at, or a reason why not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import mergec
import pytest
from mergec.api import read_plan, write_plan
from mergec.compiler.planning import plan_file
from mergec.compiler.planning.plan_file import plan_digest
from mergec.errors import RunError

TIES = """\
import "./values.merge" as values
param t = 0.25
let core = ties { base = "org/base"
  "org/a" weight=0.5 density=0.6
  "org/b" weight=0.3 density=0.5
}
save slerp { core, values.other, t = t } to "./out" { dtype = bfloat16 }
"""


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with recipe.merge, values.merge and a mirror of its own."""
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "recipe.merge").write_text(TIES)
    (tmp_path / "values.merge").write_text('let other = linear { "org/a" weight=1 }\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def saved(place: Path, invoke) -> Path:
    result = invoke(
        "plan",
        "recipe.merge",
        "-m",
        "models",
        "--set",
        "t=0.75",
        "--memory",
        "4MiB",
        "--threads",
        "1",
        "--out",
        "merged",
        "-o",
        "x.mplan",
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("Next        mergec run x.mplan\n")
    return place / "x.mplan"


def test_a_plan_file_runs_what_was_planned(saved, place, invoke):
    direct = ("-m", "models", "--set", "t=0.75", "--memory", "4MiB", "--threads", "1")
    assert invoke("run", "recipe.merge", *direct, "--out", "again", "-q").exit_code == 0
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    result = invoke("run", saved, "-q")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{place / 'merged'}\n"
    files = [(place / name / "model.safetensors").read_bytes() for name in ("merged", "again")]
    assert files[0] == files[1]


def test_what_a_plan_file_says(saved):
    document = json.loads(saved.read_text())
    assert document["format"] == "mergec-plan" and document["format_version"] == 1
    assert document["recipe"]["text"] == TIES
    assert [Path(i["path"]).name for i in document["recipe"]["imports"]] == ["values.merge"]
    options = document["options"]
    assert options["set"] == {"t": "0.75"}
    assert (options["memory"], options["threads"]) == (2**22, 1)
    assert [Path(path).is_absolute() for path in (options["folder"], options["out"])] == [True] * 2
    assert [source["reference"] for source in document["sources"]] == ["org/base", "org/a", "org/b"]
    assert all(file["identity"] for source in document["sources"] for file in source["files"])
    plan = read_plan(saved)
    assert document["predicted"]["peak_bytes"] == plan.peak_bytes
    assert document["plan_sha256"] == plan_digest(plan)


def test_plan_shows_a_plan_file_again(saved, invoke):
    text = invoke("plan", saved).stdout
    assert text.startswith("recipe.merge · mergec ")
    assert text.endswith(f"Next        mergec run {saved}\n")
    assert json.loads(invoke("plan", saved, "--json").stdout)["limit_bytes"] == 2**22


def test_a_limit_of_the_machine_is_fixed_in_the_file(place, monkeypatch):
    plan = mergec.compile("recipe.merge", models=["models"])
    write_plan(plan, "y.mplan")
    monkeypatch.setattr("mergec.compiler.planning.plan.available_bytes", lambda: 2**40)
    assert read_plan("y.mplan").limit == plan.limit
    with pytest.raises(TypeError, match="recompile"):
        mergec.run("y.mplan", threads=1)
    assert mergec.run("y.mplan").outputs == (place / "out",)


def refused(invoke, code: str, *words: str) -> None:
    for command in ("run", "plan"):
        result = invoke(command, "x.mplan")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert f"error[{code}]" in result.stderr, result.stderr
        for word in words:
            assert word in result.stderr, result.stderr
    assert not Path("merged").exists()


def test_a_changed_recipe_is_refused(saved, invoke):
    Path("recipe.merge").write_text(TIES + "# a word more\n")
    refused(invoke, "E0622", "recipe.merge has changed since x.mplan was made", "mergec plan ")
    Path("recipe.merge").unlink()
    refused(invoke, "E0622", "recipe.merge can't be read any more")


def test_a_changed_import_is_refused(saved, invoke):
    Path("values.merge").write_text('let other = linear { "org/b" weight=1 }\n')
    refused(invoke, "E0622", "values.merge has changed")


def test_a_changed_source_is_refused(saved, invoke):
    file = Path("models/org/a/model.safetensors")
    was = file.stat()
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    refused(invoke, "E0623", "`org/a` has changed since x.mplan was made", "was written again")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))  # its old time doesn't hide it
    refused(invoke, "E0623", "`org/a` has changed since x.mplan was made", "was written again")
    header = file.read_bytes()
    file.write_bytes(header + b"\0")
    refused(invoke, "E0623", "`org/a`", "bytes, had")
    file.unlink()
    refused(invoke, "E0623", "is gone")


def test_a_new_file_of_a_source_is_refused(saved, invoke):
    """The reference is found in another place than when it was planned."""
    Path("models/org/b@main").mkdir()
    shutil.move("models/org/b", "models/org/b.old")
    shutil.copytree("models/org/a", "models/org/b")
    refused(invoke, "E0623", "`org/b` has changed")


def test_a_header_that_changed_alone_is_refused(saved, invoke):
    """Size and time are as they were, the names of two tensors are swapped."""
    file = Path("models/org/b/model.safetensors")
    was, data = file.stat(), file.read_bytes()
    names = (b"model.layers.0.mlp.up_proj", b"model.layers.1.mlp.up_proj")
    swapped = data.replace(names[0], b"?" * 26).replace(names[1], names[0])
    file.write_bytes(swapped.replace(b"?" * 26, names[1]))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    refused(invoke, "E0623", "was written again")


def test_a_plan_that_compiles_to_something_else_is_refused(saved, invoke, monkeypatch):
    monkeypatch.setattr(plan_file, "plan_digest", lambda plan: "another")
    refused(invoke, "E0624", "doesn't compile to the plan of x.mplan any more")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_plan_file_cut_short_is_refused(saved, invoke, share):
    text = saved.read_text()
    saved.write_text(text[: int(len(text) * share)])
    refused(invoke, "E0620", "x.mplan", "cut off, or damaged" if share else "isn't a plan file")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b"let a = 1\n", b"null"])
def test_what_is_no_plan_file_is_refused(place, invoke, content):
    Path("x.mplan").write_bytes(content)
    refused(invoke, "E0620", "isn't a plan file")


def test_a_missing_plan_file_is_refused(place, invoke):
    refused(invoke, "E0620", "can't read the plan x.mplan: No such file")


@pytest.mark.parametrize(("key", "value"), [("format_version", 2), ("mergec", "9.9.9")])
def test_another_version_is_refused(saved, invoke, key, value):
    document = json.loads(saved.read_text())
    saved.write_text(json.dumps(document | {key: value}))
    refused(invoke, "E0621", str(value), mergec.__version__)


def test_an_edited_plan_file_is_refused(saved, invoke):
    saved.write_text(saved.read_text().replace('"t": "0.75"', '"t": "0.25"'))
    refused(invoke, "E0620", "was changed after it was written")


def test_flags_beside_a_plan_file_are_refused(saved, invoke):
    result = invoke("run", saved, "--threads", "2")
    assert result.exit_code == 64
    assert "--threads 2" in result.stderr


def test_a_plan_that_can_not_be_written(place, invoke):
    plan = mergec.compile("recipe.merge", models=["models"])
    with pytest.raises(RunError, match="E0603"):
        write_plan(plan, "no/such/folder/x.mplan")
    assert not Path("no").exists()
