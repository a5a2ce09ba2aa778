"""Tensors of a quantised model -> the weights that they stand for, decoded as they are read.

    X.weight (8-bit float), X.weight_scale_inv or X.weight_scale   X.weight = weight · scale
    X_blocks, X_scales (MXFP4: packed 4-bit floats, exponents)     X, with its last two axes swapped

A scale may lie in another shard than its weight. What is quantised otherwise is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..grammar.diagnostics import CheckpointError
from ..ops.dtypes import BY_NAME, DType, bfloat16
from .mxfp4 import BLOCK_BYTES, Mxfp4
from .printable import printable
from .scaled_float8 import ScaledFloat8
from .source_tensors import SourceTensor

_SCALES = (".weight_scale_inv", ".weight_scale")
_UNUSED = (".input_scale", ".k_scale", ".v_scale", ".q_scale", ".output_scale", ".kv_scale")
"""Scales of activations: they belong to the quantised arithmetic, not to the weights."""

_OTHERS = (".weight_packed", ".qweight", ".SCB", ".absmax", ".weight_format")
"""What GPTQ, AWQ, bitsandbytes and compressed-tensors' integers are stored as."""

_NO_SIZE = ((), (1,), (1, 1))


def decoded(
    tensors: Mapping[str, SourceTensor], config: dict[str, Any], place: str
) -> dict[str, SourceTensor]:
    """The tensors with quantised ones decoded, and their scales gone.

    Errors: CheckpointError E0332 (quantised in a way that isn't read, or scales that don't fit).
    """
    found = dict(tensors)
    for name in tensors:
        if name.endswith(_SCALES):
            weight = tensors.get(f"{name[: name.rindex('.')]}.weight")
            if weight is not None and weight.dtype.itemsize == 1:
                found[weight.name] = _scaled(weight, tensors[name], config, place)
                del found[name]
        elif name.endswith("_blocks"):
            scales = tensors.get(f"{name.removesuffix('_blocks')}_scales")
            if scales is not None:
                packed = _packed(tensors[name], scales, _natural(config), place)
                found = _replaced(found, name, packed)
                del found[scales.name]
        elif name.endswith(_OTHERS):
            raise _refusal(place, f"`{printable(name)}` is packed in another way")
    if len(found) == len(tensors):
        return found
    return {name: tensor for name, tensor in found.items() if not name.endswith(_UNUSED)}


def _natural(config: dict[str, Any]) -> DType:
    """The dtype that the model had before it was quantised."""
    sections = [config, *(part for part in config.values() if isinstance(part, dict))]
    for section in sections:
        name = section.get("dtype") or section.get("torch_dtype")
        if isinstance(name, str) and (dtype := BY_NAME.get(name)) and dtype.is_float:
            return dtype
    return bfloat16


def _scaled(
    weight: SourceTensor, scale: SourceTensor, config: dict[str, Any], place: str
) -> ScaledFloat8:
    """A weight of 8-bit floats, a scale for all of it, a row, or a block."""
    natural = _natural(config)
    if not weight.dtype.is_float:
        raise _refusal(place, f"`{weight.name}` is of whole numbers with a scale")
    if len(weight.shape) < 2 or not scale.dtype.is_float:
        raise _refusal(place, f"the scale of `{weight.name}` isn't one of its rows or blocks")
    rows, columns = weight.shape[-2:]
    batch = prod(weight.shape[:-2])
    grid = scale.shape
    if grid in _NO_SIZE:
        block = (rows, columns)
        return ScaledFloat8(weight, scale, block, (1, 1), natural)
    if grid == (rows,) and batch == 1:
        grid = (rows, 1)
    if len(grid) != len(weight.shape) or prod(grid[:-2]) != batch or 0 in grid:
        raise _refusal(place, f"`{scale.name}` has shape {list(scale.shape)}, not that of a grid")
    block = (-(-rows // grid[-2]), -(-columns // grid[-1]))
    named = _block_size(config)
    if named and (-(-rows // named[0]), -(-columns // named[1])) == grid[-2:]:
        block = named
    elif rows % grid[-2] or columns % grid[-1]:
        raise _refusal(place, f"the blocks of `{scale.name}` don't divide `{weight.name}`")
    return ScaledFloat8(weight, scale, block, (grid[-2], grid[-1]), natural)


def _block_size(config: dict[str, Any]) -> tuple[int, int] | None:
    """The size of blocks that the config names; the last ones may be smaller."""
    settings = config.get("quantization_config")
    named = settings.get("weight_block_size") if isinstance(settings, dict) else None
    whole = isinstance(named, list) and all(type(n) is int and n > 0 for n in named)
    return (named[0], named[1]) if named and whole and len(named) == 2 else None


def _packed(blocks: SourceTensor, scales: SourceTensor, natural: DType, place: str) -> Mxfp4:
    fits = len(blocks.shape) == 4 and blocks.shape[:3] == scales.shape
    bytes_only = blocks.dtype.name == scales.dtype.name == "uint8"
    if not fits or not bytes_only or blocks.shape[3] != BLOCK_BYTES:
        shapes = f"{list(blocks.shape)} and {list(scales.shape)}"
        raise _refusal(place, f"`{blocks.name}` and its scales, of shapes {shapes}, aren't MXFP4")
    return Mxfp4(blocks.name.removesuffix("_blocks"), blocks, scales, natural)


def _replaced(
    found: dict[str, SourceTensor], name: str, tensor: SourceTensor
) -> dict[str, SourceTensor]:
    """The tensors with one in another's place, in the same order."""
    return {
        (tensor.name if key == name else key): (tensor if key == name else value)
        for key, value in found.items()
    }


def _refusal(place: str, problem: str) -> Exception:
    return CheckpointError.of(
        "E0332",
        f"the weights of {place} can't be decoded: {problem}",
        hint="read are 8-bit floats with scales, and MXFP4; save the model in bfloat16 otherwise",
    )
