"""llama.cpp's names, layouts and facts -> those of transformers, for the models that share Llama's.

Other architectures change more than names (Gemma's norms have 1 added, for one), and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ...grammar.diagnostics import CheckpointError

ARCHITECTURES = {
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
}
_PERMUTED = ("llama",)
"""Whose queries and keys have the two halves of each head interleaved."""

_OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_INSIDE = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LEFT_OUT = ("rope_freqs",)
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_OTHER = re.compile(r"(\w+)\.(weight|bias)")


def transformers_name(name: str, architecture: str, place: str) -> str | None:
    """What transformers calls a tensor; None for one that it computes.

    Errors: CheckpointError E0334 for an architecture or a tensor that isn't known.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError.of(
            "E0334",
            f"{place} is of the architecture `{architecture[:40]}`",
            hint=f"GGUF files of {known} are read; take the model's own weights",
        )
    if found := _LAYER.fullmatch(name):
        if found[2] in _INSIDE:
            return f"model.layers.{found[1]}.{_INSIDE[found[2]]}.{found[3]}"
    elif found := _OTHER.fullmatch(name):
        if found[1] in _OUTSIDE:
            return f"{_OUTSIDE[found[1]]}.{found[2]}"
        if found[1] in _LEFT_OUT:
            return None
    raise CheckpointError.of("E0334", f"{place} has a tensor of an unknown kind: {name[:100]!a}")


def permuted_heads(name: str, facts: dict[str, Any], architecture: str) -> int | None:
    """How many heads the rows of a tensor are of, where their halves are interleaved."""
    if architecture not in _PERMUTED:
        return None
    heads = facts.get(f"{architecture}.attention.head_count")
    shared = facts.get(f"{architecture}.attention.head_count_kv", heads)
    part = name.split(".")[-2]
    found = {"attn_q": heads, "attn_k": shared}.get(part)
    return found if type(found) is int and found > 0 else None


def transformers_config(facts: dict[str, Any], names: Collection[str], rows: int) -> dict[str, Any]:
    """A config.json of what the facts say. rows: of the token embedding."""
    architecture = str(facts.get("general.architecture"))
    model_type, name = ARCHITECTURES[architecture]

    def fact(key: str) -> Any:
        return facts.get(f"{architecture}.{key}")

    config = {
        "architectures": [name],
        "model_type": model_type,
        "hidden_size": fact("embedding_length"),
        "intermediate_size": fact("feed_forward_length"),
        "num_hidden_layers": fact("block_count"),
        "num_attention_heads": fact("attention.head_count"),
        "num_key_value_heads": fact("attention.head_count_kv"),
        "head_dim": fact("attention.key_length"),
        "rms_norm_eps": fact("attention.layer_norm_rms_epsilon"),
        "rope_theta": fact("rope.freq_base"),
        "max_position_embeddings": fact("context_length"),
        "vocab_size": rows,
        "tie_word_embeddings": "lm_head.weight" not in names,
    }
    return {key: value for key, value in config.items() if value is not None}
