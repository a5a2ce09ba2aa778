"""A file of weights -> its tensors, by the format that its name tells."""

from __future__ import annotations

from collections.abc import Sequence

from ..source_tensors import SourceTensor
from ..stores import Store, StoredFile
from .gguf_file import SUFFIX as GGUF
from .gguf_file import read_gguf
from .safetensors import Known, read_safetensors
from .torch_archive import SUFFIXES as TORCH
from .torch_archive import read_torch

SAFETENSORS = ".safetensors"
WEIGHTS = (SAFETENSORS, *TORCH, GGUF)
"""How the names of files of weights end."""


def read_by_name(
    store: Store, name: str, known: Known
) -> tuple[StoredFile, Sequence[SourceTensor]]:
    """A file and its tensors, in the order in which they lie there. Errors: those of its format."""
    if name.endswith(TORCH):
        return read_torch(store, name)
    if name.endswith(GGUF):
        return read_gguf(store, name)
    return read_safetensors(store, name, known)
