"""Every recipe and command of the pages is run; the pages say what the program does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mergec
import pytest
import torch
from click.testing import CliRunner
from mergec.cli import cli
from mergec.grammar import SourceText, YamlOptions, format_recipe, parse_text
from mergec.ops import method as methods
from safetensors.torch import load_file, save_file
from support.checkpoints import tiny_mistral
from support.pages import DOCS, PageBlock, blocks, readers_grammar

RECIPES = [block for block in blocks("language.md") if block.language == "merge"]
FILES = {
    block.note.removeprefix("file: "): block.text
    for block in blocks("language.md")
    if block.note.startswith("file: ")
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "one", "two", "three")):
        tiny_mistral(folder / "org" / name, seed, layers=32, hidden=8, vocab=8)
    _renamed(folder / "org" / "three", folder / "org" / "other")
    _adapter(folder / "org" / "adapter")
    return folder


def _renamed(model: Path, other: Path) -> None:
    """The same model with `decoder.` for `model.`."""
    other.mkdir()
    tensors = load_file(model / "model.safetensors")
    renamed = {name.replace("model.", "decoder.", 1): x for name, x in tensors.items()}
    save_file(renamed, other / "model.safetensors", {"format": "pt"})
    (other / "config.json").write_bytes((model / "config.json").read_bytes())


def _adapter(folder: Path) -> None:
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = {
        f"{module}.lora_A.weight": torch.full((2, 8), 0.1),
        f"{module}.lora_B.weight": torch.full((8, 2), 0.1),
    }
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("block", RECIPES, ids=[f"line {block.line}" for block in RECIPES])
def test_the_recipes_of_the_reference_run(
    block: PageBlock, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert format_recipe(parse_text(SourceText("r.merge", block.text))) == block.text
    if block.note.startswith("file: "):
        return
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(methods, "_added", {})
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "recipe.merge").write_text(block.text, encoding="utf-8")
    trust = block.note == "trust"
    plan = mergec.compile(tmp_path / "recipe.merge", models=[models], trust=trust)
    assert [str(w) for w in plan.warnings] == []
    assert all(path.is_dir() for path in mergec.run(plan).outputs)


def test_the_grammar_of_the_reference_is_the_parser_s() -> None:
    (shown,) = (block.text for block in blocks("language.md") if block.language == "ebnf")
    assert shown == readers_grammar()


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for file, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
        target = DOCS / (file or page)
        assert target.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            anchors = {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }
            assert anchor in anchors, anchor


PAIRS = [block for block in blocks("from-mergekit.md") if block.language in ("yaml", "merge")]


@pytest.mark.parametrize("number", range(len(PAIRS) // 2))
def test_each_yaml_converts_to_the_recipe_beside_it(number: int, tmp_path: Path) -> None:
    yaml, merge = PAIRS[2 * number : 2 * number + 2]
    assert (yaml.language, merge.language) == ("yaml", "merge")
    (tmp_path / "r.yaml").write_text(yaml.text, encoding="utf-8")
    result = CliRunner().invoke(cli, ["convert", str(tmp_path / "r.yaml")])
    assert result.exit_code == 0, result.output
    assert result.stdout == merge.text


def test_every_key_of_yaml_is_on_its_page() -> None:
    from mergec.grammar.yaml_parameters import MERGEKIT_KEYS

    page = (DOCS / "from-mergekit.md").read_text("utf-8")
    assert [key for key in MERGEKIT_KEYS if f"`{key}" not in page] == []
    assert YamlOptions.__slots__ == ("lax", "round_like_mergekit")


@pytest.mark.parametrize("page", ["tutorial.md", "plan.md"])
def test_every_command_of_a_page_runs(page: str, tmp_path: Path) -> None:
    commands = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    tools = tmp_path / "tools"
    tools.mkdir()
    command = tools / "mergec"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m mergec "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ
        | {"PATH": f"{tools}:{os.environ['PATH']}", "MERGEC_HOME": str(tmp_path / "home")},
        check=False,
    )
    assert result.returncode == 0, result.stderr
