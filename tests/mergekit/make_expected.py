"""Models of mergekit's tests, made small, and what mergekit 0.1.5 makes of its own recipes.

Run it by hand, with the Python of an environment that has mergekit==0.1.5 and transformers:

    python tests/mergekit/make_expected.py

tests/data/mergekit then has `models` and `expected`; the latter only the weights and the configs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.mergekit_recipes import MERGES, REFUSED, as_yaml

DATA = Path(__file__).parents[1] / "data" / "mergekit"
LLAMA = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}
VISION = {
    "image_size": 8,
    "patch_size": 4,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 8,
    "intermediate_size": 12,
}


def models() -> dict[str, Any]:
    """A maker for each model, random but for its seed."""
    found: dict[str, Any] = {
        "gpt2": lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_embd=8, n_head=2, n_layer=3, n_positions=8, vocab_size=16)
        )
    }
    for letter in "abc":
        found[f"llama-{letter}"] = lambda: transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**LLAMA)
        )
        found[f"vlm-{letter}"] = lambda: transformers.LlavaForConditionalGeneration(
            transformers.LlavaConfig(
                vision_config=transformers.CLIPVisionConfig(**VISION),
                text_config=transformers.LlamaConfig(**LLAMA),
                image_seq_length=4,
            )
        )
        if letter != "c":
            found[f"granite-{letter}"] = lambda: transformers.GraniteForCausalLM(
                transformers.GraniteConfig(**LLAMA)
            )
    return found


def make_models() -> None:
    for seed, (name, make) in enumerate(sorted(models().items())):
        torch.manual_seed(seed)
        model = make()
        with torch.no_grad():
            for parameter in model.parameters():  # norms and biases would all be alike
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.save_pretrained(DATA / "models" / name, safe_serialization=True)
        (DATA / "models" / name / "generation_config.json").unlink(missing_ok=True)


def run(name: str, config: dict[str, Any]) -> str | None:
    """Run mergekit; keep weights and config.json, or return its complaint."""
    from mergekit.scripts.run_yaml import main

    with tempfile.TemporaryDirectory() as scratch:
        recipe, out = Path(scratch, "r.yaml"), Path(scratch, "out")
        recipe.write_text(as_yaml(config))
        arguments = [str(recipe), str(out), "--no-copy-tokenizer", "--no-write-model-card"]
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None:
            return f"{type(result.exception).__name__}: {result.exception}"
        expected = DATA / "expected"
        expected.mkdir(exist_ok=True)
        shutil.copyfile(next(out.glob("*.safetensors")), expected / f"{name}.safetensors")
        kept = json.loads((out / "config.json").read_text())
        (expected / f"{name}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return None


def main() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    make_models()
    os.chdir(DATA / "models")
    for name, config in (MERGES | REFUSED).items():
        sys.stdout.write(f"{name}: {run(name, config) or 'made'}\n")


if __name__ == "__main__":
    main()
