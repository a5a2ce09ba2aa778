"""A store -> the files that hold the weights: an index with shards, one file, or several."""

from __future__ import annotations

import json
from typing import Any

from ..grammar.diagnostics import CheckpointError
from .formats.by_name import WEIGHTS
from .json_files import read_json
from .printable import printable, some
from .stores import Store, place_in

SINGLE_NAMES = ("model.safetensors", "pytorch_model.bin")
"""In the order in which they are looked for: safetensors first."""

ADAPTER_NAMES = ("adapter_model.safetensors", "adapter_model.bin")
_INDEX = (".safetensors.index.json", ".bin.index.json")
_LEFT_OVER = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "sample_")
"""How files begin that a training run leaves beside its weights."""


def weight_files(store: Store, only: str | None) -> tuple[dict[str, str], list[str]]:
    """The index's tensor -> file map (empty without an index), and the weight files to read.

    only: the one file to read. Errors: CheckpointError E0602, E0604, E0314, E0317.
    """
    if only is not None:
        if not only.endswith(WEIGHTS):
            known = ", ".join(WEIGHTS)
            what = f"is neither a folder nor a file of weights ({known})"
            raise CheckpointError.of("E0604", f"{place_in(store, only)} {what}")
        return {}, [only]
    names = [name for name in store.names() if not name.startswith(".")]
    found = [name for name in names if name.endswith(WEIGHTS) and _is_weights(name)]
    for suffix, single in zip(_INDEX, SINGLE_NAMES, strict=True):
        standard = f"{single}.index.json"
        indexes = [name for name in names if name.endswith(suffix)]
        if standard in indexes or (len(indexes) == 1 and single not in names):
            index = standard if standard in indexes else indexes[0]
            weight_map = _read_index(store, index)
            return weight_map, _shards(store, weight_map, names)
        if single in names:
            return {}, [single]
        if some_of := [name for name in found if name.endswith(f".{single.rpartition('.')[2]}")]:
            return {}, some_of
    if found:
        return {}, found
    if any(name in names for name in ADAPTER_NAMES):
        raise CheckpointError.of(
            "E0317",
            f"{store.place} is a LoRA adapter, not a whole model",
            hint="add it to its base model: `model + lora { … }`, in YAML `model+lora`",
        )
    raise CheckpointError.of(
        "E0602", f"{store.place} holds no file of weights: {', '.join(WEIGHTS)}"
    )


def is_index(name: str) -> bool:
    """Whether a file of this name says which shard holds which tensor."""
    return name.endswith(_INDEX)


def _is_weights(name: str) -> bool:
    return name not in ADAPTER_NAMES and not name.startswith(_LEFT_OVER)


def _read_index(store: Store, name: str) -> dict[str, str]:
    """An index's `weight_map`: tensor name -> bare file name."""
    place = place_in(store, name)
    index: dict[str, Any] = read_json(store, name, "E0314", unique_keys=True)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError.of("E0314", f"{place} has no `weight_map`")
    for file in dict.fromkeys(
        file if type(file) is str else json.dumps(file) for file in weight_map.values()
    ):
        if not (_is_bare(file) and file.endswith(WEIGHTS)):
            raise CheckpointError.of(
                "E0314",
                f"{place} names {printable(file)!r} as a shard",
                hint="shards lie in the index's own folder and are named without a path",
            )
    return weight_map


def _is_bare(file: str) -> bool:
    """Whether a file name stays in its folder, on any system."""
    return bool(file) and file.isprintable() and not set(file) & set('/\\:*?"<>|')


def _shards(store: Store, weight_map: dict[str, str], there: list[str]) -> list[str]:
    names = sorted(set(weight_map.values()))
    if missing := sorted(set(names) - set(there)):
        of_all = f"{len(missing)} of the {len(names)} shards of {store.place}"
        are = "is" if len(missing) == 1 else "are"
        raise CheckpointError.of("E0602", f"{of_all} {are} missing: {some(missing)}")
    return names
