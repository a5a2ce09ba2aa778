"""Names, dtypes and shapes of an output's tensors -> its shard files, byte by byte.

All of it is known before the first tensor is computed: every shard's final name, its complete
header and the offset of each tensor, so that tensors can be written in any order, by anyone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..ops.dtypes import DType

DEFAULT_SHARD_BYTES = 5_000_000_000
_DATA_ALIGNMENT = 4096  # of the data: writes of whole pages can pass the page cache by

OutputTensor = tuple[str, DType, tuple[int, ...]]


class Slot(NamedTuple):
    """The place of one tensor: bytes `offset` to `offset + nbytes` of `shards[shard]`."""

    shard: int
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One output file: it begins with the bytes `header` and has `size` bytes in all."""

    name: str
    header: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one output. `index` is the text of the shard index, None for a single file."""

    shards: tuple[Shard, ...]
    slots: dict[str, Slot]
    index: str | None
    total_parameters: int

    @property
    def nbytes(self) -> int:
        """Bytes of all shards, headers included."""
        return sum(shard.size for shard in self.shards)


def plan_layout(tensors: Sequence[OutputTensor], shard_bytes: int = DEFAULT_SHARD_BYTES) -> Layout:
    """Fill shards of at most `shard_bytes` of data with the tensors in the given order.

    A larger tensor has a shard of its own. Within a shard, wider dtypes come first (the order is
    kept otherwise), so that every tensor is aligned to its element size.
    Errors: ValueError for a name that occurs twice or a shard size under one byte.
    """
    if shard_bytes < 1:
        raise ValueError(f"a shard can't have {shard_bytes} bytes")
    return layout_of(list(fill_shards(tensors, shard_bytes)) or [[]])


def layout_of(groups: Sequence[Sequence[OutputTensor]]) -> Layout:
    """The layout whose shards hold these tensors each; at least one shard, which may be empty.

    Errors: ValueError for a name that occurs twice.
    """
    shards: list[Shard] = []
    slots: dict[str, Slot] = {}
    for number, members in enumerate(groups):
        group = sorted(members, key=lambda tensor: -tensor[1].itemsize)
        header, sizes = _header(group)
        offset = len(header)
        for (name, _, _), nbytes in zip(group, sizes, strict=True):
            slots[name] = Slot(number, offset, nbytes)
            offset += nbytes
        shards.append(Shard(_shard_name(number, len(groups)), header, offset))
    tensors = [tensor for members in groups for tensor in members]
    if len(slots) < len(tensors):
        raise ValueError("a tensor name occurs twice")
    parameters = sum(math.prod(shape) for _, _, shape in tensors)
    index = _index(shards, slots, parameters) if len(shards) > 1 else None
    return Layout(tuple(shards), slots, index, parameters)


def fill_shards(tensors: Sequence[OutputTensor], shard_bytes: int) -> Iterator[list[OutputTensor]]:
    """The tensors of each shard of at most `shard_bytes` of data, in the given order."""
    group: list[OutputTensor] = []
    filled = 0
    for tensor in tensors:
        nbytes = tensor_bytes(tensor)
        if group and filled + nbytes > shard_bytes:
            yield group
            group, filled = [], 0
        group.append(tensor)
        filled += nbytes
    if group:
        yield group


def tensor_bytes(tensor: OutputTensor) -> int:
    """Bytes of an output tensor."""
    _, dtype, shape = tensor
    return dtype.itemsize * math.prod(shape)


def _header(group: Sequence[OutputTensor]) -> tuple[bytes, list[int]]:
    """The bytes before the data (length, JSON, padding), and each tensor's size in bytes."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    sizes = []
    begin = 0
    for tensor in group:
        name, dtype, shape = tensor
        nbytes = tensor_bytes(tensor)
        offsets = [begin, begin + nbytes]
        entries[name] = {"dtype": dtype.code, "shape": shape, "data_offsets": offsets}
        sizes.append(nbytes)
        begin += nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _DATA_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, sizes


def _shard_name(number: int, count: int) -> str:
    if count == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def _index(shards: Sequence[Shard], slots: dict[str, Slot], parameters: int) -> str:
    metadata = {
        "total_parameters": parameters,
        "total_size": sum(slot.nbytes for slot in slots.values()),
    }
    weight_map = {name: shards[slots[name].shard].name for name in sorted(slots)}
    index = {"metadata": metadata, "weight_map": weight_map}
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"
