"""`mergec inspect`: a checkpoint -> its tensors, layers, parameters and config."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..checkpoints.catalog import Catalog
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.layers import Layers
from ..grammar.diagnostics import CheckpointError, SourceText, Span
from ..quantities import count, decimal_size
from ..views.columns import table
from ..views.plan_facts import dtypes_of
from .shared_options import collector_off, json_option, models_option

FORMAT_VERSION = 1
_CONFIG_KEYS = (
    "architectures",
    "model_type",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
    "tie_word_embeddings",
    "dtype",
    "torch_dtype",
)


@click.command("inspect")
@click.argument("checkpoint")
@models_option
@click.option("--tensors", is_flag=True, help="List every tensor.")
@json_option
def command(checkpoint: str, models: Sequence[Path], tensors: bool, as_json: bool) -> None:
    """Show what a checkpoint is made of; only its headers and config are read.

    CHECKPOINT is a folder, a .safetensors file, or a Hub name that is in the cache or in a mirror.

    \b
    mergec inspect ./models/mistralai/Mistral-7B-v0.1
    mergec inspect mistralai/Mistral-7B-v0.1 --tensors
    """
    with collector_off():
        found = open_reference(checkpoint, models)
    if as_json:
        click.echo(json.dumps(_facts(found, tensors), indent=2))
        return
    for line in _text(found):
        click.echo(line)
    if tensors:
        rows = [
            (tensor.name, tensor.dtype.name, "x".join(map(str, tensor.shape)) or "scalar",
             decimal_size(tensor.nbytes), tensor.files[0].name)
            for tensor in found.tensors.values()
        ]  # fmt: skip
        click.echo()
        for line in table([("Tensor", "dtype", "shape", "size", "file"), *rows], right=(3,)):
            click.echo(line)


def open_reference(reference: str, models: Sequence[Path]) -> Checkpoint:
    """The checkpoint that a command's argument names. Errors: CheckpointError without a place."""
    place = Span(SourceText("<checkpoint>", reference), 0, len(reference))
    try:
        return Catalog(Path(), models).open(reference, place, prefer_path=True)
    except CheckpointError as error:  # a place in the command line helps nobody
        raise CheckpointError([replace(d, span=None) for d in error.diagnostics]) from None


def _parameters(checkpoint: Checkpoint) -> int:
    return sum(math.prod(tensor.shape) for tensor in checkpoint.tensors.values())


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    return {key: checkpoint.config[key] for key in _CONFIG_KEYS if key in checkpoint.config}


def _text(checkpoint: Checkpoint) -> Iterator[str]:
    layers = Layers.of(checkpoint.tensors, checkpoint.config)
    yield checkpoint.reference
    yield f"Folder      {checkpoint.place}"
    if checkpoint.revision:
        yield f"Revision    {checkpoint.revision}"
    yield f"Size        {decimal_size(checkpoint.nbytes)} in {count(len(checkpoint.files), 'file')}"
    yield f"Tensors     {len(checkpoint.tensors):,}, {_parameters(checkpoint):,} parameters"
    yield f"Dtypes      {', '.join(dtypes_of(checkpoint))}"
    stacks = ", ".join(f"{stack.count} at {stack.prefix}*" for stack in layers.stacks)
    yield f"Layers      {stacks or 'none'}"
    outside = [name for name in checkpoint.tensors if layers.locate(name) is None]
    if layers.stacks and outside:
        more = f", … {len(outside) - 6} more" if len(outside) > 6 else ""
        yield f"Outside     {', '.join(outside[:6])}{more}"
    facts = ", ".join(f"{key} {json.dumps(value)}" for key, value in _config(checkpoint).items())
    yield f"Config      {facts or 'none'}"


def _facts(checkpoint: Checkpoint, tensors: bool) -> dict[str, Any]:
    layers = Layers.of(checkpoint.tensors, checkpoint.config)
    facts: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "reference": checkpoint.reference,
        "path": checkpoint.place,
        "revision": checkpoint.revision,
        "bytes": checkpoint.nbytes,
        "parameters": _parameters(checkpoint),
        "dtypes": dtypes_of(checkpoint),
        "files": [{"name": f.name, "bytes": f.size} for f in checkpoint.files],
        "stacks": [{"prefix": s.prefix, "layers": s.count} for s in layers.stacks],
        "config": _config(checkpoint),
        "tensor_count": len(checkpoint.tensors),
    }
    if tensors:
        facts["tensors"] = [
            {
                "name": tensor.name,
                "dtype": tensor.dtype.name,
                "shape": list(tensor.shape),
                "bytes": tensor.nbytes,
                "file": tensor.files[0].name,
            }
            for tensor in checkpoint.tensors.values()
        ]
    return facts
