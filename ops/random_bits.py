"""Random bits that are a pure function of a key and an element's index.

A stream's key is a hash of the recipe's seed, the stage, the source and the tensor's name; the bits
of element i are a 32-bit integer mix of i with the two halves of the key. So two
sources, two tensors of one shape, two runs, any order and any thread count draw what they should,
and a tile can be computed anywhere. The same function exists three times, checked against each
other bit by bit: here for torch, in the kernels' source text, and in numpy in the tests.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KEEP_BITS = 24  # of the 32 random bits this many are compared: exact in float32
MULTIPLIERS = (0x9E3779B1, 0x21F0AAAD, 0x735A2D97)
SHIFTS = (16, 15, 15)
HIGH_STEP = 0x85EBCA6B  # spreads the index's upper half, above 2**32 elements
MASK32 = 0xFFFFFFFF


def stream_key(*parts: str | int) -> int:
    """A 63-bit key of the parts, which are told apart by their type and length."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return int.from_bytes(digest.digest(), "little") >> 1  # a signed 64-bit integer holds it


def keyed_bits_torch(key: int, index: torch.Tensor) -> torch.Tensor:
    """KEEP_BITS random bits per int64 index, as int64."""
    # int64 products wrap modulo 2**64, which leaves their low 32 bits right
    bits = ((index & MASK32) * MULTIPLIERS[0] + (key & MASK32)) & MASK32
    bits = bits ^ (bits >> SHIFTS[0])
    bits = (bits + (key >> 32) + (index >> 32) * HIGH_STEP) & MASK32
    bits = (bits * MULTIPLIERS[1]) & MASK32
    bits = bits ^ (bits >> SHIFTS[1])
    bits = (bits * MULTIPLIERS[2]) & MASK32
    bits = bits ^ (bits >> SHIFTS[2])
    return bits >> (32 - KEEP_BITS)
