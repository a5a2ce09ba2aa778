"""configs -> models and expected: what mergekit-moe 0.1.5 makes of each configuration.

Run it by hand, with the Python of an environment that has mergekit==0.1.5 and torch:

    python tests/mixtures/make_expected.py

mergekit writes Mixtral's experts as transformers 5 holds them in memory, all of a layer in one
tensor; the test takes those apart. Its random gates are drawn anew each time and not kept.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.checkpoints import tiny_mistral
from support.tokenizers import write_tokenizer

DATA = Path(__file__).parents[1] / "data" / "mixtures"
LAYERS, HIDDEN, WIDTH = 2, 8, 12
TOKENS = ["<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz ,.?"]
SEEDS = {"base": 0, "a": 1, "b": 2, "c": 3}


def make_models(folder: Path) -> None:
    """Dense models of one base, of a type of their own for each kind of mixture."""
    for name, seed in SEEDS.items():
        place = folder / name
        size = len(TOKENS)
        tiny_mistral(place, seed, LAYERS, HIDDEN, size, "float32", intermediate=WIDTH, spread=0.5)
        write_tokenizer(place, TOKENS, [])


def make_expected(config: Path, expected: Path) -> None:
    """Run mergekit-moe on a configuration; keep its tensors, without gates that are random."""
    from mergekit.scripts.moe import main as moe

    random = "random" in str(yaml.safe_load(config.read_text())["gate_mode"])
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out")
        result = CliRunner().invoke(moe, [str(config), str(out)])
        if result.exception is not None:
            raise result.exception
        tensors: dict[str, torch.Tensor] = {}
        for file in out.glob("*.safetensors"):
            tensors |= load_file(file)
        kept = {
            name: value.contiguous()
            for name, value in tensors.items()
            if not (random and name.endswith("gate.weight"))
        }
        save_file(kept, expected.with_suffix(".safetensors"))
        facts = json.loads((out / "config.json").read_text())
        expected.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    for folder in ("models", "expected"):
        shutil.rmtree(DATA / folder, ignore_errors=True)
    make_models(DATA / "models")
    (DATA / "expected").mkdir()
    os.chdir(DATA)  # configurations name their models relative to it
    for config in sorted((DATA / "configs").glob("*.yaml")):
        make_expected(config, DATA / "expected" / config.stem)


if __name__ == "__main__":
    main()
