"""micro/configs -> micro/models and micro/expected: what mergekit 0.1.5 makes of each of them.

Run it by hand, with the Python of an environment that has mergekit==0.1.5 and torch:

    python tests/conformance/make_expected.py [NAME ...]

Without names everything is made anew. A configuration that mergekit refuses has no expected file;
its name and the error are printed. mergekit runs as a user runs it, through its two commands.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from click.testing import CliRunner
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.checkpoints import mistral_config, tiny_mistral, write_checkpoint

MICRO = Path(__file__).parents[1] / "data" / "conformance" / "micro"
HIDDEN, VOCAB, INTERMEDIATE, LAYERS = 12, 12, 16, 6
SEEDS = {"base": 0, "a": 1, "b": 2, "c": 3}


def make_models(folder: Path) -> None:
    """float32 models, bfloat16 ones, and `odd`: a model with zero and opposite tensors."""
    for name, seed in SEEDS.items():
        _tiny(folder / name, seed, "float32")
    for name, seed in {"bf16-base": 0, "bf16": 1, "bf16-b": 2}.items():
        _tiny(folder / name, seed, "bfloat16")
    tensors = load_file(folder / "a" / "model.safetensors")
    for name, value in tensors.items():
        if "q_proj" in name:
            tensors[name] = torch.zeros_like(value)
        elif "k_proj" in name:
            tensors[name] = -value
        elif "v_proj" in name:
            tensors[name] = 3 * value
    config = mistral_config(LAYERS, HIDDEN, INTERMEDIATE, VOCAB, HIDDEN // 2, 4, "float32")
    write_checkpoint(folder / "odd", tensors, config)


def _tiny(folder: Path, seed: int, dtype: str) -> None:
    tiny_mistral(folder, seed, LAYERS, HIDDEN, VOCAB, dtype, intermediate=INTERMEDIATE, spread=0.3)


def make_expected(config: Path, expected: Path) -> str | None:
    """Run mergekit on a configuration and keep its weights; return its complaint if it has one."""
    from mergekit.scripts.multimerge import main as multi
    from mergekit.scripts.run_yaml import main as single

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out")
        stages = "\n---\n" in config.read_text(encoding="utf-8")
        arguments = [str(out)]
        if stages:
            arguments = ["--out-path", str(out), "--intermediate-dir", str(Path(scratch, "stages"))]
        result = CliRunner().invoke(
            multi if stages else single,
            [str(config), *arguments, "--no-copy-tokenizer", "--no-write-model-card"],
        )
        if result.exception is not None:
            return f"{type(result.exception).__name__}: {result.exception}"
        shutil.copyfile(next(out.glob("*.safetensors")), expected)
    return None


def main(names: list[str]) -> None:
    if not names:
        shutil.rmtree(MICRO / "models", ignore_errors=True)
        shutil.rmtree(MICRO / "expected", ignore_errors=True)
        make_models(MICRO / "models")
    (MICRO / "expected").mkdir(exist_ok=True)
    os.chdir(MICRO)  # configurations name their models relative to it
    for config in sorted((MICRO / "configs").glob("*.yaml")):
        if not names or config.stem in names:
            error = make_expected(config, MICRO / "expected" / f"{config.stem}.safetensors")
            sys.stdout.write(f"{config.stem}: {error or 'made'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
