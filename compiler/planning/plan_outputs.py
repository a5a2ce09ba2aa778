"""Bound recipe + graph -> PlannedOutputs: layouts, small files and manifests' facts.

Everything about an output but its tensors' values is made here, so that whatever is wrong with it
(a config that can't be written as text, a tokenizer that can't be read) is found at plan time.

To add a small file to outputs, return a `NewFile` or a `CopiedFile` from a function like `_config`
and list it in `_small_files`; the run writes and flushes it before the first tensor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ... import __version__
from ...checkpoints.catalog import asked_revision
from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.config_edits import config_text
from ...checkpoints.shard_layout import Layout, layout_of
from ...checkpoints.small_files import is_of_tokenizer, readable_sidecars
from ...grammar.diagnostics import CheckpointError, SourceText
from ...ops.dtypes import DType
from ..binding.bound import Bound, ByName, Output, Source
from ..binding.model_structure import Structures, config_source, sources_of
from ..binding.stage_selection import output_name
from ..graph.graph import Graph, Write
from ..sweeps.components import Component
from .output_config import WrittenTensor, output_config
from .parts import cut_shards
from .planned_output import CopiedFile, NewFile, PlannedOutput, SmallFile
from .token_files import TokenFiles

FORMAT_VERSION = 2
"""1 listed only the shards among `files`, and neither `set` nor imports nor paths."""


def plan_outputs(
    bound: Bound,
    structures: Structures,
    graph: Graph,
    components: Sequence[Component],
    recipe: SourceText,
    tokens: Sequence[TokenFiles],
    settings: dict[str, Any],
) -> tuple[PlannedOutput, ...]:
    """Every output of a recipe of which these are the optimised graph and its components.

    tokens: each output's tokenizer. settings: what else the recipe was compiled with and its
    manifests note.
    Errors: CheckpointError E0612 (a config that can't be written), RunError E0603 (a small file
    that can't be read), E0611 (one that leads out of its checkpoint).
    """
    tensors: list[list[WrittenTensor]] = [[] for _ in bound.outputs]
    for _, node in graph.writes():
        assert isinstance(node.op, Write)
        tensors[node.op.output].append((node.op.name, node.type.dtype, node.type.shape))
    facts = _recipe_facts(bound, recipe) | settings
    cuts = cut_shards(components, tensors, [output.shard_bytes for output in bound.outputs])
    return tuple(
        _planned(output, structures, found, layout_of(cut), own, facts)
        for output, found, cut, own in zip(bound.outputs, tensors, cuts, tokens, strict=True)
    )


def _planned(
    output: Output,
    structures: Structures,
    tensors: list[WrittenTensor],
    layout: Layout,
    tokens: TokenFiles,
    facts: dict[str, Any],
) -> PlannedOutput:
    return PlannedOutput(
        path=output.path,
        name=output_name(output),
        span=output.span,
        layout=layout,
        files=tuple(_small_files(output, structures, tensors, tokens, layout)),
        facts=facts
        | {
            "save": _save(output),
            "sources": [_source(source) for source in sources_of(output.value)],
            "tensors": len(layout.slots),
        }
        | _tokenizer(tokens),
    )


def _save(output: Output) -> dict[str, Any]:
    """What the `save` asked for."""
    return {
        "dtype": _dtype_asked(output.dtype),
        "shard_bytes": output.shard_bytes,
        "config": config_source(output).reference,
        "license": output.license,
    }


def _dtype_asked(dtype: DType | ByName | None) -> str | dict[str, Any] | None:
    if isinstance(dtype, ByName):
        return {matcher.pattern.text: value for matcher, value in dtype.arms}
    return None if dtype is None else dtype.name


def _small_files(
    output: Output,
    structures: Structures,
    tensors: list[WrittenTensor],
    tokens: TokenFiles,
    layout: Layout,
) -> Iterator[SmallFile]:
    """The shard index, config.json, and the base's tokenizer and other files."""
    base = config_source(output).checkpoint
    if layout.index is not None:
        yield NewFile("model.safetensors.index.json", layout.index.encode())
    if base.config:
        yield _config(output, structures, tensors, tokens, base)
    yield from (NewFile(name, content) for name, content in tokens.files.items())
    for file in readable_sidecars(base):
        replaced = tokens.files and is_of_tokenizer(file.name)
        if not replaced and file.name not in tokens.files:
            yield CopiedFile(file.name, file)


def _config(
    output: Output,
    structures: Structures,
    tensors: list[WrittenTensor],
    tokens: TokenFiles,
    base: Checkpoint,
) -> NewFile:
    config = output_config(output.value, structures, tensors, base)
    text = config_text(tokens.config(config))
    try:
        return NewFile("config.json", text.encode())
    except UnicodeEncodeError as error:
        raise CheckpointError.of(
            "E0612",
            f"config.json of {base.reference} holds text that no file can: {error.reason}",
            span=output.span,
            notes=(f"half a surrogate pair, {text[error.start]!a}",),
            hint="correct the config",
        ) from None


# The manifest ------------------------------------------------------------------------------------


def _recipe_facts(bound: Bound, recipe: SourceText) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "mergec": __version__,
        "recipe": {
            "name": bound.name,
            "text": recipe.text,
            "imports": [
                {
                    "path": os.path.abspath(imported.name),
                    "sha256": imported.sha256,
                    "text": imported.text,
                }
                for imported in bound.imports
            ],
        },
        "seed": bound.settings.seed,
    }


def _tokenizer(tokens: TokenFiles) -> dict[str, Any]:
    """What reconciling tokenizers did, where it was asked for; whose rows by reference."""
    counts = tokens.counts
    if counts is None:
        return {}
    named = {
        key: {tokens.references[number]: rows for number, rows in found.items()}
        for key, found in (("donated", counts.donated), ("dropped", counts.dropped))
    }
    return {"tokenizer": {**asdict(counts), **named}}


def _source(source: Source) -> dict[str, Any]:
    """A source as it was asked for, and where and what it was found to be."""
    checkpoint = source.checkpoint
    return {
        "reference": source.reference,
        "asked_revision": asked_revision(source.reference),
        "revision": checkpoint.revision,
        "path": checkpoint.store.real(),
        "files": [
            {
                "name": file.name,
                "size": file.size,
                "header_sha256": file.header_sha256,
            }
            for file in checkpoint.files
        ],
    }
