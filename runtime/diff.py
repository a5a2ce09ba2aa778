"""Two checkpoints -> how far apart their tensors are, read piece by piece."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..checkpoints.checkpoint import Checkpoint, open_checkpoint
from ..checkpoints.layers import Layers
from ..checkpoints.local_store import locate
from ..checkpoints.source_tensors import SourceTensor
from ..compiler.kernels.arguments import STORAGE
from ..compiler.planning.machine import processor_count
from .files import Files

_ELEMENTS = 2**20
Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TensorDifference:
    """How far a tensor of B is from A's.

    layer: its number, None outside of layers. distance: |b - a|, norm_a, norm_b: in the Euclidean
    norm of all elements; dot: of a and b. note: a change of dtype.
    """

    name: str
    layer: int | None
    distance: float
    norm_a: float
    norm_b: float
    dot: float
    note: str = ""

    @property
    def relative(self) -> float:
        """|b - a| / |a|; infinite where only a is all zeros."""
        return _relative(self.distance, self.norm_a)

    @property
    def cosine(self) -> float:
        """Of the angle between the two; 1 where both are all zeros."""
        return _cosine(self.dot, self.norm_a, self.norm_b)


@dataclass(frozen=True)
class LayerDifference:
    """All tensors of a layer taken together, as one vector; `layer` None is what is outside."""

    layer: int | None
    tensors: int
    relative: float
    cosine: float


@dataclass(frozen=True)
class Difference:
    """What tells two checkpoints apart. shapes: (name, A's, B's) of those of different shapes."""

    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    shapes: tuple[tuple[str, str, str], ...]
    tensors: tuple[TensorDifference, ...]

    @property
    def layers(self) -> list[LayerDifference]:
        """By layer, what is outside of layers first."""
        groups: dict[int | None, list[TensorDifference]] = {}
        for tensor in self.tensors:
            groups.setdefault(tensor.layer, []).append(tensor)
        order = sorted(groups, key=lambda layer: -1 if layer is None else layer)
        return [_together(layer, groups[layer]) for layer in order]

    @property
    def is_same(self) -> bool:
        """Whether all tensors are in both, and equal."""
        apart = self.only_a or self.only_b or self.shapes
        return not apart and all(t.distance == 0 and not t.note for t in self.tensors)

    def to_json(self) -> dict[str, Any]:
        return {
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "shapes": [{"name": n, "a": a, "b": b} for n, a, b in self.shapes],
            "tensors": [
                {
                    "name": t.name,
                    "layer": t.layer,
                    "relative": _finite(t.relative),
                    "cosine": _finite(t.cosine),
                    "note": t.note,
                }
                for t in self.tensors
            ],
            "layers": [
                {
                    "layer": each.layer,
                    "tensors": each.tensors,
                    "relative": _finite(each.relative),
                    "cosine": _finite(each.cosine),
                }
                for each in self.layers
            ],
        }


def diff(a: Path, b: Path) -> Difference:
    """Compare the checkpoints at two paths, a few MiB a processor at a time.

    Errors: CheckpointError for one that can't be opened, RunError E0605 for one that can't be read.
    """
    first, second = (open_checkpoint(*locate(path)) for path in (a, b))
    both = [name for name in first.tensors if name in second.tensors]
    pairs = [(first.tensors[name], second.tensors[name]) for name in both]
    layers = Layers.of(first.tensors, first.config)
    files = Files()

    def compare(pair: tuple[SourceTensor, SourceTensor]) -> TensorDifference:
        return _compare(*pair, layers, files)

    try:
        with ThreadPoolExecutor(processor_count()) as pool:
            alike = [(x, y) for x, y in pairs if x.shape == y.shape]
            tensors = tuple(pool.map(compare, alike))
    finally:
        files.close()
    return Difference(
        tuple(_only(first, second)),
        tuple(_only(second, first)),
        tuple(
            (x.name, str(list(x.shape)), str(list(y.shape))) for x, y in pairs if x.shape != y.shape
        ),
        tensors,
    )


def _only(one: Checkpoint, other: Checkpoint) -> Iterator[str]:
    return (name for name in one.tensors if name not in other.tensors)


def _compare(a: SourceTensor, b: SourceTensor, layers: Layers, files: Files) -> TensorDifference:
    """Sums over all elements, in float64."""
    readers = [tensor.reader(files.source) for tensor in (a, b)]
    count = math.prod(a.shape)
    sums = np.zeros(4)
    for start in range(0, count, _ELEMENTS):
        here = min(_ELEMENTS, count - start)
        x, y = (
            _elements(tensor, reader, start, here)
            for tensor, reader in zip((a, b), readers, strict=True)
        )
        apart = y - x
        sums += [apart @ apart, x @ x, y @ y, x @ y]
    place = layers.locate(a.name)
    note = "" if a.dtype is b.dtype else f"{a.dtype} → {b.dtype}"
    distance, first, second, dot = sums.tolist()
    return TensorDifference(
        a.name,
        None if place is None else place.layer,
        math.sqrt(distance),
        math.sqrt(first),
        math.sqrt(second),
        dot,
        note,
    )


def _elements(tensor: SourceTensor, reader: Any, start: int, count: int) -> Array:
    """Elements of a tensor as float64."""
    size = tensor.dtype.itemsize
    data = np.empty(count * size, dtype=np.uint8)
    reader.read(start * size, data.data)
    name = tensor.dtype.name
    if name == "bfloat16":
        wide = data.view(np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).astype(np.float64)
    if name == "float16":
        return data.view(np.float16).astype(np.float64)
    if name.startswith("float8"):
        import torch

        return torch.from_numpy(data).view(getattr(torch, name)).double().numpy()
    return data.view(STORAGE.get(name, name)).astype(np.float64)


def _together(layer: int | None, members: list[TensorDifference]) -> LayerDifference:
    distance = math.hypot(*(t.distance for t in members))
    norm_a = math.hypot(*(t.norm_a for t in members))
    norm_b = math.hypot(*(t.norm_b for t in members))
    dot = math.fsum(t.dot for t in members)
    return LayerDifference(
        layer, len(members), _relative(distance, norm_a), _cosine(dot, norm_a, norm_b)
    )


def _relative(distance: float, norm: float) -> float:
    if distance == 0:
        return 0.0
    return distance / norm if norm else math.inf


def _cosine(dot: float, norm_a: float, norm_b: float) -> float:
    if norm_a == 0 or norm_b == 0:
        return 1.0 if norm_a == norm_b else 0.0
    return max(-1.0, min(1.0, dot / norm_a / norm_b))


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
