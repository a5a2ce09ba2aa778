"""configs -> models and expected: what mergekit 0.1.5 makes of tokenizers that differ.

Run it by hand, with the Python of an environment that has mergekit==0.1.5 and torch:

    python tests/vocabularies/make_expected.py

Of each result the rows of embedding and head are kept by token, since mergekit's union has its new
tokens in another order each time: `expected/NAME.json` says which token has which row of
`expected/NAME.safetensors`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.tokenizers import make_models

DATA = Path(__file__).parents[1] / "data" / "vocabularies"
KEPT = ("model.embed_tokens.weight", "lm_head.weight")


def make_expected(config: Path, expected: Path) -> None:
    """Run mergekit on a configuration; keep embedding, head, and the ids of tokens."""
    from mergekit.scripts.run_yaml import main as single
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out")
        result = CliRunner().invoke(single, [str(config), str(out), "--no-write-model-card"])
        if result.exception is not None:
            raise result.exception
        tensors: dict[str, torch.Tensor] = {}
        for file in out.glob("*.safetensors"):
            tensors |= load_file(file)
        save_file({name: tensors[name] for name in KEPT}, expected.with_suffix(".safetensors"))
        tokenizer = AutoTokenizer.from_pretrained(out)
        facts = {
            "vocab_size": json.loads((out / "config.json").read_text())["vocab_size"],
            "added": sorted(token.content for token in tokenizer.added_tokens_decoder.values()),
            "tokens": dict(sorted(tokenizer.get_vocab().items())),
        }
        text = json.dumps(facts, ensure_ascii=False) + "\n"
        expected.with_suffix(".json").write_text(text, encoding="utf-8")


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
