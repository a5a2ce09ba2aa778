"""What a merge method of one's own is written with: `from mergec.authoring import method, Tensor`.

    from collections.abc import Sequence
    from mergec.authoring import Factor, Tensor, Weight, combine, method

    @method()
    def pull(xs: Sequence[Tensor], base: Tensor, *, weight: Sequence[Weight],
             strength: Factor = 0.5) -> Tensor:
        '''Pull the base towards a weighted sum of what the models have learned.'''
        return base + combine([x - base for x in xs], weight) * strength

A recipe names the file (`use "my_methods.py"`), or a package offers the method as an entry point of
the group `mergec.methods`. The signature is the specification, as in the files of `ops/methods`.
"""

from __future__ import annotations

from .ops.functions import (
    cos,
    dot,
    equal,
    floor,
    gram,
    largest,
    maximum,
    minimum,
    norm,
    on_host,
    on_rows,
    on_whole,
    selected,
    sin,
    sqrt,
    total,
    where,
)
from .ops.gram import combine
from .ops.method import Call, Random, method
from .ops.method_error import MethodError
from .ops.parameters import AtLeast, Bounds, Density, Factor, Position, Switch, Weight
from .ops.symbols import Mask, Scalar, Tensor

__all__ = [
    "AtLeast",
    "Bounds",
    "Call",
    "Density",
    "Factor",
    "Mask",
    "MethodError",
    "Position",
    "Random",
    "Scalar",
    "Switch",
    "Tensor",
    "Weight",
    "combine",
    "cos",
    "dot",
    "equal",
    "floor",
    "gram",
    "largest",
    "maximum",
    "method",
    "minimum",
    "norm",
    "on_host",
    "on_rows",
    "on_whole",
    "selected",
    "sin",
    "sqrt",
    "total",
    "where",
]
