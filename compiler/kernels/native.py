"""Kernel source -> object code, by numba; object code -> callable, by LLVM alone.

A process that finds its kernels compiled never imports numba. What numba compiles is a function of
plain addresses and integers (arrays would bring its reference counting along), called by its
convention: (address of the result, address of an exception, arguments) -> status, 0 where nothing
was raised.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from .arguments import ARRAYS
from .source import KernelSource

_ENTRY = "sweep"


@cache
def processor() -> tuple[str, str]:
    """The name of this machine's processor, and the features that kernels may use.

    LLVM avoids 512-bit vectors on processors that have them, for the sake of code that uses them
    now and then; kernels run twice as fast with them. It changes no bits.
    """
    features = dict(llvm.get_host_cpu_features())
    if "avx512f" in features:
        features["prefer-256-bit"] = False
    return llvm.get_host_cpu_name(), ",".join(
        f"{'+' if has else '-'}{name}" for name, has in sorted(features.items())
    )


def compile_kernel(source: KernelSource) -> bytes:
    """Object code of a kernel for this machine. Imports numba; takes a second or two."""
    from numba.core import config

    settings: Any = config
    if settings.CPU_FEATURES is None and settings.CPU_NAME is None:
        settings.CPU_NAME, settings.CPU_FEATURES = processor()
    names: dict[str, Any] = {"__name__": "mergec_kernel"}
    exec(compile(source.text, "<kernel>", "exec"), names)
    compiled = names[_ENTRY]
    module = llvm.parse_assembly(compiled.inspect_llvm())
    # numba's C wrapper, which calls into numba where something is raised, isn't emitted like this
    module.get_function(compiled.native_name).linkage = llvm.Linkage.available_externally
    module.get_function(compiled.native_name.removeprefix("cfunc.")).name = _ENTRY
    return bytes(_target().emit_object(module))


class NativeKernel:
    """The kernel of object code; it takes the arguments that `kernels.source` says, as arrays."""

    def __init__(self, code: bytes, source: KernelSource) -> None:
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._buffers = len(source.buffers)
        self._types = [np.dtype(name) for name in (*source.buffers, *ARRAYS)]
        address, integer = ctypes.c_void_p, ctypes.c_int64
        before = [address] * (2 + self._buffers)
        arguments = [*before, integer, integer, *[address] * len(ARRAYS)]
        function = ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)
        self._function = function(self._engine.get_function_address(_ENTRY))
        self._result, self._exception = (address * 1)(), (address * 1)()

    def __call__(self, *arguments: Any) -> None:
        first, last = self._buffers, self._buffers + 2  # count and start, between the arrays
        arrays = arguments[:first] + arguments[last:]
        assert [array.dtype for array in arrays] == self._types
        # several times faster than to ask numpy; refuses what isn't contiguous
        places = [*map(ctypes.addressof, map(ctypes.c_char.from_buffer, arrays))]
        places[first:first] = arguments[first:last]
        status = self._function(self._result, self._exception, *places)
        assert status == 0


def _target() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = processor()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine: llvm.TargetMachine = target.create_target_machine(
        cpu=name, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )
    return machine
