"""Functions of rows and of whole tensors, called on the values that kernels have put aside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..compiler.sweeps.program import ELEMENT_KINDS, Program
from ..ops.named import named_function
from ..ops.primitives import ITEMS, ValueKind
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
    return {item: _filled(found[k], (rows, columns), real) for item, k in _items(program, index)}


def call_whole(
    program: Program,
    index: int,
    held: Mapping[int, Array],
    scalars: Scalars,
    shape: tuple[int, ...],
    load: Callable[[int], Any],
) -> dict[int, Array]:
    """The results of a function of whole tensors, flat, by their node. Imports torch.

    load: reads an input slot's tensor, for arguments of a shape of their own.
    """
    import torch

    def tensor(i: int) -> Any:
        if program.nodes[i].kind is ValueKind.WHOLE:
            return load(int(program.nodes[i].attr[0]))
        return torch.from_numpy(held[i].reshape(shape))

    real = getattr(torch, program.compute.name)
    args = [held[i] for i in program.nodes[index].args if i in held]
    finite = program.refuses_nonfinite or all(np.isfinite(array).all() for array in args)
    if 0 in shape or not finite:  # where that is allowed, it makes all of a decomposition NaN
        return {
            item: np.full(math.prod(shape), np.nan, np.dtype(program.compute.name))
            for item, _ in _items(program, index)
        }
    found = _call(program, index, tensor, scalars)
    return {
        item: found[k].to(real).contiguous().numpy().reshape(-1)
        for item, k in _items(program, index)
    }


def _call(program: Program, index: int, value: Callable[[int], Any], scalars: Scalars) -> list[Any]:
    node = program.nodes[index]
    tensors = (*ELEMENT_KINDS, ValueKind.WHOLE)
    arguments = [
        value(i) if program.nodes[i].kind in tensors else scalars.value(i) for i in node.args
    ]
    return list(named_function(str(node.attr[0]))(*arguments))


def _filled(found: Any, shape: tuple[int, int], real: np.dtype[Any]) -> Array:
    """A result as kernels take it: flat, contiguous and writable; copied only if need be."""
    array = np.asarray(found)
    if array.shape != shape:
        array = np.broadcast_to(array, shape)
    return np.require(array, real, ("C", "W")).reshape(-1)


def _items(program: Program, index: int) -> list[tuple[int, int]]:
    """(node, position) of each result that is used."""
    item = ITEMS[program.nodes[index].role]
    return [
        (i, int(node.attr[0]))
        for i, node in enumerate(program.nodes)
        if node.args == (index,) and node.role is item
    ]
