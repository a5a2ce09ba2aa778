"""Seeds -> bf16 checkpoints of Mistral's shape, written tensor by tensor, for measurements.

A base with heavy-tailed weights, and fine-tunes that differ from it a little: by 2 % of each
tensor's own deviation, so that many changes are lost in bfloat16's rounding, as in real fine-tunes.
Only numpy is used, and a few million elements are in memory at a time.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

CHANGE = 0.02
CHUNK = 4_000_000  # elements
CONFIG = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class ModelSize(NamedTuple):
    """The widths of a model."""

    layers: int
    hidden: int
    intermediate: int
    vocab: int

    @property
    def kv(self) -> int:
        return self.hidden // 4

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name, in file order."""
        layer = {
            "self_attn.q_proj.weight": (self.hidden, self.hidden),
            "self_attn.k_proj.weight": (self.kv, self.hidden),
            "self_attn.v_proj.weight": (self.kv, self.hidden),
            "self_attn.o_proj.weight": (self.hidden, self.hidden),
            "mlp.gate_proj.weight": (self.intermediate, self.hidden),
            "mlp.up_proj.weight": (self.intermediate, self.hidden),
            "mlp.down_proj.weight": (self.hidden, self.intermediate),
            "input_layernorm.weight": (self.hidden,),
            "post_attention_layernorm.weight": (self.hidden,),
        }
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab, self.hidden)}
        for number in range(self.layers):
            found |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
        found["model.norm.weight"] = (self.hidden,)
        found["lm_head.weight"] = (self.vocab, self.hidden)
        return found

    def config(self) -> dict[str, object]:
        """The model's config.json."""
        return CONFIG | {
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.hidden // 64,
            "num_key_value_heads": self.kv // 64,
            "vocab_size": self.vocab,
        }


SIZES = {
    0.9: ModelSize(layers=14, hidden=2048, intermediate=7168, vocab=32000),
    0.2: ModelSize(layers=10, hidden=1024, intermediate=3584, vocab=32000),
    0.02: ModelSize(layers=4, hidden=256, intermediate=896, vocab=32000),
}
"""Shapes by their billions of parameters, roughly."""

TINY = ModelSize(layers=2, hidden=256, intermediate=512, vocab=512)
"""Enough to compile the kernels that the others use."""


def models(folder: Path, size: ModelSize, count: int) -> list[Path]:
    """The base and `count` fine-tunes; those that are there already are kept."""
    paths = [folder / ("base" if seed == 0 else f"tune-{seed}") for seed in range(count + 1)]
    for seed, path in enumerate(paths):
        if not (path / "config.json").exists():
            sys.stderr.write(f"generating {path}\n")
            write_checkpoint(path, size, seed)
    return paths


def write_checkpoint(folder: Path, size: ModelSize, seed: int) -> None:
    """A checkpoint in one file; seed 0 is the base. config.json comes last: it marks the end."""
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, shape in size.shapes().items():
        end = begin + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for number, (name, shape) in enumerate(size.shapes().items()):
            numel = math.prod(shape)
            for start in range(0, numel, CHUNK):
                count = min(CHUNK, numel - start)
                values = _weights(number, start, count, name, shape[-1], 0)
                if seed != 0:
                    values += CHANGE * _spread(name, shape[-1], _noise(number, start, count, seed))
                stream.write(to_bfloat16(values).tobytes())
    (folder / "config.json").write_text(json.dumps(size.config(), indent=2) + "\n")


def _weights(number: int, start: int, count: int, name: str, fan_in: int, seed: int) -> np.ndarray:
    values = _spread(name, fan_in, _noise(number, start, count, seed))
    return values + np.float32(1.0) if "norm" in name else values


def _spread(name: str, fan_in: int, noise: np.ndarray) -> np.ndarray:
    return noise * np.float32(0.1 if "norm" in name else 0.6 / math.sqrt(fan_in))


def _noise(number: int, start: int, count: int, seed: int) -> np.ndarray:
    """Heavy-tailed float32 values of a place in the model: a normal's width varies itself."""
    generator = np.random.Generator(np.random.SFC64([seed, number, start]))
    normal = generator.standard_normal(count, dtype=np.float32)
    width = generator.standard_normal(count, dtype=np.float32)
    return normal * np.exp(np.float32(0.4) * width)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 values rounded to the nearest bfloat16, ties to even, as uint16 bits."""
    bits = values.astype(np.float32, copy=False).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16).astype(np.uint16)
