"""`quick`, `init` and completion."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import PROGRAM


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_quick_prints_the_recipe_and_runs_it(invoke, models, tmp_path):
    result = invoke("quick", "slerp", "org/a", "org/b", "-p", "t=[0, 1]", "-o", "out", "-m", models)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "out")
    text = 'let merged = slerp {\n  t = [0, 1]\n  "org/a"\n  "org/b"\n}\nsave merged to "out" {\n'
    assert text + "  dtype = bfloat16\n}\n" in result.stderr
    assert (tmp_path / "out" / "mergec.json").is_file()
    (tmp_path / "same.merge").write_text((tmp_path / "out" / "recipe.merge").read_text())
    again = invoke("run", "same.merge", "--out", "again", "-m", models, "-q")
    assert again.exit_code == 0, again.stderr
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "again")]
    assert weights[0] == weights[1]


def test_quick_gives_each_model_its_value(invoke):
    arguments = (
        "--base",
        "org/base",
        "-p",
        "weight=0.3;0.7",
        "-p",
        "density=0.5",
        "-o",
        "./o",
        "-n",
    )
    result = invoke("quick", "ties", "org/a", "org/b", *arguments)
    assert '"org/a" weight=0.3 density=0.5\n  "org/b" weight=0.7 density=0.5' in result.stdout
    assert 'base = "org/base"' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slerpp", "a/a", "b/b"), "did you mean `slerp`"),
        (("slerp", "a/a", "b/b", "-p", "tt=1"), "has no parameter `tt`"),
        (("linear", "a/a", "b/b", "-p", "weight=1;2;3"), "3 values for 2 models"),
    ],
)
def test_quick_refuses(invoke, arguments, words):
    result = invoke("quick", *arguments, "-o", "out")
    assert result.exit_code == 1 and words in result.stderr


def test_a_local_folder_is_a_path(invoke, models):
    os.symlink(models / "org", "org")
    result = invoke("quick", "linear", "org/a", "org/b", "-p", "weight=1", "-o", "out", "-n")
    assert '"./org/a"' in result.stdout


def test_init_writes_a_recipe_that_compiles(invoke, models):
    result = invoke("init", "mine.merge", stdin="ties\norg/a\norg/base\n")
    assert result.exit_code == 0, result.stderr
    assert invoke("check", "mine.merge", "-m", models).exit_code == 0
    assert "# lambda = 1" in Path("mine.merge").read_text()
    assert "E0503" in invoke("init", "mine.merge").stderr


@pytest.mark.parametrize("method", ["slerp", "linear", "dare_ties", "model_stock", "karcher"])
def test_init_knows_each_methods_parameters(invoke, models, method):
    names = [f"--model=org/{name}" for name in ("a", "b")]
    result = invoke("init", "x.merge", "--method", method, *names, "--base", "org/base")
    assert result.exit_code == 0, result.stderr
    text = Path("x.merge").read_text()
    if method in ("slerp", "linear", "karcher"):  # they have no base
        Path("x.merge").write_text(text.replace('  base = "org/base"\n', ""))
    checked = invoke("check", "x.merge", "-m", models)
    assert checked.exit_code == 0, text + checked.stdout + checked.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_mergec(invoke, shell):
    result = invoke("completion", shell)
    assert result.exit_code == 0 and "_MERGEC_COMPLETE" in result.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ru"], {"run"}),
        (["quick", "sler"], {"slerp"}),
        (["quick", "ties", "a", "-p", "d"], {"density="}),
        (["methods", "dare"], {"dare_linear", "dare_ties"}),
    ],
)
def test_words_are_completed(words, found):
    environment = os.environ | {
        "_MERGEC_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["mergec", *words]),
        "COMP_CWORD": str(len(words)),
    }
    program = [PROGRAM[0], "-c", "from mergec.cli.group import cli; cli(prog_name='mergec')"]
    told = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert found == {line.partition(",")[2] for line in told.stdout.splitlines()}, told.stderr
