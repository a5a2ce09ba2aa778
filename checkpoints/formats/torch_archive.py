"""A file of torch.save (.bin, .pt, .pth, .ckpt) -> its tensors, as extents of the file.

The file is a zip archive: a pickle that says which tensors there are, and a member for each
storage, uncompressed. Nothing but the pickle, and a few bytes of each member, is read.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

from ...grammar.diagnostics import CheckpointError, MergecError
from ..printable import printable
from ..source_tensors import Extent, SourceTensor
from ..stores import OpenFile, Store, StoredFile
from ..strided import Strided
from .torch_pickle import PickledTensor, read_pickle

SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
_MOST_BYTES = 100_000_000  # of the pickle: those of the largest models have a few
_NESTED = ("state_dict", "model", "module", "model_state_dict", "params_ema", "params")
_CONVERT = (
    "python -c \"import torch, safetensors.torch as s; d = torch.load('IN', weights_only=True); "
    "s.save_file({k: v.contiguous().clone() for k, v in d.items()}, 'model.safetensors')\""
)
_MAX_RANK = 64


def read_torch(store: Store, name: str) -> tuple[StoredFile, list[SourceTensor]]:
    """A file, and its tensors in the order of their offsets.

    Errors: those of `Store.open`; CheckpointError E0330 (a pickle that would call something), E0310
    (no such archive, or of the format before it), E0312 and E0313 (tensors that aren't in it).
    """
    opened = store.open(name)
    try:
        archive = _Archive(opened)
        pickled = archive.member("data.pkl", _MOST_BYTES)
        digest = hashlib.sha256(pickled).hexdigest()
        file = StoredFile(store, name, opened.size, (*opened.identity, digest), digest)
        state = _state(read_pickle(pickled, file.place), file.place)
        tensors = [archive.tensor(file, key, tensor) for key, tensor in state]
    finally:
        opened.close()
    return file, sorted(tensors, key=_offset)


def _offset(tensor: SourceTensor) -> int:
    return tensor.offset if isinstance(tensor, Extent | Strided) else 0


def _state(found: object, place: str) -> Iterator[tuple[str, PickledTensor]]:
    """The tensors of a state dict, or of the one in a training checkpoint."""
    if isinstance(found, dict) and not _tensors_of(found):
        inner = [found[key] for key in _NESTED if isinstance(found.get(key), dict)]
        found = next((d for d in inner if _tensors_of(d)), found)
    if not isinstance(found, dict) or not (tensors := _tensors_of(found)):
        raise CheckpointError.of("E0310", f"{place} holds no dictionary of tensors")
    for name in tensors:
        if not name.isprintable():
            message = f"{place} has a tensor name with control characters: {printable(name)}"
            raise CheckpointError.of("E0312", message)
    yield from tensors.items()


def _tensors_of(found: dict[Any, Any]) -> dict[str, PickledTensor]:
    return {k: v for k, v in found.items() if type(k) is str and isinstance(v, PickledTensor)}


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member's bytes are in the file."""

    start: int
    size: int


class _Archive:
    """The members of an archive; all have the same folder as their first part."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._places: dict[str, _Member] = {}
        start = bytearray(min(4, file.size))
        file.read(0, memoryview(start))
        if start[:2] != b"PK":
            self._no_archive(bytes(start))
        try:
            self._zip = zipfile.ZipFile(_Seekable(file))
            names = [name for name in self._zip.namelist() if name.endswith("/data.pkl")]
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            self._fail(f"is no whole archive: {printable(str(error))}")
        if len(names) != 1:
            self._fail("is no archive of torch.save: it has no data.pkl")
        self._folder = names[0].removesuffix("data.pkl")
        if f"{self._folder}constants.pkl" in self._zip.namelist():
            self._fail("is a TorchScript program, not a file of weights")
        if self.optional("byteorder") not in (b"", b"little"):
            self._fail("was written on a machine of the other byte order")

    def member(self, name: str, most: int) -> bytes:
        """A member's content. Errors: CheckpointError E0310."""
        place = self._place(name)
        if place.size > most:
            self._fail(f"has a {name} of {place.size:,} bytes")
        data = bytearray(place.size)
        self._file.read(place.start, memoryview(data))
        return bytes(data)

    def optional(self, name: str) -> bytes:
        """A short member's content, empty where there is none."""
        there = f"{self._folder}{name}" in self._zip.namelist()
        return self.member(name, 100) if there else b""

    def tensor(self, file: StoredFile, name: str, tensor: PickledTensor) -> SourceTensor:
        """A tensor of a storage. Errors: CheckpointError E0312, E0313."""
        member = self._place(f"data/{tensor.storage.key}")
        size = tensor.dtype.itemsize
        start = member.start + tensor.offset * tensor.storage.dtype.itemsize
        count = prod(tensor.shape)
        reach = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
        if len(tensor.shape) > _MAX_RANK:
            self._fail_tensor(name, f"it has {len(tensor.shape)} dimensions")
        if count and start + reach * size > member.start + member.size:
            self._fail_tensor(name, "it reaches beyond its storage", "E0313")
        extent = Extent(sys.intern(name), tensor.dtype, tensor.shape, file, start, count * size)
        if count <= 1 or tensor.stride == _contiguous(tensor.shape):
            return extent
        if _has_rows(tensor):
            return Strided(extent, tensor.stride)
        return self._fail_tensor(
            name,
            f"its elements lie in another order than their indices: strides {list(tensor.stride)}",
            hint=f"convert it: {_CONVERT.replace('IN', file.name)}",
        )

    def _place(self, name: str) -> _Member:
        """A member's bytes: past its own header, whose length no table tells."""
        if name not in self._places:
            try:
                info = self._zip.getinfo(f"{self._folder}{name}")
            except KeyError:
                self._fail(f"has no member {printable(name)}")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                self._fail("is compressed, as torch's archives aren't")
            head = bytearray(30)
            if info.header_offset + 30 > self._file.size:
                self._fail("is no whole archive: a member begins after its end")
            self._file.read(info.header_offset, memoryview(head))
            lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            start = info.header_offset + 30 + lengths
            if head[:4] != b"PK\3\4" or start + info.file_size > self._file.size:
                self._fail("is no whole archive: a member isn't where its table says")
            self._places[name] = _Member(start, info.file_size)
        return self._places[name]

    def _no_archive(self, start: bytes) -> NoReturn:
        if start[:1] == b"\x80":
            self._fail(
                "is in the format that torch wrote before version 1.6, or another pickle",
                hint=f"convert it: {_CONVERT.replace('IN', self._file.place)}",
            )
        self._fail("is no file of torch.save")

    def _fail(self, problem: str, *, hint: str | None = None) -> NoReturn:
        raise CheckpointError.of("E0310", f"{self._file.place} {problem}", hint=hint) from None

    def _fail_tensor(
        self, name: str, problem: str, code: str = "E0312", *, hint: str | None = None
    ) -> NoReturn:
        message = f"{self._file.place}, tensor `{printable(name)}`: {problem}"
        raise CheckpointError.of(code, message, hint=hint)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = []
    step = 1
    for dimension in reversed(shape):
        strides.append(step)
        step *= dimension
    return tuple(reversed(strides))


def _has_rows(tensor: PickledTensor) -> bool:
    """Whether the last dimension lies in one piece, so that rows can be read."""
    return tensor.stride[-1] == 1 and all(step > 0 for step in tensor.stride)


class _Seekable(io.RawIOBase):
    """An open file as zipfile wants it; only its table of members is read through this."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._file.size - self._at))
        try:
            self._file.read(self._at, view[:count])
        except MergecError as error:
            raise OSError(str(error)) from None
        self._at += count
        return count
