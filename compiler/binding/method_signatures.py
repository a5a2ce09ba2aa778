"""Methods' specifications -> their signatures for the YAML front end, which can't see `ops`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...grammar.signature import Signature
from ...ops.method import find_method, method_names
from ...ops.parameters import Value


class _Signatures(Mapping[str, Signature]):
    """The merge methods as mergekit's YAML sees them; each is imported when it's asked for."""

    def __getitem__(self, name: str) -> Signature:
        if (method := find_method(name)) is None:
            raise KeyError(name)
        defaults: dict[str, Value] = {
            parameter.name: parameter.default
            for parameter in method.parameters
            if not parameter.required
        }
        return Signature(
            base=method.base,
            columns=tuple(parameter.name for parameter in method.columns),
            settings=tuple(parameter.name for parameter in method.settings),
            defaults=defaults | dict(method.yaml),  # what YAML means by saying nothing
            sources=method.sources,
            kinds={parameter.name: parameter.kind for parameter in method.parameters},
        )

    def __iter__(self) -> Iterator[str]:
        return iter(method_names())

    def __len__(self) -> int:
        return len(method_names())


SIGNATURES = _Signatures()
