"""Which machinery runs sweeps: generated machine code, or the same as torch operations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias

from ..compiler.kernels.compiled import find_kernel, is_cached
from ..compiler.kernels.mathematics import mathematics
from ..compiler.sweeps.program import Program, Segment
from ..grammar.diagnostics import ResourceError

BackendName: TypeAlias = Literal["auto", "native", "torch"]
Loading: TypeAlias = Callable[[bool], AbstractContextManager[None]]


class Backend(Protocol):
    """Turns a sweep's segment into a function on tiles; `kernels.compiled` says of what."""

    name: str
    compiled: int

    def kernel(self, program: Program, segment: Segment, loading: Loading) -> Callable[..., None]:
        """The segment's kernel; `loading` is entered while one is, told whether it is compiled."""
        ...


class NativeBackend:
    """Generated machine code, compiled once and kept on disk."""

    name = "native"

    def __init__(self) -> None:
        self.compiled = 0
        self._known: dict[tuple[Program, Segment], Callable[..., None]] = {}

    def kernel(self, program: Program, segment: Segment, loading: Loading) -> Callable[..., None]:
        key = (program, segment)
        if key not in self._known:
            kernel = mathematics(program, segment)
            compiles = not is_cached(kernel)
            self.compiled += compiles
            with loading(compiles):
                self._known[key] = find_kernel(kernel)
        return self._known[key]


class TorchBackend:
    """Sweeps as torch operations on tiles: the reference, and the way to devices."""

    name = "torch"

    def __init__(self, device: str) -> None:
        self.compiled = 0
        self._device = device

    def kernel(self, program: Program, segment: Segment, loading: Loading) -> Callable[..., None]:
        from ..compiler.kernels.torch_sweep import torch_kernel

        return torch_kernel(program, segment, self._device)


def find_backend(name: BackendName, device: str) -> Backend:
    """The backend of a name; `auto` is native on the CPU, else torch.

    Errors: ResourceError E0523 for machine code on a device.
    """
    if name == "torch" or (name == "auto" and device != "cpu"):
        return TorchBackend(device)
    if device != "cpu":
        raise ResourceError.of(
            "E0523", f"native kernels don't run on {device}", hint="--backend torch"
        )
    return NativeBackend()
