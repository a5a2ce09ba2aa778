"""Rows of several checkpoints' embeddings, picked by index -> one tensor, read tile by tile.

    source 0    source 1                 the view of source 0
    <s>         <s>                      <s>        source 0, row 0
    a           b                ->      a          source 0, row 1
                a                        b          source 1, row 1
                                         (padding)  the mean of all of them

Nothing whole is held: rows that follow each other in one source are read at once, straight into
the buffer; a mean is of one row a source, and the padding's is found once and kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ...ops.dtypes import DType, promote
from ..element_bits import decode, encode
from ..source_tensors import Opened, SourceTensor, TensorReader
from ..stores import StoredFile
from .reconcile import MEAN, PADDING, ZERO, RowPick

if TYPE_CHECKING:
    import numpy as np

    from .reconcile import Ints

_PIECE_ROWS = 4096
_FEW = 8  # runs of rows that are worth being told to the store


class RowRun(NamedTuple):
    """Rows `first` up to `stop` of the view: those of source `who` from `row` on, or special."""

    first: int
    stop: int
    who: int
    row: int


@dataclass(frozen=True, eq=False)
class PickedRows:
    """A source's embedding or head as an output's vocabulary wants it.

    dtype: the common one of the parts. parts: the tensor of each source, by its number: all that
    rows come from are there, and have the same shape but for their rows.
    """

    name: str
    dtype: DType
    parts: Mapping[int, SourceTensor]
    pick: RowPick
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        part = next(iter(self.parts.values()))
        return (len(self.pick.who), *part.shape[1:])

    @property
    def width(self) -> int:
        """Elements in a row."""
        return prod(self.shape[1:])

    @property
    def natural(self) -> DType:
        return reduce(promote, (part.natural for part in self.parts.values()))

    @property
    def nbytes(self) -> int:
        return len(self.pick.who) * self.width * self.dtype.itemsize

    @cached_property
    def cost(self) -> int:
        padded = bool((self.pick.who == PADDING).any())
        return self.nbytes * (2 if padded else 1)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        found = (file for part in self._used for file in part.files)
        return tuple(dict.fromkeys(found))

    @cached_property
    def identity(self) -> tuple[object, ...]:
        who, row = self.pick.who, self.pick.row
        digest = hashlib.sha256(who.tobytes() + row.tobytes())
        for owned in self.pick.owned if self.averages else ():
            digest.update(owned.tobytes())
        parts = tuple(part.identity for part in self._used)
        return ("rows", self.dtype.name, self.shape, digest.hexdigest(), *parts)

    @cached_property
    def averages(self) -> bool:
        """Whether some row is the mean of its owners'."""
        return bool((self.pick.who == MEAN).any())

    def reader(self, opened: Opened) -> TensorReader:
        readers = {number: part.reader(opened) for number, part in self.parts.items()}
        return _RowReader(self, readers)

    @cached_property
    def _used(self) -> list[SourceTensor]:
        """The parts that rows come from, in the order of their numbers."""
        import numpy as np

        numbers = set(np.unique(self.pick.who).tolist())
        return [p for n, p in sorted(self.parts.items()) if n in numbers or self.averages]

    @cached_property
    def starts(self) -> Ints:
        """The first row of each run."""
        import numpy as np

        who, row = self.pick.who, self.pick.row
        breaks = (np.diff(who) != 0) | ((np.diff(row) != 1) & (who[1:] >= 0))
        return np.concatenate([[0], np.flatnonzero(breaks | (who[1:] == MEAN)) + 1])

    def runs(self, first: int, stop: int) -> Iterator[RowRun]:
        """The runs that rows `first` up to `stop` are made of, cut to them."""
        who, row = self.pick.who, self.pick.row
        starts = self.starts
        place = int(starts.searchsorted(first, "right")) - 1
        while first < stop:
            place += 1
            end = int(starts[place]) if place < len(starts) else len(who)
            end = min(end, stop)
            yield RowRun(first, end, int(who[first]), int(row[first]))
            first = end

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    def padding(self, readers: Mapping[int, TensorReader]) -> np.ndarray[Any, Any]:
        """The mean of all rows that tokens have, as float64; found when it is first needed."""
        with self._lock:
            if "mean" not in self._found:
                self._found["mean"] = self._mean_of_all(readers)
            mean: np.ndarray[Any, Any] = self._found["mean"]
            return mean

    def _mean_of_all(self, readers: Mapping[int, TensorReader]) -> np.ndarray[Any, Any]:
        import numpy as np

        reader = _RowReader(self, readers)
        total, count = np.zeros(self.width), int((self.pick.who != PADDING).sum())
        row_bytes = self.width * self.dtype.itemsize
        for first in range(0, count, _PIECE_ROWS):
            rows = min(_PIECE_ROWS, count - first)
            buffer = bytearray(rows * row_bytes)
            reader.read(first * row_bytes, memoryview(buffer))
            total += decode(buffer, self.dtype).reshape(rows, self.width).sum(0, dtype=np.float64)
        return total / max(count, 1)


class _RowReader:
    """Reads a view; places are counted in elements, since sources may differ in their dtype."""

    def __init__(self, view: PickedRows, readers: Mapping[int, TensorReader]) -> None:
        self._view = view
        self._readers = readers

    def read(self, start: int, buffer: memoryview) -> None:
        size, width = self._view.dtype.itemsize, self._view.width
        first, stop = start // size, (start + len(buffer)) // size
        if first == stop:
            return
        for run in self._view.runs(first // width, -(-stop // width)):
            begin, end = max(first, run.first * width), min(stop, run.stop * width)
            target = buffer[(begin - first) * size : (end - first) * size]
            if run.who >= 0:
                skipped = begin - run.first * width
                self._copy(run.who, run.row * width + skipped, end - begin, target)
            else:
                self._make(run, begin, end, target)

    def soon(self, start: int, count: int) -> None:
        size, width = self._view.dtype.itemsize, self._view.width
        row_bytes = size * width
        stop = min(-(-(start + count) // row_bytes), len(self._view.pick.who))
        runs = [*self._view.runs(start // row_bytes, stop)]
        for run in runs if len(runs) <= _FEW else ():
            if run.who >= 0:
                part = self._view.parts[run.who].dtype.itemsize * width
                self._readers[run.who].soon(run.row * part, (run.stop - run.first) * part)

    def _copy(self, source: int, place: int, count: int, target: memoryview) -> None:
        """Elements of a source's tensor, in the view's dtype."""
        dtype = self._view.parts[source].dtype
        if dtype is self._view.dtype:
            self._readers[source].read(place * dtype.itemsize, target)
            return
        target[:] = encode(self._elements(source, place, count), self._view.dtype)

    def _elements(self, source: int, place: int, count: int) -> np.ndarray[Any, Any]:
        dtype = self._view.parts[source].dtype
        buffer = bytearray(count * dtype.itemsize)
        self._readers[source].read(place * dtype.itemsize, memoryview(buffer))
        return decode(buffer, dtype)

    def _make(self, run: RowRun, begin: int, end: int, target: memoryview) -> None:
        """Rows that no source has as they are."""
        import numpy as np

        width = self._view.width
        if run.who == ZERO:
            target[:] = bytes(len(target))
            return
        mean = run.who == MEAN  # a run of its own
        row = self._mean(run.first) if mean else self._view.padding(self._readers)
        places = np.arange(begin, end) % width
        target[:] = encode(row[places], self._view.dtype)

    def _mean(self, token: int) -> np.ndarray[Any, Any]:
        """The mean of the rows of those that have one for a token."""
        import numpy as np

        owned = self._view.pick.owned
        rows = [(n, int(owned[n][token])) for n in self._view.parts if owned[n][token] >= 0]
        width = self._view.width
        found = np.stack([self._elements(n, row * width, width) for n, row in rows])
        mean: np.ndarray[Any, Any] = found.mean(axis=0, dtype=np.float64)
        return mean
