"""A tensor's bytes, block by block in any order -> its checksum, taken as the blocks pass.

XXH3 (128 bits) of the blocks' own XXH3s, in the blocks' order; the size of a block is part of the
text, so that a reader can take the same one: `xxh3-1048576-0f3c…`. It finds damage, not attacks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import xxhash

_TEXT = re.compile(r"xxh3-([1-9][0-9]{0,11})-([0-9a-f]{32})")
LARGEST_BLOCK = 2**30


class Checksum:
    """Gathers the blocks of one tensor; `add` may be called by several threads at once."""

    def __init__(self, block: int) -> None:
        self._block = max(1, block)
        self._digests: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def add(self, start: int, data: memoryview) -> None:
        """The block that begins at byte `start`: all but the last are of the same size."""
        digest = xxhash.xxh3_128_digest(data)
        with self._lock:
            self._digests[start // self._block] = digest

    @property
    def text(self) -> str:
        """The checksum, once all blocks are there."""
        joined = b"".join(digest for _, digest in sorted(self._digests.items()))
        return f"xxh3-{self._block}-{xxhash.xxh3_128_hexdigest(joined)}"


def block_of(text: object) -> int | None:
    """The bytes of a checksum's blocks; None for a text that isn't a checksum."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    return int(found[1]) if found and int(found[1]) <= LARGEST_BLOCK else None


def checksum_of(read: Callable[[int, memoryview], None], nbytes: int, block: int) -> str:
    """The checksum of bytes that are read. read: fills a buffer from a byte on."""
    found = Checksum(block)
    room = memoryview(bytearray(min(block, nbytes)))
    for start in range(0, nbytes, block):
        piece = room[: min(block, nbytes - start)]
        read(start, piece)
        found.add(start, piece)
    return found.text


def matches(text: str, read: Callable[[int, memoryview], None], nbytes: int) -> bool:
    """Whether bytes have this checksum."""
    block = block_of(text)
    return block is not None and checksum_of(read, nbytes, block) == text
