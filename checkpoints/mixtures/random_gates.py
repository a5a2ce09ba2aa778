"""A seed -> the rows of a gate: normal, or uniform as a linear layer starts.

Only integers are drawn, from a generator whose stream is fixed, and only operations follow that
IEEE rounds in one way: a gate's bytes are the same on every machine.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

_TERMS = 12
"""A sum of twelve uniform numbers has variance 1."""


def random_gate(
    kind: Literal["random", "uniform"], seed: int, name: str, rows: int, width: int
) -> np.ndarray[Any, Any]:
    """`rows` by `width` numbers: N(0, 1), or uniform within 1/sqrt(width), of zero mean.

    name: the tensor's: each has numbers of its own.
    """
    import numpy as np

    terms = _TERMS if kind == "random" else 1
    stream = np.random.PCG64([seed, zlib.crc32(name.encode())])
    words = stream.random_raw(terms * rows * width)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if kind == "random":
        values = uniform.reshape(terms, -1).sum(axis=0) - terms / 2
    else:
        values = (2.0 * uniform - 1.0) / np.sqrt(float(width))
    found: np.ndarray[Any, Any] = values.reshape(rows, width)
    return found
