"""Program, sweeps -> nothing, or an internal error: what must hold before kernels are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...grammar.diagnostics import MergecError
from ...ops.primitives import ITEMS, Role, ValueKind
from .program import ELEMENT_KINDS, Program, Segment, Sweep, expected_looks

_FUNCTION_OF = {item: function for function, item in ITEMS.items()}


def verify_program(program: Program) -> None:
    """Check order, slots and functions of every node. Errors: MergecError E0902."""
    _refuse("a wrong program", _program_problems(program))


def verify_sweeps(program: Program, sweeps: Sequence[Sweep]) -> None:
    """Check that sweeps compute, know and hold what they use, and all outputs once.

    Errors: MergecError E0902.
    """
    _refuse("wrong sweeps", _sweep_problems(program, sweeps))


def _refuse(what: str, problems: Iterator[str]) -> None:
    for problem in problems:
        raise MergecError.of("E0902", f"the compiler made {what}: {problem}")


def _program_problems(program: Program) -> Iterator[str]:
    nodes = program.nodes
    for index, node in enumerate(nodes):
        if any(i >= index for i in node.args):
            yield f"node {index} uses one that comes later"
        elif node.role is Role.INPUT and not 0 <= int(node.attr[0]) < len(program.inputs):
            yield f"node {index} reads slot {node.attr[0]} of {len(program.inputs)}"
        elif node.role in _FUNCTION_OF:
            function = nodes[node.args[0]] if node.args else None
            if function is None or function.role is not _FUNCTION_OF[node.role]:
                yield f"node {index} takes a result of what is no {_FUNCTION_OF[node.role].value}"
        elif any(nodes[i].role is Role.SELECTION for i in node.args) and node.role not in (
            Role.SELECTED,
            Role.CUT,
        ):
            yield f"node {index} computes with a selection"
    for number, (value, _) in enumerate(program.outputs):
        if value >= len(nodes) or nodes[value].kind not in ELEMENT_KINDS:
            yield f"output {number} stores node {value}, which is no tensor"


def _sweep_problems(program: Program, sweeps: Sequence[Sweep]) -> Iterator[str]:
    known = _known_from(program, sweeps)
    held: set[int] = set()
    written: list[int] = []
    looks: dict[int, int] = {}
    for number, sweep in enumerate(sweeps):
        for segment in sweep.segments:
            late = next((i for i in segment.scalars if known[i] > number), None)
            if late is not None:
                yield f"sweep {number} uses scalar {late}, known after sweep {known[late] - 1}"
            yield from _segment_problems(program, number, sweep, segment, held, known)
            written += segment.writes
        for look in sweep.looks:
            if look.number != looks.setdefault(look.selection, 0):
                yield f"sweep {number} takes look {look.number} of {look.selection} out of turn"
            looks[look.selection] += 1
        held |= {*sweep.held, *_results(program, sweep)}
        if missing := {*sweep.frees} - held:
            yield f"sweep {number} frees {min(missing)}, which isn't held"
        held -= {*sweep.frees}
    if held:
        yield f"value {min(held)} is never freed"
    if sorted(written) != list(range(len(program.outputs))):
        yield f"outputs {sorted(written)} are written of {len(program.outputs)}"


def _segment_problems(
    program: Program,
    number: int,
    sweep: Sweep,
    segment: Segment,
    held: set[int],
    known: Sequence[int],
) -> Iterator[str]:
    """held: what is whole before this sweep."""
    nodes = program.nodes
    passed = {i for i in segment.fetches if nodes[i].role is Role.ROW_ITEM}
    for index in segment.fetches:
        if index not in held and index not in passed:
            yield f"sweep {number} reads back {index}, which isn't held"
    there = {*segment.fetches}
    for index in segment.elements:
        for i in nodes[index].args:
            ready = (
                int(nodes[i].attr[0]) in segment.reads
                if nodes[i].role is Role.INPUT and i not in there
                else i in there
            )
            if nodes[i].kind in ELEMENT_KINDS and not ready:
                yield f"sweep {number} computes {index} from {i}, which isn't there"
            if nodes[i].kind is ValueKind.SELECTION and known[i] > number:
                yield f"sweep {number} uses the cut of {i}, which isn't known"
        there.add(index)


def _known_from(program: Program, sweeps: Sequence[Sweep]) -> list[int]:
    """For each node the number of the first sweep that its scalar or cut is known in."""
    last = expected_looks() - 1
    made: dict[int, int] = {}
    for number, sweep in enumerate(sweeps):
        for segment in sweep.segments:
            made |= dict.fromkeys(segment.sums, number + 1)
        made |= {look.selection: number + 1 for look in sweep.looks if look.number == last}
    never = len(sweeps) + 1
    pooled = frozenset(program.pooled)
    known: list[int] = []
    for index, node in enumerate(program.nodes):
        if node.role in (Role.REDUCTION, Role.SELECTION):
            known.append(0 if index in pooled else made.get(index, never))
        elif node.kind in ELEMENT_KINDS:
            known.append(0)
        else:
            known.append(max((known[i] for i in node.args), default=0))
    return known


def _results(program: Program, sweep: Sweep) -> Iterator[int]:
    """What the functions of whole tensors behind a sweep give."""
    if sweep.wholes:
        for index, node in enumerate(program.nodes):
            if node.role is Role.OPAQUE_ITEM and node.args[0] in sweep.wholes:
                yield index
