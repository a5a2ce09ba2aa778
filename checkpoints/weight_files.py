"""A store -> the files that hold the weights: an index with shards, one file, or several."""

from __future__ import annotations

import json
from typing import Any

from ..grammar.diagnostics import CheckpointError
from .json_files import read_json
from .printable import printable, some
from .stores import Store, place_in

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
ADAPTER_NAME = "adapter_model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def weight_files(store: Store, only: str | None) -> tuple[dict[str, str], list[str]]:
    """The index's tensor -> file map (empty without an index), and the weight files to read.

    only: the one file to read. Errors: CheckpointError E0602, E0604, E0314, E0317.
    """
    if only is not None:
        if only.endswith(_PICKLES):
            raise _unsupported(store, only)
        if not only.endswith(".safetensors"):
            place = place_in(store, only)
            raise CheckpointError.of(
                "E0604", f"{place} is neither a folder nor a .safetensors file"
            )
        return {}, [only]
    names = [name for name in store.names() if not name.startswith(".")]
    if INDEX_NAME in names:
        weight_map = _read_index(store)
        return weight_map, _shards(store, weight_map, names)
    if SINGLE_NAME in names:
        return {}, [SINGLE_NAME]
    found = [name for name in names if name.endswith(".safetensors")]
    weights = [name for name in found if name != ADAPTER_NAME]
    if weights:
        return {}, weights
    if found:
        raise CheckpointError.of(
            "E0317",
            f"{store.place} is a LoRA adapter, not a whole model",
            hint="add it to its base model: `model + lora { … }`, in YAML `model+lora`",
        )
    if pickles := [name for name in names if name.endswith(_PICKLES)]:
        raise _unsupported(store, pickles[0])
    raise CheckpointError.of("E0602", f"{store.place} holds no .safetensors file")


def is_index(name: str) -> bool:
    """Whether a file of this name says which shard holds which tensor."""
    return name == INDEX_NAME


def _unsupported(store: Store, name: str) -> Exception:
    return CheckpointError.of(
        "E0604",
        f"{place_in(store, name)}: .{name.rpartition('.')[2]} files are not supported yet",
        hint="save the model as .safetensors, for example with transformers' save_pretrained",
    )


def _read_index(store: Store) -> dict[str, str]:
    """The index's `weight_map`: tensor name -> bare file name."""
    place = place_in(store, INDEX_NAME)
    index: dict[str, Any] = read_json(store, INDEX_NAME, "E0314", unique_keys=True)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError.of("E0314", f"{place} has no `weight_map`")
    for file in dict.fromkeys(
        file if type(file) is str else json.dumps(file) for file in weight_map.values()
    ):
        if not (_is_bare(file) and file.endswith((".safetensors", *_PICKLES))):
            raise CheckpointError.of(
                "E0314",
                f"{place} names {printable(file)!r} as a shard",
                hint="shards lie in the index's own folder and are named without a path",
            )
        if not file.endswith(".safetensors"):
            raise _unsupported(store, file)
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
