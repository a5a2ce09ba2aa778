"""A PEFT adapter in a store -> a checkpoint of deltas: s · B · A under the names of the weights.

base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight   A of model.layers.0.….weight
base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight   its B
base_model.model.model.embed_tokens.lora_embedding_A             A of an embedding, transposed
base_model.model.lm_head.weight                                  replaces lm_head.weight
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from ...grammar.diagnostics import CheckpointError, MergecError, Span
from ..checkpoint import Checkpoint, read_weights
from ..formats.safetensors import Known
from ..printable import some
from ..source_tensors import SourceTensor
from ..stores import Store
from .low_rank import LowRank
from .peft_config import CONFIG, PeftConfig, read_peft_config

_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_FACTOR = re.compile(
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.\w+)??(\.weight)?"
)
_WHOLE = re.compile(r"(?P<module>.+?)(\.modules_to_save|\.base_layer)?\.(?P<kind>weight|bias)")
_PREFIX = "base_model.model."


@dataclass(frozen=True, eq=False)
class Adapter(Checkpoint):
    """A checkpoint of deltas. What it has no tensor for, it doesn't change.

    replaced: tensors that take the place of the model's, whatever the scale.
    """

    replaced: Mapping[str, SourceTensor] = field(default_factory=dict)


def open_adapter(store: Store, reference: str, span: Span | None, known: Known) -> Adapter:
    """Read an adapter's config and headers.

    Errors: CheckpointError at `span`: E0317 (no LoRA adapter), E0328 (a kind that can't be merged),
    and those of its files.
    """
    try:
        if not store.names(CONFIG):
            raise CheckpointError.of(
                "E0317",
                f"{store.place} is no adapter: it has no {CONFIG}",
                hint="`lora` takes an adapter that peft has saved",
            )
        config = read_peft_config(store)
        names = [name for name in _FILES if store.names(name)][:1]
        if not names:
            raise CheckpointError.of("E0602", f"{store.place} has no {_FILES[0]}")
        files, tensors = read_weights(store, names, {}, known)
        deltas, replaced = _assigned(store.place, tensors, config)
    except MergecError as error:
        raise CheckpointError([replace(d, span=span) for d in error.diagnostics]) from None
    return Adapter(reference, store, files, deltas, {}, replaced=replaced)


def _assigned(
    place: str, tensors: Mapping[str, SourceTensor], config: PeftConfig
) -> tuple[dict[str, SourceTensor], dict[str, SourceTensor]]:
    """(deltas, replacements) by the names of the model's tensors."""
    factors: dict[tuple[str, bool], dict[str, SourceTensor]] = {}
    replaced: dict[str, SourceTensor] = {}
    unknown = []
    for full, tensor in tensors.items():
        name = full.removeprefix(_PREFIX)
        if "lora_magnitude_vector" in name:
            raise CheckpointError.of("E0328", f"the adapter {place} is a DoRA adapter")
        if found := _FACTOR.fullmatch(name):
            pair = factors.setdefault((found["module"], found["embedding"] is not None), {})
            pair[found["side"]] = tensor
        elif "lora_" not in name and (found := _WHOLE.fullmatch(name)):
            replaced[f"{found['module']}.{found['kind']}"] = tensor
        else:
            unknown.append(full)
    if unknown:
        raise CheckpointError.of(
            "E0328", f"the adapter {place} has tensors of an unknown kind: {some(unknown)}"
        )
    deltas: dict[str, SourceTensor] = {}
    for (module, embedding), pair in factors.items():
        name = f"{module}.weight"
        deltas[name] = _delta(place, name, module, embedding, pair, config)
    return deltas, replaced


def _delta(
    place: str,
    name: str,
    module: str,
    embedding: bool,
    pair: dict[str, SourceTensor],
    config: PeftConfig,
) -> LowRank:
    """The delta of one module."""
    if len(pair) < 2:
        raise CheckpointError.of("E0317", f"{place} has only one factor of {module}")
    a, b = pair["A"], pair["B"]
    fits = len(a.shape) >= 2 and len(b.shape) >= 2 and prod(b.shape[1:]) == a.shape[0] > 0
    if not fits or not (a.dtype.is_float and b.dtype.is_float):
        shapes = f"{list(a.shape)} and {list(b.shape)}"
        raise CheckpointError.of("E0317", f"the factors of {module} in {place} don't fit: {shapes}")
    transposed = embedding or (config.fan_in_fan_out and len(a.shape) == 2)
    shape = (b.shape[0], *a.shape[1:])
    if transposed:
        shape = (a.shape[1], b.shape[0])
    return LowRank(name, shape, a, b, config.scale(module, a.shape[0]), transposed)
