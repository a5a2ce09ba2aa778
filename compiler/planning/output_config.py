"""An output's expression and tensors -> the text of its config.json: the base's, true of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.config_edits import LayerSource, edit_config
from ...checkpoints.layers import is_head
from ...checkpoints.mixtures.families import mixture_config
from ...checkpoints.vocabularies.vocabulary_tensors import is_embedding
from ...ops.dtypes import DType
from ..binding.bound import BoundExpr, Choice, Merge, Mixture, Sliced, Source, Stack, Stage
from ..binding.model_structure import Structures, merge_inputs

WrittenTensor: TypeAlias = tuple[str, DType, tuple[int, ...]]
"""Name, dtype and shape."""


def output_config(
    value: BoundExpr,
    structures: Structures,
    tensors: Sequence[WrittenTensor],
    base: Checkpoint,
) -> dict[str, Any]:
    """The config of an output with these tensors.

    base: the checkpoint, with a config, whose small files go with the output.
    """
    has_head = any(is_head(name) for name, _, _ in tensors) if _knows_heads(base) else None
    config = edit_config(
        base.config,
        layers=layer_sources(value, structures),
        dtype=_dtype(tensors),
        vocab_size=_vocab_size(tensors),
        has_head=has_head,
    )
    mixture = value.value if isinstance(value, Stage) else value
    if isinstance(mixture, Mixture):
        shared = mixture.shared is not None
        return mixture_config(config, mixture.family, len(mixture.experts), mixture.top_k, shared)
    return config


def layer_sources(expr: BoundExpr, structures: Structures) -> list[LayerSource] | None:
    """The config and layer number that each layer's entry is taken from; None: as they were."""
    match expr:
        case Source():
            return None
        case Stage():
            return layer_sources(expr.value, structures)
        case Merge():
            return layer_sources(merge_inputs(expr)[0], structures)
        case Choice():
            return layer_sources(expr.arms[0][1], structures)
        case Mixture():
            return layer_sources(expr.base, structures)
        case Sliced():
            start, stop = structures.bounds(expr)
            return _layers(expr.value, structures)[start:stop]
        case Stack():
            return [layer for part in expr.parts for layer in _layers(part, structures)]


def _layers(expr: BoundExpr, structures: Structures) -> list[LayerSource]:
    found = layer_sources(expr, structures)
    if found is not None:
        return found
    config: dict[str, Any] = structures.config(expr)
    return [(config, layer) for layer in range(structures.layers(expr).count)]


def _dtype(tensors: Sequence[WrittenTensor]) -> DType | None:
    """The dtype of most of the output's float elements."""
    sizes: dict[DType, int] = {}
    for _, dtype, shape in tensors:
        if dtype.is_float:
            sizes[dtype] = sizes.get(dtype, 0) + prod(shape)
    return max(sizes, key=lambda dtype: sizes[dtype], default=None)


def _vocab_size(tensors: Sequence[WrittenTensor]) -> int | None:
    """Rows of the token embedding, if exactly one tensor is one."""
    found = {shape[0] for name, _, shape in tensors if is_embedding(name, shape)}
    return found.pop() if len(found) == 1 else None


def _knows_heads(base: Checkpoint) -> bool:
    """Whether tying of a head is a notion of this model."""
    return "tie_word_embeddings" in base.config or any(is_head(name) for name in base.tensors)
