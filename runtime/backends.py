"""Which machinery runs sweeps: generated kernels (numba), or the same as torch operations."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Literal, Protocol

from ..compiler.kernels.cache import find_kernel, is_cached
from ..compiler.kernels.source import kernel_source
from ..compiler.sweeps.program import Program, Segment
from ..grammar.diagnostics import ResourceError

Busy = Callable[[bool], None]


class Backend(Protocol):
    """Turns a sweep's segment into a function on tiles; `kernels.source` says of what arguments."""

    name: str
    compiled: int

    def kernel(self, program: Program, segment: Segment, busy: Busy) -> Callable[..., None]:
        """The segment's kernel; `busy` is told when compiling one begins and ends."""
        ...


class NumbaBackend:
    """Generated kernels, compiled once and kept on disk."""

    name = "numba"

    def __init__(self) -> None:
        self.compiled = 0
        # by identity; what is kept beside the kernel keeps its identity from being another's
        self._known: dict[tuple[int, int], tuple[Callable[..., None], Program, Segment]] = {}

    def kernel(self, program: Program, segment: Segment, busy: Busy) -> Callable[..., None]:
        key = (id(program), id(segment))
        if key not in self._known:
            self._known[key] = self._load(program, segment, busy), program, segment
        return self._known[key][0]

    def _load(self, program: Program, segment: Segment, busy: Busy) -> Callable[..., None]:
        source = kernel_source(program, segment)
        if is_cached(source):
            return find_kernel(source)
        busy(True)
        try:
            self.compiled += 1
            return find_kernel(source)
        finally:
            busy(False)


class TorchBackend:
    """Sweeps as torch operations on tiles: the reference, and the way to devices."""

    name = "torch"

    def __init__(self, device: str) -> None:
        self.compiled = 0
        self._device = device

    def kernel(self, program: Program, segment: Segment, busy: Busy) -> Callable[..., None]:
        from ..compiler.kernels.torch_sweep import torch_kernel

        return torch_kernel(program, segment, self._device)


def find_backend(name: Literal["auto", "numba", "torch"], device: str) -> Backend:
    """The backend of a name; `auto` is numba on the CPU where it is installed, else torch."""
    has_numba = importlib.util.find_spec("numba") is not None
    if name == "numba" or (name == "auto" and device == "cpu" and has_numba):
        if not has_numba:
            raise ResourceError.of("E0523", "numba isn't installed", hint="--backend torch")
        if device != "cpu":
            raise ResourceError.of(
                "E0523", f"numba kernels don't run on {device}", hint="--backend torch"
            )
        return NumbaBackend()
    return TorchBackend(device)
