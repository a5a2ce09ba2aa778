"""The beginning of a GGUF file -> what it says of the model, and where its tensors lie.

A file is untrusted input: lengths and offsets are checked against the file's size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NoReturn

from ...grammar.diagnostics import CheckpointError
from ..printable import printable
from ..stores import OpenFile

_BLOCK = 1 << 20  # bytes of the header that are read at once
_MOST_BYTES = 512 << 20
_MOST_TENSORS = 1 << 20
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class GgufEntry:
    """A tensor: shape as transformers has it, ggml's number of its type, its place in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """facts: the model's metadata but for lists. data: where the tensors begin; raw: all bytes."""

    facts: dict[str, Any]
    entries: tuple[GgufEntry, ...]
    raw: bytes


def read_gguf_header(file: OpenFile) -> GgufHeader:
    """Read it. Errors: CheckpointError E0310 for what isn't a whole GGUF file."""
    cursor = _Cursor(file)
    if cursor.take(4) != b"GGUF":
        cursor.fail("is no GGUF file")
    version = cursor.number("<I")
    if version not in (2, 3):
        cursor.fail(f"has version {version} of GGUF; 2 and 3 are read")
    count, facts_count = cursor.number("<Q"), cursor.number("<Q")
    if count > _MOST_TENSORS or facts_count > _MOST_TENSORS:
        cursor.fail(f"would have {count:,} tensors and {facts_count:,} facts")
    facts: dict[str, Any] = {}
    for _ in range(facts_count):
        key = cursor.string()
        value = cursor.value(cursor.number("<I"))
        if value is not None:
            facts[key] = value
    found = []
    for _ in range(count):
        name = cursor.string()
        dimensions = cursor.number("<I")
        if dimensions > 8:
            cursor.fail(f"gives `{printable(name)}` {dimensions} dimensions")
        shape = [cursor.number("<Q") for _ in range(dimensions)]
        found.append((name, tuple(reversed(shape)), cursor.number("<I"), cursor.number("<Q")))
    alignment = facts.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20:
        cursor.fail("has an alignment that is none")
    start = -(-cursor.at // alignment) * alignment
    entries = tuple(GgufEntry(name, shape, kind, start + at) for name, shape, kind, at in found)
    return GgufHeader(facts, entries, cursor.taken)


class _Cursor:
    """Reads a file from its beginning on, a block at a time."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._data = bytearray()
        self.at = 0

    @property
    def taken(self) -> bytes:
        """All that was taken."""
        return bytes(self._data[: self.at])

    def take(self, count: int) -> bytes:
        stop = self.at + count
        if stop > min(self._file.size, _MOST_BYTES):
            self.fail("is cut off, or no GGUF file")
        if stop > len(self._data):
            start = len(self._data)
            more = bytearray(min(self._file.size - start, max(_BLOCK, stop - start)))
            self._file.read(start, memoryview(more))
            self._data += more
        found = bytes(self._data[self.at : stop])
        self.at = stop
        return found

    def number(self, form: str) -> Any:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return value

    def string(self) -> str:
        text = self.take(self.number("<Q"))
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            self.fail("holds a text that isn't UTF-8")

    def value(self, kind: int) -> Any:
        """A fact; None for a list, such as the vocabulary, which is passed over."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.take(self.number("<Q")).decode("utf-8", "replace")
        if kind != _ARRAY:
            self.fail(f"has a fact of the unknown type {kind}")
        inner, count = self.number("<I"), self.number("<Q")
        if inner in _SCALARS:
            self.take(struct.calcsize(_SCALARS[inner]) * count)
        elif inner == _STRING:
            for _ in range(count):
                self.take(self.number("<Q"))
        else:
            self.fail("has lists of lists")
        return None

    def fail(self, problem: str) -> NoReturn:
        raise CheckpointError.of("E0310", f"{self._file.place} {problem}")
