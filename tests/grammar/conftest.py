"""Signatures of a few methods, as the YAML front end gets them from the method table."""

from __future__ import annotations

import pytest
from mergec.grammar import Signature, Signatures

_TIES = ("weight", "density"), ("lambda", "normalize", "rescale")
_KINDS = {
    **dict.fromkeys(("weight", "density", "lambda", "t", "scale"), "number"),
    **dict.fromkeys(("normalize", "nuslerp_flatten"), "boolean"),
    "rescale": "choice",
}
_SIGNATURES = {
    "linear": Signature("unused", ("weight",), ("normalize",), {"normalize": True}, kinds=_KINDS),
    "slerp": Signature("first", (), ("t",), {}, (2, 2), _KINDS),
    "nuslerp": Signature("optional", ("weight",), ("nuslerp_flatten",), {"nuslerp_flatten": True}),
    "task_arithmetic": Signature("required", ("weight",), ("lambda",), {"lambda": 1.0}),
    "ties": Signature("required", *_TIES, {"density": 1.0, "rescale": "none"}),
    "dare_ties": Signature("required", *_TIES, {"density": 1.0, "rescale": "density"}),
    "passthrough": Signature("unused", ("scale",), (), {"scale": 1.0}),
}


@pytest.fixture(scope="session")
def signatures() -> Signatures:
    return _SIGNATURES
