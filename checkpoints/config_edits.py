"""A base model's config.json + what the output differs in -> the output's config.json.

transformers believes the config over the weights: a wrong layer count drops or invents layers, a
wrong dtype casts, a wrong tie loses the head, all without an error. So what is written is exact.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from ..ops.dtypes import DType
from .layers import COUNT_KEYS, layer_counts, main_sections

_DROPPED = ("quantization_config", "compression_config", "_name_or_path", "auto_map")
_DTYPE_KEYS = ("dtype", "torch_dtype")
_INDEX_LISTS = ("mlp_only_layers", "cross_attention_layers", "attn_layer_indices")
_EQUAL_TO_COUNT = ("max_window_layers",)  # as many layers as there are: no layer is windowed
_NOT_PER_LAYER = ("architectures", "mrope_section")  # lists that may have any length by chance

LayerSource = tuple[dict[str, Any], int]
"""A source's config, and the number of the layer that was taken from it."""


def edit_config(
    config: dict[str, Any],
    *,
    layers: Sequence[LayerSource] | None = None,
    dtype: DType | None = None,
    vocab_size: int | None = None,
    has_head: bool | None = None,
) -> dict[str, Any]:
    """A copy of the base's `config`, true of the output.

    layers: where each output layer comes from, when the layers aren't simply the base's.
    dtype: the output's, if it has one.
    vocab_size: rows of the output's embedding, if known.
    has_head: whether the output has an output projection of its own (`layers.is_head`).
    """
    result = copy.deepcopy(config)
    sections = main_sections(result)
    for section in sections:
        for key in _DROPPED:
            section.pop(key, None)
        if has_head is not None and "tie_word_embeddings" in section:
            section["tie_word_embeddings"] = not has_head
        if vocab_size is not None and "vocab_size" in section:
            section["vocab_size"] = vocab_size
    if has_head and not any("tie_word_embeddings" in section for section in sections):
        result["tie_word_embeddings"] = False
    if vocab_size is not None and not any("vocab_size" in section for section in sections):
        sections[0]["vocab_size"] = vocab_size
    if layers is not None:
        _set_layers(result, layers)
    if dtype is not None:
        _set_dtype(result, dtype)
    return result


def config_text(config: dict[str, Any]) -> str:
    """The text of config.json, in the layout that transformers writes."""
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _set_layers(config: dict[str, Any], layers: Sequence[LayerSource]) -> None:
    """Counts, lists with an entry a layer, and lists of layer numbers."""
    depth = next(iter(layer_counts(config)), None)
    if depth is None:
        return
    for section in main_sections(config):
        for key in (*COUNT_KEYS, *_EQUAL_TO_COUNT):
            if section.get(key) == depth:
                section[key] = len(layers)
        for key, value in section.items():
            if not isinstance(value, list):
                continue
            if key in _INDEX_LISTS:
                section[key] = [
                    number
                    for number, (source, layer) in enumerate(layers)
                    if layer in (_lookup(source, key) or ())
                ]
            elif len(value) == depth and _is_per_layer(key):
                section[key] = [_entry(source, key, layer, value) for source, layer in layers]


def _is_per_layer(key: str) -> bool:
    return key not in _NOT_PER_LAYER and not key.endswith(("token_id", "token_ids"))


def _entry(source: dict[str, Any], key: str, layer: int, base: list[Any]) -> Any:
    """The source's own entry for a layer; where it has no such list, the base's nearest."""
    own = _lookup(source, key)
    if own is not None and len(own) in layer_counts(source):
        return copy.deepcopy(own[layer])
    return copy.deepcopy(base[min(layer, len(base) - 1)])


def _lookup(config: dict[str, Any], key: str) -> list[Any] | None:
    for section in main_sections(config):
        if isinstance(value := section.get(key), list):
            return value
    return None


def _set_dtype(config: dict[str, Any], dtype: DType) -> None:
    """The dtype under whichever keys the base had, in every part that had one."""
    parts = [config]
    while parts:
        part = parts.pop()
        parts += [value for value in part.values() if isinstance(value, dict)]
        for key in _DTYPE_KEYS:
            if key in part:
                part[key] = dtype.name
    if not any(key in config for key in _DTYPE_KEYS):
        config["dtype"] = dtype.name
