"""Kernel -> callable: its machine code, found in the cache or compiled now."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...machine_code.cache import code_digest, find_code, is_compiled
from ...machine_code.target import Processor, assembly, this_processor
from ...ops import primitives, random_bits
from .arguments import ARRAYS, TAIL
from .mathematics import Kernel

_SUMS = TAIL.index("sums") - TAIL.index("scalars")

_WRITERS = ("arguments.py", "block_functions.py", "codec.py", "emission.py")


def kernel_digest(kernel: Kernel) -> str:
    """The name of a kernel: a hash of its text and of everything that writes and compiles it."""
    return code_digest(kernel.text, *_writers())


@cache
def _writers() -> tuple[bytes, ...]:
    """The text of what writes kernels."""
    here = [Path(__file__).parent / name for name in _WRITERS]
    rows = [Path(str(module.__file__)) for module in (primitives, random_bits)]
    return tuple(path.read_bytes() for path in (*here, *rows))


def is_cached(kernel: Kernel) -> bool:
    """Whether the kernel needn't be compiled."""
    return is_compiled(kernel_digest(kernel))


def find_kernel(kernel: Kernel) -> CompiledKernel:
    """The compiled kernel. Errors: see `machine_code.cache.find_code`."""
    return CompiledKernel(kernel)


def kernel_llvm(kernel: Kernel, processor: Processor | None = None) -> str:
    """The kernel as LLVM IR, as it is written for a processor, this machine's if none is given."""
    from .emission import emit

    return emit(kernel, (processor or this_processor()).lanes)


def kernel_assembly(kernel: Kernel, processor: Processor | None = None) -> str:
    """The kernel as the processor gets it."""
    return assembly(kernel_llvm(kernel, processor), processor or this_processor())


class CompiledKernel:
    """A kernel that can be called, without the interpreter's lock, on arrays or on a table."""

    def __init__(self, kernel: Kernel) -> None:
        self._engine = find_code(kernel_digest(kernel), lambda: kernel_llvm(kernel))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
        self._function = function(self._engine.get_function_address("sweep"))
        self._buffers = len(kernel.buffers)
        self._types = [np.dtype(name) for name in (*kernel.buffers, *ARRAYS)]
        self._sizes = [kind.itemsize for kind in self._types[: self._buffers]]

    def __call__(self, *arguments: Any, tile: int = 0) -> None:
        """Buffers, count, start, and the arrays of `arguments.ARRAYS`.

        tile: elements of a tile where there are several, all of them if 0; sums has a row for each.
        """
        first, last = self._buffers, self._buffers + 2  # count and start, between the arrays
        arrays = arguments[:first] + arguments[last:]
        assert [array.dtype for array in arrays] == self._types
        # several times faster than to ask numpy; refuses what isn't contiguous
        places = [*map(ctypes.addressof, map(ctypes.c_char.from_buffer, arrays))]
        buffers, (scalars, keys, cuts, sums, bins) = places[:first], places[first:]
        count, start = arguments[first:last]
        tile = tile or count
        slots = arguments[last + _SUMS].shape[-1] * 8
        rows: list[int] = []
        for number, offset in enumerate(range(0, count, tile)):
            rows += [b + offset * size for b, size in zip(buffers, self._sizes, strict=True)]
            rows += [min(tile, count - offset), start + offset]
            rows += [scalars, keys, cuts, sums + number * slots, bins]
        table = (ctypes.c_int64 * len(rows))(*rows)  # a name of its own keeps it alive
        self._function(ctypes.addressof(table), len(rows) // (len(arrays) + 2))
