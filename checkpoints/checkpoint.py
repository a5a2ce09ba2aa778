"""A checkpoint in a store -> its tensors, its config and its files: headers only, no data.

A checkpoint is a folder in the Hub's layout (an index with shards, or one file, or loose files) or
one file, whose config and tokenizer are then looked for beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..grammar.diagnostics import CheckpointError, MergecError, Span
from .formats.by_name import read_by_name
from .formats.gguf_file import SUFFIX as GGUF
from .formats.gguf_file import gguf_config
from .formats.safetensors import Known
from .json_files import CONFIG_NAME, read_config
from .printable import some
from .quantised import decoded
from .source_tensors import SourceTensor
from .stores import Store, StoredFile, place_in
from .weight_files import weight_files


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as its headers describe it.

    reference: what the recipe calls it.
    store: where its weights, config, tokenizer and other small files are.
    tensors: by name, in the order of the files and of the offsets in them.
    config: the content of config.json, empty where there is none.
    revision: the commit, where it is known.
    lone: whether it is one file, whose folder may be anyone's.
    """

    reference: str
    store: Store
    files: tuple[StoredFile, ...]
    tensors: Mapping[str, SourceTensor]
    config: dict[str, Any]
    revision: str | None = None
    lone: bool = False

    @property
    def place(self) -> str:
        """Where it is, for people: a folder or an address."""
        return self.store.place

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, as they are stored."""
        return sum(tensor.cost for tensor in self.tensors.values())


def open_checkpoint(
    store: Store,
    only: str | None = None,
    *,
    reference: str | None = None,
    span: Span | None = None,
    revision: str | None = None,
    hint: str | None = None,
    known: Known | None = None,
) -> Checkpoint:
    """Read the headers of the checkpoint in a store, or those of `only` one file of it.

    `hint` says how to obtain files that are missing; `known` holds headers that were read before.
    Errors: CheckpointError at `span`: E0601 to E0605 (files), E0310 to E0317 (their structure).
    """
    place = store.place if only is None else place_in(store, only)
    known = {} if known is None else known
    try:
        weight_map, names = weight_files(store, only)
        files, tensors = read_weights(store, names, weight_map, known)
        if not tensors:
            raise CheckpointError.of("E0602", f"{place} holds no tensors")
        config = _config(store, names)
        tensors = decoded(tensors, config, place)
    except MergecError as error:
        problems = [
            replace(d, span=span, hint=hint if d.code == "E0602" and hint else d.hint)
            for d in error.diagnostics
        ]
        raise CheckpointError(problems) from None
    lone = only is not None
    return Checkpoint(reference or place, store, files, tensors, config, revision, lone)


def _config(store: Store, names: Sequence[str]) -> dict[str, Any]:
    """config.json, or what a GGUF file says in its place; empty where there is neither."""
    if store.names(CONFIG_NAME):
        return read_config(store)
    return gguf_config(store, names[0]) if names[0].endswith(GGUF) else {}


def read_weights(
    store: Store, names: list[str], weight_map: dict[str, str], known: Known
) -> tuple[tuple[StoredFile, ...], dict[str, SourceTensor]]:
    """Every file's header. A tensor that two files hold is the one that the index names."""
    files: list[StoredFile] = []
    tensors: dict[str, SourceTensor] = {}
    for here in names:
        file, found = read_by_name(store, here, known)
        files.append(file)
        if weight_map:
            found = [tensor for tensor in found if weight_map.get(tensor.name, here) == here]
        new: dict[str, SourceTensor] = {tensor.name: tensor for tensor in found}
        if twice := new.keys() & tensors.keys():
            name = next(tensor.name for tensor in found if tensor.name in twice)
            (other,) = tensors[name].files
            raise CheckpointError.of("E0315", f"tensor `{name}` is in both {other.name} and {here}")
        tensors |= new
    if absent := [name for name in weight_map if name not in tensors]:
        where = weight_map[absent[0]]
        absent = [name for name in absent if weight_map[name] == where]
        lacks = f"{place_in(store, where)} lacks tensors that the index places there"
        raise CheckpointError.of("E0315", f"{lacks}: {some(absent)}")
    return tuple(files), tensors
