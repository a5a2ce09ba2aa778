"""Programs on arrays in memory: what a run does to files, done to numpy arrays of stored bits.

from kernels.harness import invoke, one_input, run
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from mergec.compiler.kernels.arguments import STORAGE
from mergec.compiler.planning.strategies import StrategyFinder
from mergec.compiler.sweeps.components import Component, Target, Template
from mergec.compiler.sweeps.program import Program, Segment
from mergec.ops.dtypes import BY_NAME, DType, float32
from mergec.ops.eager import EagerRandom
from mergec.ops.method import Method
from mergec.ops.symbols import Tracer
from mergec.runtime.backends import NativeBackend, TorchBackend
from mergec.runtime.buffers import Buffers
from mergec.runtime.jobs import Job
from mergec.runtime.meters import Meter
from mergec.runtime.pools import Pools

Array = np.ndarray[Any, np.dtype[Any]]
TILE = 128 * 1024
"""Elements of a tile: sizes in tests are chosen around it."""
BACKENDS: dict[str, Any] = {"native": NativeBackend(), "torch": TorchBackend("cpu")}
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def to_bits(x: torch.Tensor) -> Array:
    """A tensor as a kernel's buffer: numpy has no bfloat16, so small floats are unsigned words."""
    storage = np.dtype(STORAGE[str(x.dtype).removeprefix("torch.")])
    return x.contiguous().view(INTEGERS[x.dtype.itemsize]).numpy().view(storage)


def from_bits(bits: Array, dtype: str) -> torch.Tensor:
    """The tensor whose buffer `to_bits` gives."""
    size = bits.dtype.itemsize
    integers = np.dtype("u1" if size == 1 else f"i{size}")
    return torch.from_numpy(bits.view(integers).copy()).view(getattr(torch, dtype))


def kernel(program: Program, segment: Segment, backend: str = "native") -> Callable[..., None]:
    """The kernel of a segment of a sweep."""
    found: Callable[..., None] = BACKENDS[backend].kernel(program, segment, nullcontext)
    return found


def segments(program: Program) -> list[Segment]:
    """All kernel calls of a program's sweeps, in order."""
    inputs = [torch.empty(TILE) for _ in program.inputs]
    option = StrategyFinder().strategies(_component(program, inputs))[0]
    return [segment for sweep in option.sweeps for segment in sweep.segments]


def run(
    program: Program,
    inputs: Sequence[torch.Tensor],
    params: Sequence[float] = (),
    keys: Sequence[int] = (),
    backend: str = "native",
) -> list[torch.Tensor]:
    """The program's outputs, computed by the runtime's own job, tile by tile."""
    component = _component(program, inputs, params, keys)
    size = component.numel
    outputs = [np.zeros(size * dtype.itemsize, np.uint8) for _, dtype in program.outputs]
    files: Any = _Memory(inputs, outputs)
    option = StrategyFinder().strategies(component)[0]
    buffers = Buffers()
    job = Job(
        component=component,
        option=option,
        sweeps=option.sweeps,
        pools=Pools({}, program.compute),
        writers=[[files.writer(Path(str(i)), 0)] for i in range(len(outputs))],
        files=files,
        kernel_of=lambda program, segment: kernel(program, segment, backend),
        spill_folder=Path(tempfile.gettempdir()),
        meter=Meter(),
        buffers=buffers,
    )
    while not job.done:
        chunk = job.take()
        assert chunk is not None
        job.run(chunk, buffers)
    return [
        from_bits(bits.view(STORAGE[dtype.name]), dtype.name).reshape(component.shape)
        for bits, (_, dtype) in zip(outputs, program.outputs, strict=True)
    ]


class _Input(NamedTuple):
    """Stands for a graph's load: an input's number and what a job asks of its tensor."""

    number: int
    tensor: Any


def _component(
    program: Program,
    inputs: Sequence[torch.Tensor],
    params: Sequence[float] = (),
    keys: Sequence[int] = (),
) -> Component:
    loads: Any = tuple(
        _Input(
            i, SimpleNamespace(dtype=dtype, shape=tuple(x.shape), nbytes=x.nbytes, cost=x.nbytes)
        )
        for i, (x, dtype) in enumerate(zip(inputs, program.inputs, strict=True))
    )
    return Component(
        template=Template(program, False, ()),
        nodes=(),
        loads=loads,
        targets=tuple((Target(0, str(i)),) for i in range(len(program.outputs))),
        params=tuple(params),
        keys=tuple(keys),
        pools=(),
        shape=tuple(inputs[0].shape),
    )


class _Memory:
    """The part of `runtime.files.Files` that a job uses, on arrays."""

    def __init__(self, inputs: Sequence[torch.Tensor], outputs: Sequence[Array]) -> None:
        self._inputs = [to_bits(x.flatten()).view(np.uint8) for x in inputs]
        self._outputs = outputs

    def reader(self, load: _Input) -> _Reader:
        return _Reader(self._inputs[load.number])

    def writer(self, path: Path, offset: int) -> _Writer:
        return _Writer(self._outputs[int(path.name)])

    def count(self, read: int, written: int) -> None:
        pass


class _Reader:
    def __init__(self, data: Array) -> None:
        self._data = data

    def read(self, start: int, into: memoryview) -> None:
        into[:] = self._data[start : start + len(into)].data

    def soon(self, start: int, count: int) -> None:
        pass


class _Writer:
    def __init__(self, data: Array) -> None:
        self._data = data

    def write(self, start: int, data: memoryview, aligned: bool = False) -> None:
        self._data[start : start + len(data)] = np.frombuffer(data, np.uint8)


def traced(
    function: Callable[..., Any],
    inputs: Sequence[str],
    params: Sequence[float] = (),
    output: str = "float32",
    compute: DType = float32,
) -> Program:
    """The program of a function of (tracer, input symbols, parameter symbols)."""
    tracer = Tracer()
    xs = [tracer.input(i) for i in range(len(inputs))]
    result = function(tracer, xs, [tracer.param(i, value) for i, value in enumerate(params)])
    return Program(
        nodes=tuple(tracer.nodes),
        inputs=tuple(BY_NAME[name] for name in inputs),
        outputs=((result.index, BY_NAME[output]),),
        compute=compute,
        refuses_nonfinite=False,
    )


class Call:
    """A method's call on tensors.

    values: by parameter name, of columns as lists; a column of models holds its tensors.
    """

    def __init__(
        self,
        method: Method,
        sources: Sequence[torch.Tensor],
        base: torch.Tensor | None,
        values: dict[str, Any],
        keys: Sequence[int] = (),
    ) -> None:
        self.method = method
        self.sources = list(sources)
        self.base = base
        self.values = values
        self.keys = list(keys) or [1000 + i for i in range(len(sources))]

    @property
    def inputs(self) -> list[torch.Tensor]:
        """The tensors in a node's order: sources, models beside them, the base."""
        beside = [x for p in self.method.model_columns for x in self.values[p.name]]
        return [*self.sources, *beside, *([] if self.base is None else [self.base])]

    def eager(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The reference: the method's function on whole tensors in a dtype."""
        base = None if self.base is None else self.base.to(dtype)
        xs = [x.to(dtype) for x in self.sources]
        beside = {
            p.name: [x.to(dtype) for x in self.values[p.name]] for p in self.method.model_columns
        }
        random = EagerRandom(self.keys)
        found: torch.Tensor = self.method(xs, base, random, self.values | beside)
        return found

    def compiled(
        self, backend: str = "native", output: str = "float32", compute: DType = float32
    ) -> torch.Tensor:
        """The same by sweeps."""
        program, params = self.program(output, compute)
        return run(program, self.inputs, params, self.keys, backend)[0]

    def program(
        self, output: str = "float32", compute: DType = float32
    ) -> tuple[Program, tuple[float, ...]]:
        """The call as a program, and the values of its parameters."""
        method, values = self.method, dict(self.values)
        for parameter in method.model_columns:
            values[parameter.name] = [True] * len(self.sources)  # the tensor is there
        columns: list[dict[str, Any]] = [
            {p.name: values[p.name][i] for p in method.columns} for i in range(len(self.sources))
        ]
        settings = {p.name: values[p.name] for p in method.parameters if not p.per_source}
        static, params = method.flatten(columns, settings)
        trace = method.trace(len(self.sources), self.base is not None, static, params)
        program = Program(
            nodes=trace.nodes,
            inputs=tuple(BY_NAME[str(x.dtype).removeprefix("torch.")] for x in self.inputs),
            outputs=((trace.result, BY_NAME[output]),),
            compute=compute,
        )
        return program, tuple(params)


def assert_same_bits(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Bit for bit the same; a NaN is any NaN."""
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    integers = INTEGERS[found.dtype.itemsize]
    wide_found, wide_wanted = found.to(torch.float64), wanted.to(torch.float64)
    differs = found.view(integers) != wanted.view(integers)
    differs &= ~(wide_found.isnan() & wide_wanted.isnan())
    places = differs.nonzero().flatten()[:4].tolist()
    assert not places, [
        (place, float(wide_found.flatten()[place]), float(wide_wanted.flatten()[place]))
        for place in places
    ]
