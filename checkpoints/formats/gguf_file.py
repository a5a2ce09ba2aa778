"""A GGUF file -> its tensors under transformers' names, blocks decoded as they are read."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from math import prod
from typing import Any

from ...grammar.diagnostics import CheckpointError
from ...ops.dtypes import DType, bfloat16, float16, float32
from ..ggml_blocks import GgmlBlocks
from ..printable import printable
from ..source_tensors import Extent, SourceTensor
from ..stores import Store, StoredFile
from .gguf_header import GgufEntry, GgufHeader, read_gguf_header
from .gguf_names import permuted_heads, transformers_config, transformers_name

SUFFIX = ".gguf"
_PLAIN: dict[int, DType] = {0: float32, 1: float16, 30: bfloat16}
_BLOCKS = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
}  # fmt: skip
"""ggml's number of a type: its name, the elements of a block, their bytes."""


def read_gguf(store: Store, name: str) -> tuple[StoredFile, list[SourceTensor]]:
    """A file, and its tensors in the order of their offsets.

    Errors: those of `Store.open`; CheckpointError E0310 (malformed), E0312, E0313 (its tensors),
    E0334 (an architecture or a type that isn't read, the package gguf that isn't there).
    """
    file, header = _header(store, name)
    architecture = str(header.facts.get("general.architecture", ""))
    tensors = []
    for entry in sorted(header.entries, key=lambda entry: entry.offset):
        new = transformers_name(entry.name, architecture, file.place)
        if new is not None:
            heads = permuted_heads(entry.name, header.facts, architecture)
            tensors.append(_tensor(file, sys.intern(new), entry, heads))
    return file, tensors


def gguf_config(store: Store, name: str) -> dict[str, Any]:
    """What config.json would say of a file's model."""
    _, tensors = read_gguf(store, name)
    _, header = _header(store, name)
    names = {tensor.name: tensor.shape for tensor in tensors}
    rows = names.get("model.embed_tokens.weight", (0,))[0]
    return transformers_config(header.facts, names, rows)


def _header(store: Store, name: str) -> tuple[StoredFile, GgufHeader]:
    opened = store.open(name)
    try:
        header = read_gguf_header(opened)
    finally:
        opened.close()
    digest = hashlib.sha256(header.raw).hexdigest()
    return StoredFile(store, name, opened.size, (*opened.identity, digest), digest), header


def _tensor(file: StoredFile, name: str, entry: GgufEntry, heads: int | None) -> SourceTensor:
    count = prod(entry.shape)
    kind, elements, size = _BLOCKS.get(entry.kind, ("", 1, 0))
    dtype = _PLAIN.get(entry.kind)
    if dtype is not None:
        size = dtype.itemsize
    elif not kind:
        known = ", ".join(["F32, F16, BF16", *(name for name, _, _ in _BLOCKS.values())])
        _fail(file, entry, f"its type {entry.kind} isn't read; these are: {known}", "E0334")
    elif importlib.util.find_spec("gguf") is None:
        raise CheckpointError.of(
            "E0334", f"{file.place} needs the package gguf", hint="pip install mergec[gguf]"
        )
    if not entry.shape or entry.shape[-1] % elements:
        _fail(file, entry, f"rows of {list(entry.shape)} aren't whole blocks", "E0312")
    nbytes = count // elements * size
    if entry.offset + nbytes > file.size:
        _fail(file, entry, "it ends after the file", "E0313")
    if heads is not None and (entry.shape[0] % (2 * heads) or len(entry.shape) > 2):
        _fail(file, entry, f"its rows aren't those of {heads} heads", "E0312")
    if dtype is not None and heads is None:
        return Extent(name, dtype, entry.shape, file, entry.offset, nbytes)
    extent = Extent(name, dtype or float32, entry.shape, file, entry.offset, nbytes)
    return GgmlBlocks(extent, kind or None, (elements, size), heads, dtype or bfloat16)


def _fail(file: StoredFile, entry: GgufEntry, problem: str, code: str) -> None:
    raise CheckpointError.of(code, f"{file.place}, tensor `{printable(entry.name)}`: {problem}")
