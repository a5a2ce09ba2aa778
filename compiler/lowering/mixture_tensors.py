"""A mixture of experts -> its tensors: an expert's, a gate, or the base's."""

from __future__ import annotations

from collections.abc import Callable

from ..binding.bound import BoundExpr, Mixture
from ..binding.model_structure import Structures, first_source
from ..graph.graph import Graph, tensor_type
from .findings import Findings
from .gates import Gates

Lower = Callable[[BoundExpr, str, str], int | None]
"""An expression's tensor of a name, and its name in the model around; None if it has none."""


class Mixtures:
    """Lowers the tensors of mixtures. seed: the recipe's. lower: what lowers their parts."""

    def __init__(
        self, graph: Graph, structures: Structures, findings: Findings, seed: int, lower: Lower
    ):
        self._graph = graph
        self._structures = structures
        self._findings = findings
        self._gates = Gates(seed)
        self._lower = lower

    def tensor(self, expr: Mixture, name: str, origin: int, rounds: bool) -> int | None:
        """The node of a mixture's tensor. rounds: whether it gets a dtype when it is written."""
        place = self._structures.layers(expr.base).locate(name)
        made = None if place is None else expr.family.origin(place.suffix)
        if place is None or made is None:
            found = self._lower(expr.base, name, name)
            return self._zero_bias(expr, name, origin) if found is None else found
        if made.part in ("gate", "shared gate"):
            shared = made.part == "shared gate"
            gate = self._gates.tensor(expr, name, place.layer, shared, rounds)
            if gate is None:
                self._findings.gateless(expr, name)
                return None
            return self._graph.load(first_source(expr).checkpoint, gate, origin)
        expert = expr.shared if made.part == "shared" else expr.experts[made.expert]
        assert expert is not None
        dense = name.removesuffix(place.suffix) + made.suffix
        return self._lower(expert.value, dense, dense)

    def _zero_bias(self, expr: Mixture, name: str, origin: int) -> int | None:
        """A bias that the mixture wants and the base lacks: zeros, one a row of its weight."""
        weight = self._lower(expr.base, name.removesuffix("bias") + "weight", name)
        if weight is None or not name.endswith(".bias"):
            return None
        kind = self._graph.nodes[weight].type
        zeros = tensor_type(kind.shape[:1], kind.dtype, "weight", True)
        return self._graph.zero(zeros, origin)
