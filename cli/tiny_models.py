"""References of a recipe -> the files of tiny Mistral-like checkpoints for them."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from ..checkpoints.shard_layout import plan_layout
from ..ops.dtypes import bfloat16

LAYERS, HIDDEN, INTERMEDIATE, KEYS, HEADS, VOCABULARY = 4, 64, 128, 32, 4, 256
_SPREAD = 0.1  # how far a fine-tune is from the base, in deviations of its tensors

_CONFIG = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS * KEYS // HIDDEN,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def tiny_model(reference: str) -> dict[str, bytes]:
    """The files of a model in the Hub's layout, in bfloat16: their names and contents.

    All are fine-tunes of one base; what is particular to each depends on its name alone.
    """
    shapes = _shapes()
    layout = plan_layout([(name, bfloat16, shape) for name, shape in shapes.items()])
    (shard,) = layout.shards
    base = np.random.default_rng(0)
    own = np.random.default_rng(zlib.crc32(reference.encode()))
    parts = [shard.header]
    for name, shape in shapes.items():
        values = _values(base, name, shape) + _SPREAD * _noise(own, shape)
        parts.append(_bfloat16_bits(values).tobytes())
    config = json.dumps(_CONFIG, indent=2) + "\n"
    return {shard.name: b"".join(parts), "config.json": config.encode()}


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            prefix + "self_attn.k_proj.weight": (KEYS, HIDDEN),
            prefix + "self_attn.v_proj.weight": (KEYS, HIDDEN),
            prefix + "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            prefix + "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
            prefix + "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
            prefix + "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
            prefix + "input_layernorm.weight": (HIDDEN,),
            prefix + "post_attention_layernorm.weight": (HIDDEN,),
        }
    return shapes | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def _values(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> Any:
    return (1.0 if "norm" in name else 0.0) + _noise(random, shape)


def _noise(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    scale = 0.1 if len(shape) == 1 else 0.6 / shape[-1] ** 0.5
    return (scale * random.standard_normal(shape)).astype(np.float32)


def _bfloat16_bits(values: Any) -> Any:
    """The upper half of each float32, rounded to nearest, ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
