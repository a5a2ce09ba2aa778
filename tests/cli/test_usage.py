"""Exit codes, streams, colours and start-up of the command line."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mergec.cli.group import COMMANDS

from .conftest import PROGRAM


def test_help_lists_every_command_without_loading_any(program):
    started = time.perf_counter()
    result = program("--help")
    assert time.perf_counter() - started < 3  # a tenth of a second where nothing else runs
    assert result.returncode == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cli {command}")


def test_start_up_imports(models, recipe):
    """Neither the help nor `check` wait for what only runs need."""
    code = """
import sys
from mergec.cli.group import cli
try:
    cli.main(sys.argv[1:])
finally:
    heavy = "torch llvmlite numpy rich networkx huggingface_hub".split()
    print("loaded:", *(name for name in heavy if name in sys.modules), file=sys.stderr)
"""
    for arguments in (["--help"], ["check", str(recipe), "--models", str(models)]):
        command = [sys.executable, "-c", code, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        loaded = result.stderr.strip().rpartition("loaded:")[2].split()
        assert not {"torch", "llvmlite", "rich", "huggingface_hub"} & set(loaded)


def test_wrong_usage_is_64(invoke):
    for arguments in (["pln"], ["run"], ["run", "x", "--memroy"], ["plan", "x", "--emit", "wasm"]):
        result = invoke(*arguments)
        assert result.exit_code == 64
        assert result.stdout == ""
    assert "did you mean `plan`?" in invoke("pln").stderr
    assert "--memory" in invoke("run", "x", "--memroy").stderr


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "8 parsecs", "nan", "1e999999"])
def test_a_memory_limit_that_is_none(invoke, recipe, limit):
    result = invoke("run", recipe, f"--memory={limit}")
    assert result.exit_code == 64
    assert "error[E0520]" in result.stderr
    assert "--memory" in result.stderr


def test_a_value_that_is_no_assignment(invoke, recipe):
    assert invoke("check", recipe, "--set", "strength").exit_code == 64
    assert invoke("check", recipe, "--threads", "0").exit_code == 64


def test_a_missing_recipe_is_an_error_of_its_own(invoke, tmp_path):
    result = invoke("run", tmp_path / "none.merge")
    assert result.exit_code == 1
    assert result.stderr.startswith("error[E0607]: can't read the recipe")
    assert invoke("check", tmp_path).exit_code == 1


def test_an_unexpected_exception(invoke, recipe, monkeypatch):
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr("mergec.cli.shared_options.phases", broken)
    result = invoke("plan", recipe)
    assert result.exit_code == 1
    assert "error[E0900]" in result.stderr
    assert "oh no" in result.stderr
    assert "MERGEC_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("MERGEC_DEBUG", "1")
    assert "Traceback" in invoke("plan", recipe).stderr


def test_at_most_twenty_problems_are_shown(invoke, tmp_path):
    path = tmp_path / "many.merge"
    path.write_text("\n".join(f"let a{i} = nothing{i}" for i in range(30)) + '\nsave a0 to "x"\n')
    result = invoke("check", path)
    assert result.exit_code == 1
    errors = result.stderr.count("error[")
    assert errors == 20
    assert " more" in result.stderr
    found = json.loads(invoke("check", path, "--format", "json").stdout)["files"][0]
    assert len(found["diagnostics"]) == 30


def test_a_reader_that_goes_away(models, recipe):
    command = [*PROGRAM, "plan", str(recipe), "-m", str(models), "--emit", "kernels"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) in (0, 1)  # 0 where all of it fitted into the pipe
        assert process.stderr.read() == ""


@pytest.mark.parametrize("command", ["methods", "--help", "fmt -", "plan", "run -q"])
@pytest.mark.parametrize("problem", [">/dev/full", ">&-"])
def test_a_stdout_that_takes_nothing(models, recipe, command, problem):
    words = command.split() + (
        [str(recipe), "-m", str(models)] if command in ("plan", "run -q") else []
    )
    result = subprocess.run(
        f"{shlex.join([*PROGRAM, *words])} {problem}",
        shell=True,
        input="let a = 1\n",
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    reason = "it is closed" if problem == ">&-" else "No space left on device"
    assert result.stderr == f"error[E0603]: can't write to stdout: {reason}\n"


def test_closed_stdin_and_stderr_are_no_errors():
    for command in ("methods 2>&-", "fmt - <&-"):
        result = subprocess.run(
            f"{shlex.join(PROGRAM)} {command}", shell=True, capture_output=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == b""


def test_no_colours_where_nobody_sees_them(program, tmp_path: Path):
    path = tmp_path / "bad.merge"
    path.write_text("let\n")
    result = program("check", path)
    assert result.returncode == 1
    assert "\033[" not in result.stderr


def test_fmt_ends_a_file_with_a_newline(invoke, tmp_path):
    file = tmp_path / "r.merge"
    file.write_text('save "./a" to "./o"')
    assert invoke("fmt", "--check", file).exit_code == 1
    assert invoke("fmt", file).exit_code == 0
    assert file.read_text() == 'save "./a" to "./o"\n'
    assert invoke("fmt", "--check", file).exit_code == 0
