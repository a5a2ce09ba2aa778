"""Merge methods of users: a file named by `use`, trusted once; in recipes, the list and YAML."""

from __future__ import annotations

from pathlib import Path

import mergec
import pytest
import torch
from click.testing import CliRunner
from mergec.cli import cli
from mergec.errors import RecipeError
from mergec.ops import method as methods
from safetensors.torch import load_file, save_file

METHOD = '''
from collections.abc import Sequence

from mergec.authoring import Bounds, Scalar, Tensor, Weight, combine, method
from typing import Annotated


@method()
def {name}(
    xs: Sequence[Tensor],
    base: Tensor,
    *,
    weight: Sequence[Weight],
    strength: Annotated[Scalar, Bounds(0, 1)] = 0.5,
) -> Tensor:
    """Pull the base towards a weighted sum of what the models have learned."""
    return base + combine([x - base for x in xs], weight) * strength
'''
RECIPE = """
use "./own.py"
save pull { base = "./base.safetensors", "./a.safetensors" weight=[1, 1], strength = 0.25 } to "./o"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("a", 5.0), ("base", 1.0)):
        save_file({"w": torch.full((4, 2), value)}, tmp_path / f"{name}.safetensors")
    (tmp_path / "own.py").write_text(METHOD.format(name="pull"))
    (tmp_path / "r.merge").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(methods, "_added", {})
    return tmp_path


def test_a_file_is_trusted_once_for_each_version(folder: Path) -> None:
    with pytest.raises(RecipeError, match="E0226"):
        mergec.compile("r.merge")
    assert mergec.compile("r.merge", trust=True).warnings == ()
    mergec.compile("r.merge")  # remembered
    (folder / "own.py").write_text(METHOD.format(name="pull") + "# another version\n")
    with pytest.raises(RecipeError, match="E0226"):
        mergec.compile("r.merge")


def test_it_streams_as_a_built_in_one_does(folder: Path) -> None:
    plan = mergec.compile("r.merge", trust=True)
    assert plan.peak_bytes < 2**20  # tiles, nothing held
    mergec.run(plan)
    assert load_file(folder / "o" / "model.safetensors")["w"].tolist() == [[2.0, 2.0]] * 4


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ("weight=1, strength = 3", "E0306", "must be from 0 to 1"),
        ("weight=1, strenth = 1", "E0304", "did you mean `strength`?"),
        ("", "E0302", "needs a value for `weight`"),
    ],
)
def test_its_parameters_are_checked(folder: Path, parameters: str, code: str, words: str) -> None:
    merged = f'pull {{ base = "./base.safetensors", "./a.safetensors" {parameters} }}'
    with pytest.raises(RecipeError) as caught:
        mergec.compile(f'use "./own.py"\nsave {merged} to "./o"', trust=True)
    assert [problem.code for problem in caught.value.diagnostics] == [code]
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("def f(:", "E0225", "SyntaxError"),
        ("raise ValueError('no')", "E0225", "ValueError: no"),
        ("x = 1", "E0225", "has no merge method"),
        (METHOD.format(name="ties"), "E0224", "built-in"),
    ],
)
def test_files_refused(folder: Path, text: str, code: str, words: str) -> None:
    (folder / "own.py").write_text(text)
    with pytest.raises(RecipeError) as caught:
        mergec.compile('use "./own.py"\nsave "./a.safetensors" to "./o"', trust=True)
    assert [problem.code for problem in caught.value.diagnostics] == [code]
    assert words in str(caught.value)


def test_it_is_listed_and_documented_beside_the_built_in_ones(folder: Path) -> None:
    listed = CliRunner().invoke(cli, ["methods", "--use", "own.py", "--trust"]).output
    assert "\npull" in listed and "\npassthrough" in listed
    page = CliRunner().invoke(cli, ["methods", "--use", "own.py", "pull"]).output
    assert "strength  number  0 to 1  0.5" in page


def test_yaml_has_the_methods_of_a_file_that_is_named_beside_it(folder: Path) -> None:
    (folder / "r.yaml").write_text(
        "merge_method: pull\nbase_model: ./base.safetensors\n"
        "models: [{model: ./a.safetensors, parameters: {weight: 1}}]\nparameters: {strength: 1}\n"
    )
    arguments = ["run", "r.yaml", "--out", "o", "--use", "own.py", "--trust", "--quiet"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert load_file(folder / "o" / "model.safetensors")["w"].tolist() == [[5.0, 5.0]] * 4


def test_an_installed_package_offers_methods_to_yaml_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Point:
        name = "pull"

        def load(self) -> object:
            from mergec.compiler.binding.method_files import load_methods

            return load_methods(folder / "own.py", "entry")[0]

    monkeypatch.setattr(methods, "_installed", lambda: {"pull": Point()})
    methods._load_installed.cache_clear()
    (folder / "r.yaml").write_text(
        "merge_method: pull\nbase_model: ./base.safetensors\n"
        "models: [{model: ./a.safetensors, parameters: {weight: 1}}]\nparameters: {strength: 1}\n"
    )
    mergec.run(mergec.compile("r.yaml", out="o"))
    assert load_file(folder / "o" / "model.safetensors")["w"].tolist() == [[5.0, 5.0]] * 4
    methods._load_installed.cache_clear()
