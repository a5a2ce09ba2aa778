"""One .safetensors file -> where each of its tensors lies, read from the header alone.

A file is untrusted input: lengths, offsets, shapes and names are all checked here, so that nobody
downstream reads outside a file, divides a tensor wrongly or prints a terminal escape.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from ..grammar.diagnostics import CheckpointError
from ..ops.dtypes import BY_CODE, DTYPES, DType

MAX_HEADER_BYTES = 100_000_000  # the safetensors library refuses longer ones too
_MAX_SIZE = 2**63 - 1
_MAX_RANK = 64  # torch's and numpy's limit


class TensorInfo(NamedTuple):
    """Where one tensor lies. A tuple, since a mixture of experts has 100,000 of them."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: int
    """Index into the checkpoint's files."""
    offset: int
    """Absolute byte offset in that file."""
    nbytes: int


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A .safetensors file, and what identifies its content without reading all of it."""

    path: Path
    real_path: str
    size: int
    mtime_ns: int
    header_sha256: str

    @property
    def blob_hash(self) -> str | None:
        """The content hash that a Hugging Face cache names its blob by, if the file is one."""
        *_, folder, parent, name = ("", "", *Path(self.real_path).parts)
        is_hash = len(name) == 64 and not set(name) - set("0123456789abcdef")
        return name if is_hash and "blobs" in (folder, parent) else None

    @property
    def identity(self) -> tuple[str | int, ...]:
        """Equal for two files only if their content is equal, as far as build systems can tell."""
        if blob := self.blob_hash:
            return ("blob", blob, self.size, self.header_sha256)
        return ("file", self.real_path, self.size, self.mtime_ns, self.header_sha256)


Known: TypeAlias = dict[tuple[str, int], list[TensorInfo]]
"""The tensors of files with this hash of their header and this size."""


def read_header(
    path: Path, file: int, known: Known | None = None
) -> tuple[CheckpointFile, list[TensorInfo]]:
    """The file's identity, and its tensors in the order of their offsets.

    `file` is the number that the tensors give as theirs. known: what was read before, to be added
    to: fine-tunes of one model mostly have the same header, which then isn't parsed again.
    Errors: CheckpointError E0602, E0603 (missing, unreadable), E0310, E0312, E0313 (malformed).
    """
    try:
        header, status = _read_bytes(path)
    except FileNotFoundError:
        raise CheckpointError.of("E0602", f"{path} is missing") from None
    except OSError as error:
        raise CheckpointError.of("E0603", f"can't read {path}: {error.strerror}") from None
    digest = hashlib.sha256(header).hexdigest()
    known = {} if known is None else known
    if (same := known.get((digest, status.st_size))) is not None:
        # of its own, since a tensor is told from others by its identity
        tensors = [TensorInfo(t[0], t[1], t[2], file, t[4], t[5]) for t in same]
    else:
        data_start = 8 + len(header)
        tensors = list(_tensors(path, file, header, data_start))
        tensors.sort(key=attrgetter("offset"))
        _check_tiling(path, tensors, data_start, status.st_size)
        known[digest, status.st_size] = tensors
    identity = CheckpointFile(
        path, os.path.realpath(path), status.st_size, status.st_mtime_ns, digest
    )
    return identity, tensors


def _read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """The header's JSON, padding included, and the status of the very file that it came from."""
    # O_NONBLOCK: opening a named pipe must fail below, not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            _fail("E0603", path, "is not a regular file")
        if status.st_size < 8:
            _fail("E0310", path, f"is not a safetensors file: it has {status.st_size} bytes")
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if start == b"version ":
            hint = "fetch the file itself: git lfs pull"
            _fail("E0310", path, "is a Git LFS pointer, not the file that it stands for", hint=hint)
        if length > MAX_HEADER_BYTES:
            _fail("E0310", path, f"is not a safetensors file: its header would be {length:,} bytes")
        if length > status.st_size - 8:
            problem = f"its header needs {length + 8:,} bytes, the file has {status.st_size:,}"
            _fail("E0310", path, f"is truncated, or no safetensors file: {problem}")
        header = stream.read(length)
        if len(header) < length:
            _fail("E0603", path, "shrank while it was read")
        return header, status


def _tensors(path: Path, file: int, header: bytes, data_start: int) -> Iterator[TensorInfo]:
    """The header's entries, each checked on its own, in the header's order."""
    kinds: dict[tuple[str, tuple[int, ...]], tuple[DType, tuple[int, ...], int]] = {}
    seen = set()
    for name, entry in _parse(path, header):
        if name in seen:
            _fail("E0310", path, f"names `{printable(name)}` twice")
        seen.add(name)
        if name == "__metadata__":
            continue
        if not name.isprintable():
            _fail("E0312", path, f"has a tensor name with control characters: {printable(name)}")
        if type(entry) is not tuple:
            _fail_tensor(path, name, "an entry is an object of `dtype`, `shape`, `data_offsets`")
        try:
            code, shape, (begin, end) = entry
            key = (code, tuple(shape))
            if (kind := kinds.get(key)) is None:
                kind = kinds[key] = _kind(path, name, *key)
            dtype, dimensions, nbytes = kind
            fits = 0 <= begin <= _MAX_SIZE and end - begin == nbytes
        except (TypeError, ValueError):  # of a wrong type somewhere, or not two offsets
            _fail_tensor(path, name, "its shape and its two offsets must be whole numbers")
        if not fits:
            needed = f"{list(shape)} of {dtype} takes {nbytes:,} bytes"
            span = printable(f"{begin} to {end}")
            _fail_tensor(path, name, f"{needed}, its offsets are {span}")
        yield TensorInfo(sys.intern(name), dtype, dimensions, file, data_start + begin, nbytes)


def _parse(path: Path, header: bytes) -> list[tuple[str, Any]]:
    """The header as (name, entry) pairs; a well-formed entry is a tuple (dtype, shape, offsets)."""
    if not header.startswith(b"{"):
        _fail("E0310", path, "is not a safetensors file: its header doesn't begin with {")
    try:
        pairs = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=_entry,
            parse_float=_reject_number,
            parse_constant=_reject_number,
        )
    except (ValueError, RecursionError) as error:
        _fail("E0310", path, f"has a header that is not valid JSON: {error}")
    if not isinstance(pairs, list):
        _fail("E0310", path, "has a header that describes one tensor, not a table of them")
    return pairs


def _entry(pairs: list[tuple[str, Any]]) -> object:
    if len(pairs) == 3:
        (first, dtype), (second, shape), (third, offsets) = pairs
        if first != "dtype" or second != "shape" or third != "data_offsets":
            fields = dict(pairs)
            if fields.keys() != {"dtype", "shape", "data_offsets"}:
                return pairs
            dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        if type(dtype) is str:
            return dtype, shape, offsets
    return pairs


def _reject_number(text: str) -> NoReturn:
    raise ValueError(f"unexpected number {text[:40]}")


def _kind(
    path: Path, name: str, code: str, shape: tuple[int, ...]
) -> tuple[DType, tuple[int, ...], int]:
    """dtype, shape and size in bytes of a tensor, if they are ones that a tensor can have."""
    dtype = BY_CODE.get(code)
    if dtype is None:
        known = ", ".join(d.code for d in DTYPES)
        _fail_tensor(path, name, f"unknown dtype {printable(code)}", hint=f"mergec reads {known}")
    if len(shape) > _MAX_RANK:
        _fail_tensor(path, name, f"it has {len(shape)} dimensions")
    nbytes = dtype.itemsize
    for dimension in shape:
        if type(dimension) is not int:
            raise TypeError
        if not 0 <= dimension <= _MAX_SIZE:
            _fail_tensor(path, name, "a dimension is negative or over 2**63 - 1")
        nbytes *= dimension
    if nbytes > _MAX_SIZE:
        _fail_tensor(path, name, f"shape {list(shape)} overflows")
    return dtype, shape, nbytes


def _check_tiling(path: Path, tensors: list[TensorInfo], data_start: int, size: int) -> None:
    """The tensors, in order, must fill the file from the header to its end: no overlap, no hole."""
    position = data_start
    previous = None
    for tensor in tensors:
        if tensor.nbytes == 0 and tensor.offset <= size:
            continue
        if tensor.offset < position:
            overlap = f"it overlaps `{previous.name}`" if previous else "it lies in the header"
            _fail_tensor(path, tensor.name, overlap, code="E0313")
        if tensor.offset > position:
            gap = f"{tensor.offset - position:,} bytes before it belong to no tensor"
            _fail_tensor(path, tensor.name, gap, code="E0313")
        position = tensor.offset + tensor.nbytes
        previous = tensor
        if position > size:
            cut = f"tensor `{tensor.name}` ends at byte {position:,}, the file has {size:,}"
            _fail(
                "E0313",
                path,
                f"is truncated: {cut}",
                hint="the download or copy of this file is not complete; fetch it again",
            )
    if position < size:
        _fail("E0313", path, f"has {size - position:,} bytes at its end that belong to no tensor")


def printable(text: str) -> str:
    """A name from an untrusted file, short and without control characters."""
    short = text if len(text) <= 120 else text[:117] + "..."
    return short if short.isprintable() else ascii(short)


def _fail(code: str, path: Path, problem: str, *, hint: str | None = None) -> NoReturn:
    raise CheckpointError.of(code, f"{path} {problem}", hint=hint)


def _fail_tensor(
    path: Path, name: str, problem: str, *, code: str = "E0312", hint: str | None = None
) -> NoReturn:
    raise CheckpointError.of(code, f"{path}, tensor `{printable(name)}`: {problem}", hint=hint)
