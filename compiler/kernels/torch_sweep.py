"""Segment -> callable on a tile, as torch operations: what the generated kernel does, unfused.

It takes the arguments of a compiled kernel (the tile's buffers as numpy arrays of stored bits, then
count, start, scalars, keys, cuts, sums, bins) and fills the same ones, so that either can run a
job. Elements, random bits and selections are those of the generated kernel bit by bit; sums are
added up in another order and agree to float32 rounding. It serves as reference and for devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from ...ops.dtypes import DType
from ...ops.primitives import TABLE, Role, ValueKind
from ...ops.random_bits import KEEP_BITS, keyed_bits_torch
from ...ops.symbols import Instruction
from ..sweeps.program import Program, Segment
from .arguments import (
    COUNT,
    CUT,
    GUESS,
    KEEP,
    KEPT,
    LOW,
    OFF,
    SHIFT,
    SPAN,
    UNTIL,
    WANTED,
    look_slots,
    sum_slots,
)

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_MOST = (1 << 63) - 1  # the largest int64: no magnitude's bits are above it
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By width in bytes, the integers that torch can share with numpy and reinterpret as floats."""


@dataclass
class _Tile:
    """One call's arguments, and the values found so far by node: tensors of `count` elements."""

    count: int
    start: int
    keys: Array
    cuts: Array
    device: torch.device
    values: dict[int, torch.Tensor]

    def index(self) -> torch.Tensor:
        """The tensor index of each element, in int64."""
        stop = self.start + self.count
        return torch.arange(self.start, stop, dtype=torch.int64, device=self.device)


def torch_kernel(program: Program, segment: Segment, device: str) -> Callable[..., None]:
    """The segment on a torch device; called as a `CompiledKernel` is."""
    return _TorchSegment(program, segment, torch.device(device))


class _TorchSegment:
    def __init__(self, program: Program, segment: Segment, device: torch.device) -> None:
        self._program = program
        self._segment = segment
        self._device = device
        self._real = _torch_dtype(program.compute)
        nodes = program.nodes
        self._selections = [i for i, node in enumerate(nodes) if node.kind is ValueKind.SELECTION]
        self._input_nodes = {int(n.attr[0]): i for i, n in enumerate(nodes) if n.role is Role.INPUT}

    def __call__(self, *arguments: Any, tile: int = 0) -> None:
        *buffers, count, start, scalars, keys, cuts, sums, bins = arguments
        rows = sums.reshape(-1, sums.shape[-1])
        for number, offset in enumerate(range(0, count, tile or count)):
            stop = min(count, offset + (tile or count))
            at = [buffer[offset:stop] for buffer in buffers]
            self._tile(*at, stop - offset, start + offset, scalars, keys, cuts, rows[number], bins)

    def _tile(self, *arguments: Any) -> None:
        *buffers, count, start, scalars, keys, cuts, sums, bins = arguments
        tile = _Tile(int(count), int(start), keys, cuts, self._device, {})
        incoming = len(self._segment.reads) + len(self._segment.fetches)
        self._load(tile, buffers[:incoming], scalars)
        if self._segment.checks:
            inputs = [tile.values[self._input_nodes[slot]] for slot in self._segment.checks]
            finite = all(bool(torch.isfinite(value).all()) for value in inputs)
            sums[sum_slots(self._segment) - 1] = 0.0 if finite else 1.0
        for index in self._segment.elements:
            value = self._primitive(tile, index, self._program.nodes[index])
            tile.values[index] = value.expand(tile.count)
        self._store(tile, buffers[incoming:])
        self._reduce(tile, sums)
        self._count(tile, sums, bins)

    def _load(self, tile: _Tile, buffers: Sequence[Array], scalars: Array) -> None:
        """Decode inputs and held values; scalars are tensors without dimensions, rounded alike."""
        segment, nodes = self._segment, self._program.nodes
        for slot, buffer in zip(segment.reads, buffers, strict=False):
            stored = _as_torch(buffer[: tile.count]).to(self._device)
            dtype = _torch_dtype(self._program.inputs[slot])
            tile.values[self._input_nodes[slot]] = stored.view(dtype).to(self._real)
        for index, buffer in zip(segment.fetches, buffers[len(segment.reads) :], strict=True):
            held = _as_torch(buffer[: tile.count]).view(self._real).to(self._device)
            tile.values[index] = held != 0 if nodes[index].kind is ValueKind.MASK else held
        for place, index in enumerate(segment.scalars):
            number = float(scalars[place])
            is_flag = nodes[index].kind is ValueKind.FLAG
            tile.values[index] = torch.tensor(
                number != 0.0 if is_flag else number,
                dtype=torch.bool if is_flag else self._real,
                device=self._device,
            )

    def _primitive(self, tile: _Tile, index: int, node: Instruction) -> torch.Tensor:
        args = [tile.values[i] for i in node.args if i in tile.values]
        indexed = _INDEXED.get(node.role)
        if indexed is not None:
            return indexed(self, tile, node, *args)
        value: torch.Tensor = _eager(node)(*args, *node.attr)
        return value

    def _bernoulli(self, tile: _Tile, node: Instruction, chance: torch.Tensor) -> torch.Tensor:
        drawn = keyed_bits_torch(int(tile.keys[int(node.attr[0])]), tile.index())
        return drawn.to(torch.float32) < chance.to(torch.float32) * float(1 << KEEP_BITS)

    def _selected(self, tile: _Tile, node: Instruction, x: torch.Tensor) -> torch.Tensor:
        row = self._selections.index(node.args[1])
        bits, cut = _magnitude_bits(x), min(int(tile.cuts[row, CUT]), _MOST)
        return (bits > cut) | ((bits == cut) & (tile.index() < int(tile.cuts[row, UNTIL])))

    def _store(self, tile: _Tile, buffers: Sequence[Array]) -> None:
        """Round outputs to their dtypes; held values stay in the compute dtype."""
        outputs = [self._program.outputs[number] for number in self._segment.writes]
        outputs += [(index, self._program.compute) for index in self._segment.stores]
        for (index, dtype), buffer in zip(outputs, buffers, strict=True):
            value = _encoded(tile.values[index].expand(tile.count), _torch_dtype(dtype))
            _as_torch(buffer[: tile.count]).copy_(value.contiguous().view(_BITS[dtype.itemsize]))

    def _reduce(self, tile: _Tile, sums: Array) -> None:
        for place, index in enumerate(self._segment.sums):
            node = self._program.nodes[index]
            args = [tile.values[i].expand(tile.count) for i in node.args]
            sums[place] = _eager(node)(*args)

    def _count(self, tile: _Tile, sums: Array, bins: Array) -> None:
        """What looks count: magnitudes in bins, above guesses and equal to them; the wanted one."""
        for number, place in enumerate(look_slots(self._segment)):
            look = self._segment.looks[number]
            x = tile.values[self._program.nodes[look.selection].args[0]].expand(tile.count)
            row = [int(entry) for entry in tile.cuts[self._selections.index(look.selection)]]
            bits = _magnitude_bits(x)
            sums[place] = _wanted(tile, bits, row)
            for guess in range(row[COUNT]):
                value = min(row[GUESS + guess], _MOST)
                sums[place + 1 + 2 * guess] = int((bits > value).sum())
                sums[place + 2 + 2 * guess] = int((bits == value).sum())
            if row[SHIFT] == KEEP:
                found = bits - row[LOW]
                found = found[(found >= 0) & (found <= row[SPAN])]
                sums[place + KEPT] = len(found)
                room = bins.shape[1]
                bins[number, : min(len(found), room)] = found[:room].cpu().numpy().astype(np.uint32)
            elif row[SHIFT] != OFF:
                low = row[LOW] - (1 << 64) if row[LOW] > _MOST else row[LOW]
                found = (bits - low) >> row[SHIFT]
                found = found[(found >= 0) & (found < bins.shape[1])]
                counts = torch.bincount(found, minlength=bins.shape[1])
                bins[number] += counts.cpu().numpy().astype(np.uint32)


_INDEXED: dict[Role, Callable[..., torch.Tensor]] = {
    Role.RANDOM: _TorchSegment._bernoulli,
    Role.SELECTED: _TorchSegment._selected,
}
"""Primitives that depend on the element's index: they need the tile, and their node."""


def _eager(node: Instruction) -> Callable[..., Any]:
    """What computes a primitive on tensors."""
    found = TABLE[node.name].eager
    assert found is not None, node.name
    return found


def _wanted(tile: _Tile, bits: torch.Tensor, row: list[int]) -> float:
    """Tensor index of the wanted one of the magnitudes equal to the first guess, or -1."""
    if not row[WANTED]:
        return -1.0
    equals = torch.nonzero(bits == min(row[GUESS], _MOST)).flatten()
    return float(tile.start + int(equals[row[WANTED] - 1])) if row[WANTED] <= len(equals) else -1.0


def _encoded(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The values rounded once, or by way of float32 where a small float comes from float64."""
    if dtype.itemsize < 4:
        value = value.to(torch.float32)
    if dtype == torch.float8_e4m3fn:  # before 2.13 torch's own conversion overflows to NaN
        value = value.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max)
    return value.to(dtype)


def _magnitude_bits(x: torch.Tensor) -> torch.Tensor:
    """The bit patterns of |x| in int64; they order as the magnitudes do."""
    return x.abs().contiguous().view(_BITS[x.dtype.itemsize]).to(torch.int64)


def _torch_dtype(dtype: DType) -> torch.dtype:
    found: torch.dtype = getattr(torch, dtype.name)
    return found


def _as_torch(buffer: Array) -> torch.Tensor:
    """The buffer's bits as integers, without a copy."""
    integers = np.dtype(f"u{buffer.itemsize}" if buffer.itemsize == 1 else f"i{buffer.itemsize}")
    return torch.from_numpy(buffer.view(integers))
