"""One .safetensors file -> where each of its tensors lies, read from the header alone.

A file is untrusted input: lengths, offsets, shapes and names are all checked here, so that nobody
downstream reads outside a file, divides a tensor wrongly or prints a terminal escape.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NoReturn, TypeAlias

from ...grammar.diagnostics import CheckpointError
from ...ops.dtypes import BY_CODE, DTYPES, DType
from ..printable import printable
from ..source_tensors import Extent
from ..stores import OpenFile, Store, StoredFile

MAX_HEADER_BYTES = 100_000_000  # the safetensors library refuses longer ones too
_MAX_SIZE = 2**63 - 1
_MAX_RANK = 64  # torch's and numpy's limit


Known: TypeAlias = dict[tuple[str, int], list[Extent]]
"""The tensors of files with this hash of their header and this size."""


def read_safetensors(store: Store, name: str, known: Known) -> tuple[StoredFile, list[Extent]]:
    """A file, and its tensors in the order of their offsets.

    known: what was read before, to be added to: fine-tunes of one model mostly have the same
    header, which then isn't parsed again.
    Errors: those of `Store.open`; E0310, E0312, E0313 (malformed).
    """
    opened = store.open(name)
    try:
        header = _read_header(opened)
    finally:
        opened.close()
    digest = hashlib.sha256(header).hexdigest()
    file = StoredFile(store, name, opened.size, (*opened.identity, digest), digest)
    if (same := known.get((digest, file.size))) is not None:
        # of its own, since a tensor is told from others by its identity
        return file, [Extent(t[0], t[1], t[2], file, t[4], t[5]) for t in same]
    data_start = 8 + len(header)
    tensors = list(_tensors(file, header, data_start))
    tensors.sort(key=attrgetter("offset"))
    _check_tiling(file.place, tensors, data_start, file.size)
    known[digest, file.size] = tensors
    return file, tensors


def _read_header(file: OpenFile) -> bytes:
    """The header's JSON, padding included."""
    place = file.place
    if file.size < 8:
        _fail("E0310", place, f"is not a safetensors file: it has {file.size} bytes")
    start = bytearray(8)
    file.read(0, memoryview(start))
    length = int.from_bytes(start, "little")
    if start == b"version ":
        hint = "fetch the file itself: git lfs pull"
        _fail("E0310", place, "is a Git LFS pointer, not the file that it stands for", hint=hint)
    if length > MAX_HEADER_BYTES:
        _fail("E0310", place, f"is not a safetensors file: its header would be {length:,} bytes")
    if length > file.size - 8:
        problem = f"its header needs {length + 8:,} bytes, the file has {file.size:,}"
        _fail("E0310", place, f"is truncated, or no safetensors file: {problem}")
    header = bytearray(length)
    file.read(8, memoryview(header))
    return bytes(header)


def _tensors(file: StoredFile, header: bytes, data_start: int) -> Iterator[Extent]:
    """The header's entries, each checked on its own, in the header's order."""
    kinds: dict[tuple[str, tuple[int, ...]], tuple[DType, tuple[int, ...], int]] = {}
    seen = set()
    place = file.place
    for name, entry in _parse(place, header):
        if name in seen:
            _fail("E0310", place, f"names `{printable(name)}` twice")
        seen.add(name)
        if name == "__metadata__":
            continue
        if not name.isprintable():
            _fail("E0312", place, f"has a tensor name with control characters: {printable(name)}")
        if type(entry) is not tuple:
            _fail_tensor(place, name, "an entry is an object of `dtype`, `shape`, `data_offsets`")
        try:
            code, shape, (begin, end) = entry
            key = (code, tuple(shape))
            if (kind := kinds.get(key)) is None:
                kind = kinds[key] = _kind(place, name, *key)
            dtype, dimensions, nbytes = kind
            fits = 0 <= begin <= _MAX_SIZE and end - begin == nbytes
        except (TypeError, ValueError):  # of a wrong type somewhere, or not two offsets
            _fail_tensor(place, name, "its shape and its two offsets must be whole numbers")
        if not fits:
            needed = f"{list(shape)} of {dtype} takes {nbytes:,} bytes"
            span = printable(f"{begin} to {end}")
            _fail_tensor(place, name, f"{needed}, its offsets are {span}")
        yield Extent(sys.intern(name), dtype, dimensions, file, data_start + begin, nbytes)


def _parse(place: str, header: bytes) -> list[tuple[str, Any]]:
    """The header as (name, entry) pairs; a well-formed entry is a tuple (dtype, shape, offsets)."""
    if not header.startswith(b"{"):
        _fail("E0310", place, "is not a safetensors file: its header doesn't begin with {")
    try:
        pairs = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=_entry,
            parse_float=_reject_number,
            parse_constant=_reject_number,
        )
    except (ValueError, RecursionError) as error:
        _fail("E0310", place, f"has a header that is not valid JSON: {error}")
    if not isinstance(pairs, list):
        _fail("E0310", place, "has a header that describes one tensor, not a table of them")
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
    place: str, name: str, code: str, shape: tuple[int, ...]
) -> tuple[DType, tuple[int, ...], int]:
    """dtype, shape and size in bytes of a tensor, if they are ones that a tensor can have."""
    dtype = BY_CODE.get(code)
    if dtype is None:
        known = ", ".join(d.code for d in DTYPES)
        _fail_tensor(place, name, f"unknown dtype {printable(code)}", hint=f"mergec reads {known}")
    if len(shape) > _MAX_RANK:
        _fail_tensor(place, name, f"it has {len(shape)} dimensions")
    nbytes = dtype.itemsize
    for dimension in shape:
        if type(dimension) is not int:
            raise TypeError
        if not 0 <= dimension <= _MAX_SIZE:
            _fail_tensor(place, name, "a dimension is negative or over 2**63 - 1")
        nbytes *= dimension
    if nbytes > _MAX_SIZE:
        _fail_tensor(place, name, f"shape {list(shape)} overflows")
    return dtype, shape, nbytes


def _check_tiling(place: str, tensors: list[Extent], data_start: int, size: int) -> None:
    """The tensors, in order, must fill the file from the header to its end: no overlap, no hole."""
    position = data_start
    previous = None
    for tensor in tensors:
        if tensor.nbytes == 0 and tensor.offset <= size:
            continue
        if tensor.offset < position:
            overlap = f"it overlaps `{previous.name}`" if previous else "it lies in the header"
            _fail_tensor(place, tensor.name, overlap, code="E0313")
        if tensor.offset > position:
            gap = f"{tensor.offset - position:,} bytes before it belong to no tensor"
            _fail_tensor(place, tensor.name, gap, code="E0313")
        position = tensor.offset + tensor.nbytes
        previous = tensor
        if position > size:
            cut = f"tensor `{tensor.name}` ends at byte {position:,}, the file has {size:,}"
            _fail(
                "E0313",
                place,
                f"is truncated: {cut}",
                hint="the download or copy of this file is not complete; fetch it again",
            )
    if position < size:
        _fail("E0313", place, f"has {size - position:,} bytes at its end that belong to no tensor")


def _fail(code: str, place: str, problem: str, *, hint: str | None = None) -> NoReturn:
    raise CheckpointError.of(code, f"{place} {problem}", hint=hint)


def _fail_tensor(
    place: str, name: str, problem: str, *, code: str = "E0312", hint: str | None = None
) -> NoReturn:
    raise CheckpointError.of(code, f"{place}, tensor `{printable(name)}`: {problem}", hint=hint)
