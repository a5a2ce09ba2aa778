"""The random bits once more, in numpy's 32-bit integers, as `ops.streams` describes them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def keyed_bits(key: int, index: Array) -> Array:
    """24 random bits for each element index (any integer type, up to 2**63)."""
    wide = index.astype(np.uint64)
    low = (wide & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (wide >> np.uint64(32)).astype(np.uint32)
    h = low * np.uint32(0x9E3779B1) + np.uint32(key & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h += np.uint32(key >> 32) + high * np.uint32(0x85EBCA6B)
    h *= np.uint32(0x21F0AAAD)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x735A2D97)
    h ^= h >> np.uint32(15)
    return h >> np.uint32(8)


def mask(key: int, probability: float, count: int, start: int = 0) -> Array:
    """Which of `count` elements from `start` on a stream keeps."""
    index = np.arange(count, dtype=np.uint64) + np.uint64(start)
    return keyed_bits(key, index) < np.float32(probability * 2.0**24)
