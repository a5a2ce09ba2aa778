from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..functions import on_rows, on_whole
from ..gram import on_gram, split
from ..method import Call, Weight, method
from ..symbols import Tensor

_SMALLEST_NORM = 1e-7
_FLAT = 1e-16  # sin² of an angle at which the blend is linear


def _position(weight: Sequence[Any]) -> float:
    """Where between two models of these weights the result lies, 0 to 1."""
    total = weight[0] + weight[1]
    return 0.5 if abs(total) < 1e-6 else float(weight[1] / total)


def _simplify(call: Call) -> Call | int:
    a, b = call.sources
    t = _position([columns["weight"] for columns in call.columns])
    if t == 0 or a == b:
        return a
    return b if t == 1 else call
