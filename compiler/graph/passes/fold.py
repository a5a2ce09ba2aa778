"""Graph -> Graph: replace what a method says it can do with less.

A method's `simplify` tells, from its parameters and from which inputs are the same tensor, that a
call equals one of its inputs (t = 0, a linear merge of one, a cast to the dtype that is there), is
all zeros (the delta of a model with itself), or needs fewer sources (weight 0).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ....grammar.diagnostics import Diagnostics
from ....ops.method import ZERO, Call
from ....ops.method_error import MethodError
from ..graph import Graph, Invocation, Invoke, Node, Zero


def fold(graph: Graph) -> Graph:
    """The graph with every call simplified; what nothing needs any longer stays for `prune`.

    Errors: RecipeError E0309.
    """
    folding = _Folding(graph)
    for node in graph.nodes:
        folding.fold(node)
    folding.problems.raise_errors()
    return folding.graph


class _Fewer(NamedTuple):
    """A call with less to do: its invocation, and which of the inputs and keys are left."""

    invocation: Invocation
    inputs: tuple[int, ...]
    keys: tuple[int, ...]


_Alike: TypeAlias = tuple[Invocation, tuple[int, ...], tuple[str | None, ...]]
"""What calls of one outcome share: the call, which inputs are the same or zero, their rounding."""

_Outcome: TypeAlias = int | _Fewer | None
"""What a call is: the input of this number, ZERO, a call with fewer inputs; None: as it was."""


class _Folding:
    """The folded graph grows beside its source, which stays as it is.

    As long as nothing changes the source itself stands for the folded graph:

        source   load  load  call  write  call      places   0  1  2  3  4
                                          ^
        folded   load  load  call  write    <- begun at the first call that changes
    """

    def __init__(self, graph: Graph) -> None:
        self.problems = Diagnostics()
        self._source = graph
        self._folded: Graph | None = None
        self._places: list[int] = []  # in the folded graph, of the source's nodes so far
        self._outcomes: dict[_Alike, _Outcome] = {}

    @property
    def graph(self) -> Graph:
        return self._source if self._folded is None else self._folded

    def fold(self, node: Node) -> None:
        """Add what the source's next node comes to."""
        places = self._places
        if self._folded is not None:
            inputs = tuple([places[i] for i in node.inputs])
            if inputs != node.inputs:
                node = node._replace(inputs=inputs)
        op = node.op
        # a threshold for a whole model takes all of its tensors, those without effect too
        if isinstance(op, Invoke) and op.invocation.method.simplify is not None and not op.pools:
            outcome = self._outcome_or_problem(op, node)
            if isinstance(outcome, int) and outcome != ZERO:
                self._begin()
                places.append(node.inputs[outcome])
                return
            if outcome is not None:
                self._begin()
                node = self._smaller(node, op, outcome)
        places.append(len(places) if self._folded is None else self._folded.add(node))

    def _begin(self) -> Graph:
        """The folded graph, from now on apart from its source."""
        if self._folded is None:
            self._folded = self._source.beginning(len(self._places))
        return self._folded

    def _outcome_or_problem(self, op: Invoke, node: Node) -> _Outcome:
        try:
            return self._outcome(op, node.inputs)
        except MethodError as error:
            span = self._source.origins[node.origin].span
            self.problems.report("E0309", f"`{op.invocation.method.name}`: {error}", span)
            return None

    def _outcome(self, op: Invoke, inputs: tuple[int, ...]) -> _Outcome:
        """A call's outcome, found once for all that are alike."""
        nodes = self.graph.nodes
        first: dict[int, int] = {}
        pattern = tuple(
            [
                ZERO if isinstance(nodes[i].op, Zero) else first.setdefault(i, number)
                for number, i in enumerate(inputs)
            ]
        )
        rounded: tuple[str | None, ...] = ()
        if op.invocation.method.rounds_to is not None:
            types = [nodes[i].type for i in inputs[: op.invocation.sources]]
            rounded = tuple([kind.dtype.name if kind.rounded else None for kind in types])
        key = op.invocation, pattern, rounded
        if key not in self._outcomes:
            self._outcomes[key] = self._find_outcome(op, pattern, rounded)
        return self._outcomes[key]

    def _find_outcome(
        self, op: Invoke, pattern: tuple[int, ...], rounded: tuple[str | None, ...]
    ) -> _Outcome:
        invocation = op.invocation
        method = invocation.method
        assert method.simplify is not None
        keys = tuple(range(len(op.keys)))
        columns, settings = invocation.columns, invocation.settings
        call = method.call(pattern, columns, settings, invocation.has_base, keys, rounded)
        simpler = method.simplify(call)
        if not isinstance(simpler, Call):
            return simpler
        if simpler is call:
            return None
        left = method.columns_of(simpler)
        fewer = self._begin().invocation(method, left, simpler.settings, invocation.has_base)
        zero = next((number for number, i in enumerate(pattern) if i == ZERO), ZERO)
        inputs = tuple(zero if i == ZERO else i for i in method.inputs(simpler))
        return _Fewer(fewer, inputs, simpler.keys)

    def _smaller(self, node: Node, op: Invoke, outcome: int | _Fewer) -> Node:
        if not isinstance(outcome, _Fewer):
            return Node(Zero(), (), node.type, node.origin)
        keys = tuple([op.keys[i] for i in outcome.keys])
        inputs = tuple([node.inputs[i] for i in outcome.inputs])
        return Node(Invoke(outcome.invocation, keys), inputs, node.type, node.origin)
