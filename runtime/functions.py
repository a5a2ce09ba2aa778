"""Functions of rows and of whole tensors, called on the values that kernels have put aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..compiler.program import ELEMENT_KINDS, Program
from ..ops.named import named_function
from .scalars import Scalars

Array: TypeAlias = np.ndarray[Any, Any]


def call_rows(
    program: Program, index: int, values: Mapping[int, Array], scalars: Scalars, columns: int
) -> dict[int, Array]:
    """The results of a function of rows on one tile, flat, by their node."""

    def array(i: int) -> Array:
        return values[i].reshape(-1, columns)

    found = _call(program, index, array, scalars)
    rows = next(values[i].size for i in program.nodes[index].args if i in values) // columns
    real = np.dtype(program.compute.name)
    return {
        item: np.ascontiguousarray(np.broadcast_to(found[k], (rows, columns)), real).reshape(-1)
        for item, k in _items(program, index)
    }


def call_whole(
    program: Program,
    index: int,
    held: Mapping[int, Array],
    scalars: Scalars,
    shape: tuple[int, ...],
) -> dict[int, Array]:
    """The results of a function of whole tensors, flat, by their node. Imports torch."""
    import torch

    def tensor(i: int) -> Any:
        return torch.from_numpy(held[i].reshape(shape))

    found = _call(program, index, tensor, scalars)
    return {
        item: found[k].to(torch.float32).contiguous().numpy().reshape(-1)
        for item, k in _items(program, index)
    }


def _call(program: Program, index: int, value: Callable[[int], Any], scalars: Scalars) -> list[Any]:
    node = program.nodes[index]
    arguments = [
        value(i) if program.nodes[i].kind in ELEMENT_KINDS else scalars.value(i) for i in node.args
    ]
    return list(named_function(str(node.attr[0]))(*arguments))


def _items(program: Program, index: int) -> list[tuple[int, int]]:
    """(node, position) of each result that is used."""
    return [
        (i, int(node.attr[0]))
        for i, node in enumerate(program.nodes)
        if node.args == (index,) and node.name in ("rows_item", "whole_item")
    ]
