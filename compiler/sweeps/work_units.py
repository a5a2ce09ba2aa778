"""Program + values to hold -> Units: the smallest pieces of work that sweeps are put together from.

A unit adds up sums, takes a look of selections, stores one value, writes outputs, or calls one
function of whole tensors. It can run when the scalars that it uses are known (their units came
*before* it, in an earlier sweep) and the values that it reads back are stored (their units come
before it or *along* with it: in one sweep the value is still in a register).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from ...ops.primitives import Role, ValueKind
from ...ops.symbols import Instruction
from .program import ELEMENT_KINDS, Look, Program, expected_looks

_OF_WHOLE_TENSORS = (
    Role.REDUCTION,
    Role.SELECTION,
    Role.OPAQUE_FUNCTION,
    Role.OPAQUE_ITEM,
)
"""What can be computed only when a sweep over all of a tensor is through."""

Field: TypeAlias = Literal["sums", "looks", "writes", "stores"]


class Duty(NamedTuple):
    """What a sweep does with values: a field of Segment, its entry, the values' nodes."""

    field: Field
    entry: Any
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """A piece of work.

    whole: the function of whole tensors that it calls; it has no jobs then. before, along: units
    that must be in an earlier sweep, or in an earlier or the same one. gives: values that it keeps
    in memory. takes: values that it reads back. reads: input slots.
    """

    jobs: tuple[Duty, ...]
    whole: int | None
    before: frozenset[int]
    along: frozenset[int]
    gives: tuple[int, ...]
    takes: frozenset[int]
    reads: frozenset[int]


def units(program: Program, held: Iterable[int]) -> tuple[Unit, ...]:
    """The units of a program that holds some of its values, each after those that it needs."""
    return _Units(program, frozenset(held)).build()


class _Draft(NamedTuple):
    """A unit before its number is known; provides: what others may need of it."""

    jobs: tuple[Duty, ...]
    whole: int | None
    provides: tuple[Any, ...]
    gives: tuple[int, ...]


class _Units:
    def __init__(self, program: Program, held: frozenset[int]) -> None:
        self.program = program
        self.nodes = program.nodes
        needed = needed_nodes(program)
        self.needed = sorted(needed)
        self.wholes = [i for i in self.needed if self.nodes[i].role is Role.OPAQUE_FUNCTION]
        self.items = frozenset(i for i in self.needed if self.nodes[i].role is Role.OPAQUE_ITEM)
        arguments = {i for whole in self.wholes for i in self._tensor_arguments(whole)}
        self.stored = (held & needed | arguments) - self.items
        self.stop = self.stored | self.items

    def build(self) -> tuple[Unit, ...]:
        drafts = list(self._drafts())
        provider = {key: number for number, d in enumerate(drafts) for key in d.provides}
        found = [self._unit(draft, provider, number) for number, draft in enumerate(drafts)]
        return _in_order(found)

    def _tensor_arguments(self, index: int) -> list[int]:
        return [i for i in self.nodes[index].args if self.nodes[i].kind in ELEMENT_KINDS]

    def _drafts(self) -> Iterator[_Draft]:
        """Sums, looks and writes that need the same are one unit: parting them gains nothing."""
        groups: dict[Any, list[Duty]] = {}
        for job in self._plain_jobs():
            key: tuple[Any, ...] = (job.field, self._needs(job.wanted, frozenset()))
            if job.field == "looks":
                key = (*key, job.entry.number, *self._look_needs(job.entry))
            groups.setdefault(key, []).append(job)
        for jobs in groups.values():
            provides: tuple[Any, ...] = tuple((job.field, job.entry) for job in jobs)
            if jobs[0].field == "looks":
                looks = [job.entry for job in jobs]
                provides = tuple(("look", look.selection, look.number) for look in looks)
            yield _Draft(tuple(jobs), None, provides, ())
        for index in sorted(self.stored):
            yield _Draft((Duty("stores", index, (index,)),), None, (("value", index),), (index,))
        for whole in self.wholes:
            items = tuple(i for i in self.items if self.nodes[i].args == (whole,))
            provides = tuple(("value", i) for i in items)
            yield _Draft((), whole, provides, tuple(sorted(items)))

    def _plain_jobs(self) -> Iterator[Duty]:
        for i in self.needed:
            role = self.nodes[i].role
            if role is Role.REDUCTION:
                yield Duty("sums", i, self.nodes[i].args)
            elif role is Role.SELECTION and i not in self.program.pooled:
                for number in range(expected_looks(self.program.compute)):
                    yield Duty("looks", Look(i, number), self.nodes[i].args[:1])
        for number, (node, _) in enumerate(self.program.outputs):
            yield Duty("writes", number, (node,))

    def _look_needs(self, look: Look) -> tuple[frozenset[Any], frozenset[Any]]:
        """(before, along): the look before it; for the first, by its end, how many to keep."""
        if look.number:
            return frozenset({("look", look.selection, look.number - 1)}), frozenset()
        count = self.nodes[look.selection].args[1]
        return frozenset(), self._needs((count,), frozenset())

    def _unit(self, draft: _Draft, provider: dict[Any, int], number: int) -> Unit:
        reads: frozenset[int] = frozenset()
        if draft.whole is not None:
            takes = frozenset(self._tensor_arguments(draft.whole))
            scalars = [i for i in self.nodes[draft.whole].args if i not in self.stop]
            along = {("value", i) for i in takes} | self._needs(scalars, frozenset())
            # a function's results are there only when its sweep is through
            before = {key for key in along if key[1] in self.items}
        else:
            own = frozenset(i for job in draft.jobs if job.field == "stores" for i in job.wanted)
            wanted = [i for job in draft.jobs for i in job.wanted]
            needs = set(self._needs(wanted, own))
            along = {key for key in needs if key[0] == "value" and key[1] not in self.items}
            before = needs - along
            for job in draft.jobs:
                if job.field == "looks":
                    earlier, counted = self._look_needs(job.entry)
                    before |= earlier
                    along |= counted
            elements, _ = closure(self.nodes, wanted, self.stop - own)
            takes = frozenset(i for i in elements if i in self.stop - own)
            reads = frozenset(
                int(self.nodes[i].attr[0])
                for i in elements
                if self.nodes[i].role is Role.INPUT and i not in takes
            )
        return Unit(
            jobs=draft.jobs,
            whole=draft.whole,
            before=frozenset(provider[key] for key in before) - {number},
            along=frozenset(provider[key] for key in along) - {number},
            gives=draft.gives,
            takes=takes,
            reads=reads,
        )

    def _needs(self, wanted: Iterable[int], own: frozenset[int]) -> frozenset[Any]:
        """What must be there before these nodes can be computed."""
        found: set[Any] = set()
        seen: set[int] = set()
        stack = list(wanted)
        while stack:
            index = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            node = self.nodes[index]
            if index in self.stop and index not in own:
                found.add(("value", index))
            elif node.role is Role.REDUCTION:
                found.add(("sums", index))
            else:
                for arg in node.args:
                    if arg in self.program.pooled:
                        continue  # its cut is known beforehand
                    if self.nodes[arg].kind is ValueKind.SELECTION:
                        last = expected_looks(self.program.compute) - 1
                        found.add(("look", arg, last))
                    else:
                        stack.append(arg)
        return frozenset(found)


def _in_order(found: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units renumbered so that each comes after those that it needs."""
    order: list[int] = []
    placed: set[int] = set()
    waiting = list(range(len(found)))
    while waiting:
        ready = [i for i in waiting if found[i].before | found[i].along <= placed]
        assert ready, "units need each other"
        order += ready
        placed.update(ready)
        waiting = [i for i in waiting if i not in placed]
    number = {old: new for new, old in enumerate(order)}

    def renumbered(unit: Unit) -> Unit:
        return Unit(
            unit.jobs,
            unit.whole,
            frozenset(number[i] for i in unit.before),
            frozenset(number[i] for i in unit.along),
            unit.gives,
            unit.takes,
            unit.reads,
        )

    return tuple(renumbered(found[i]) for i in order)


def needed_nodes(program: Program) -> set[int]:
    """The nodes that some output depends on."""
    needed: set[int] = set()
    stack = [node for node, _ in program.outputs]
    while stack:
        index = stack.pop()
        if index not in needed:
            needed.add(index)
            stack.extend(program.nodes[index].args)
    return needed


def depends_on_sums(program: Program, node: int) -> bool:
    """Whether a value needs reductions or selections of whole tensors."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        index = stack.pop()
        if index in seen or index in program.pooled:
            continue
        seen.add(index)
        if program.nodes[index].role in _OF_WHOLE_TENSORS:
            return True
        stack.extend(program.nodes[index].args)
    return False


def closure(
    nodes: Sequence[Instruction], wanted: Iterable[int], stop: Iterable[int]
) -> tuple[list[int], tuple[int, ...]]:
    """(elements, scalars) that the wanted nodes need, in order, not looking behind `stop`."""
    ends = frozenset(stop)
    seen: set[int] = set()
    scalars: set[int] = set()
    stack = list(wanted)
    while stack:
        index = stack.pop()
        if nodes[index].kind in (ValueKind.SCALAR, ValueKind.FLAG):
            scalars.add(index)
        elif nodes[index].kind is ValueKind.BUNDLE:
            stack.extend(nodes[index].args)
        elif nodes[index].kind is not ValueKind.SELECTION and index not in seen:
            seen.add(index)
            if index not in ends:
                stack.extend(nodes[index].args)
    return sorted(seen), tuple(sorted(scalars))
