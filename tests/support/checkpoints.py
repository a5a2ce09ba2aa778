"""Generated checkpoints for tests: small ones with realistic weights, and large ones without data.

from support.checkpoints import sparse_checkpoint, tiny_mistral, write_checkpoint
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

_CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
Shapes = dict[str, tuple[int, ...]]

TELLING = {"mergec.json", "README.md", "recipe.merge"}
"""Files that tell where an output and its sources are; the others are the same anywhere."""


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any], shards: int = 1
) -> Path:
    """Write torch tensors or numpy arrays in the Hub's layout; with `shards` > 1, with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: torch.as_tensor(value).contiguous() for name, value in tensors.items()}
    names = list(values)
    weight_map = {}
    for number in range(shards):
        part = names[len(names) * number // shards : len(names) * (number + 1) // shards]
        file = _file_name(number, shards)
        save_file({name: values[name] for name in part}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    if shards > 1:
        _write_json(
            folder / "model.safetensors.index.json",
            {
                "metadata": {"total_size": sum(value.nbytes for value in values.values())},
                "weight_map": weight_map,
            },
        )
    _write_json(folder / "config.json", config)
    return folder


def mistral_shapes(
    layers: int, hidden: int, intermediate: int, vocab: int, kv: int, *, tied: bool = False
) -> Shapes:
    """Names and shapes of a Mistral or Llama model; `kv` is the width of keys and values."""
    shapes: Shapes = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "self_attn.q_proj.weight": (hidden, hidden),
            prefix + "self_attn.k_proj.weight": (kv, hidden),
            prefix + "self_attn.v_proj.weight": (kv, hidden),
            prefix + "self_attn.o_proj.weight": (hidden, hidden),
            prefix + "mlp.gate_proj.weight": (intermediate, hidden),
            prefix + "mlp.up_proj.weight": (intermediate, hidden),
            prefix + "mlp.down_proj.weight": (hidden, intermediate),
            prefix + "input_layernorm.weight": (hidden,),
            prefix + "post_attention_layernorm.weight": (hidden,),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not tied:
        shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def mistral_config(
    layers: int, hidden: int, intermediate: int, vocab: int, kv: int, heads: int, dtype: str
) -> dict[str, Any]:
    """The config.json of such a model."""
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, kv * heads // hidden),
        "num_hidden_layers": layers,
        "vocab_size": vocab,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
    }


def tiny_mistral(
    folder: Path,
    seed: int,
    layers: int = 4,
    hidden: int = 48,
    vocab: int = 64,
    dtype: str = "bfloat16",
    *,
    intermediate: int | None = None,
    shards: int = 1,
    spread: float = 0.1,
) -> Path:
    """A small Mistral with weights distributed as trained ones are: heavy tails, norms near 1.

    Seed 0 is the base; any other seed is a fine-tune of it, off by `spread` of each tensor's own
    deviation. The same arguments always give the same bytes.
    """
    intermediate = intermediate or 2 * hidden
    shapes = mistral_shapes(layers, hidden, intermediate, vocab, hidden // 2)
    base = _weights(shapes, 0)
    if seed != 0:
        change = _weights(shapes, seed)
        base = {
            name: value + spread * (change[name] - _centre(name)) for name, value in base.items()
        }
    tensors = {name: value.to(getattr(torch, dtype)) for name, value in base.items()}
    config = mistral_config(layers, hidden, intermediate, vocab, hidden // 2, 4, dtype)
    return write_checkpoint(folder, tensors, config, shards)


def sparse_checkpoint(
    folder: Path,
    layers: int = 32,
    hidden: int = 4096,
    intermediate: int = 14336,
    vocab: int = 32000,
    dtype: str = "bfloat16",
    *,
    kv: int | None = None,
) -> Path:
    """A checkpoint of any size that takes no disk: a true header, and a hole for the data.

    The defaults are Mistral-7B. Every weight reads as zero.
    """
    kv = hidden // 4 if kv is None else kv
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, shape in mistral_shapes(layers, hidden, intermediate, vocab, kv).items():
        end = begin + math.prod(shape) * getattr(torch, dtype).itemsize
        header[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [begin, end]}
        begin = end
    write_raw(folder / "model.safetensors", header, begin)
    heads = max(1, hidden // 128)
    _write_json(
        folder / "config.json",
        mistral_config(layers, hidden, intermediate, vocab, kv, heads, dtype),
    )
    return folder


def write_raw(path: Path, header: Any, data_bytes: int) -> Path:
    """A .safetensors file with this header, true or not (bytes, or a value for JSON), and zeros."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + data_bytes)
    return path


_WIDTHS = np.array([0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 1.7, 2.8])


def _weights(shapes: Shapes, seed: int) -> dict[str, torch.Tensor]:
    """float32 tensors: about normal with heavy tails, as wide as the fan-in asks.

    Only integers are drawn, and only operations follow that IEEE rounds in one way: the bits are
    the same on every machine, as those of `torch.randn` are not.
    """
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        normal = random.integers(-1024, 1024, (4, *shape)).sum(axis=0) / 1182.0
        width = _WIDTHS[random.integers(0, len(_WIDTHS), shape)]
        scale = 0.1 if len(shape) == 1 else 0.6 / math.sqrt(shape[-1])
        values = _centre(name) + scale * normal * width
        weights[name] = torch.from_numpy(values.astype(np.float32))
    return weights


def _centre(name: str) -> float:
    return 1.0 if "norm" in name else 0.0


def _file_name(number: int, shards: int) -> str:
    if shards == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{shards:05d}.safetensors"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
