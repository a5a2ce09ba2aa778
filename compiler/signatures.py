"""A method's specification -> its signature for the YAML front end, which can't see `ops`."""

from __future__ import annotations

from ..grammar.signature import Signature
from ..ops.method import find_method
from ..ops.parameters import Value


def signature_of(name: str) -> Signature | None:
    """A merge method as mergekit's YAML sees it, or None where no method has that name.

    The defaults are what YAML means by saying nothing.
    """
    if (method := find_method(name)) is None:
        return None
    defaults: dict[str, Value] = {
        parameter.name: parameter.default
        for parameter in method.parameters
        if not parameter.required
    }
    return Signature(
        base=method.base,
        columns=tuple(parameter.name for parameter in method.columns),
        settings=tuple(parameter.name for parameter in method.settings),
        defaults=defaults | dict(method.yaml),
    )
