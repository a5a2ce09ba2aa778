"""Plan -> config.json of an output: the base's, true of what was made."""

from __future__ import annotations

from math import prod
from typing import Any

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.config_edits import LayerSource, config_text, edit_config
from ..checkpoints.layers import is_head
from ..checkpoints.tied_head import TOKEN_EMBEDDINGS
from ..compiler.binding.bound import BoundExpr, Choice, Merge, Sliced, Source, Stack, Stage
from ..compiler.binding.model_structure import Structures, first_source, merge_inputs
from ..compiler.graph.graph import Write
from ..compiler.planning.plan import Plan
from ..ops.dtypes import DType


def output_config(plan: Plan, number: int) -> tuple[str | None, Checkpoint]:
    """(text of config.json, the checkpoint whose small files go with the output).

    None where that checkpoint has no config.
    """
    output = plan.bound.outputs[number]
    base = first_source(output.value).checkpoint
    if not base.config:
        return None, base
    names = plan.layouts[number].slots
    config = edit_config(
        base.config,
        layers=layer_sources(output.value, plan.structures),
        dtype=_dtype(plan, number),
        vocab_size=_vocab_size(plan, number),
        has_head=any(is_head(name) for name in names) if _knows_heads(base) else None,
    )
    return config_text(config), base


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


def _dtype(plan: Plan, number: int) -> DType | None:
    """The dtype of most of the output's float elements."""
    sizes: dict[DType, int] = {}
    for _, node in plan.optimised.writes():
        if isinstance(node.op, Write) and node.op.output == number and node.type.dtype.is_float:
            dtype = node.type.dtype
            sizes[dtype] = sizes.get(dtype, 0) + prod(node.type.shape)
    return max(sizes, key=lambda dtype: sizes[dtype], default=None)


def _vocab_size(plan: Plan, number: int) -> int | None:
    """Rows of the token embedding, if exactly one tensor is one."""
    found = {
        node.type.shape[0]
        for _, node in plan.optimised.writes()
        if isinstance(node.op, Write)
        and node.op.output == number
        and node.op.name.endswith(TOKEN_EMBEDDINGS)
        and len(node.type.shape) == 2
    }
    return found.pop() if len(found) == 1 else None


def _knows_heads(base: Checkpoint) -> bool:
    """Whether tying of a head is a notion of this model."""
    return "tie_word_embeddings" in base.config or any(is_head(name) for name in base.tensors)
