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
from .arguments import ARRAYS
from .mathematics import Kernel

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
        self._row = ctypes.c_int64 * (len(self._types) + 2)

    def __call__(self, *arguments: Any) -> None:
        """One tile: buffers, count, start, and the arrays of `arguments.ARRAYS`."""
        first, last = self._buffers, self._buffers + 2  # count and start, between the arrays
        arrays = arguments[:first] + arguments[last:]
        assert [array.dtype for array in arrays] == self._types
        # several times faster than to ask numpy; refuses what isn't contiguous
        places = [*map(ctypes.addressof, map(ctypes.c_char.from_buffer, arrays))]
        places[first:first] = arguments[first:last]
        table = self._row(*places)  # a name of its own keeps it alive
        self._function(ctypes.addressof(table), 1)
