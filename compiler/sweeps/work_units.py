"""Program + values to hold -> Units: the smallest pieces of work that sweeps are put together from.

A unit adds up sums, takes a look of selections, stores one value, writes outputs, or calls one
function of whole tensors. It can run when the scalars that it uses are known (their units came
*before* it, in an earlier sweep) and the values that it reads back are stored (their units come
before it or *along* with it: in one sweep the value is still in a register).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
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

    whole: the function of whole tensors that it calls; it has no duties then. before, along: units
    that must be in an earlier sweep, or in an earlier or the same one. gives: values that it keeps
    in memory. takes: values that it reads back. reads: input slots.
    """

    duties: tuple[Duty, ...]
    whole: int | None
    before: frozenset[int]
    along: frozenset[int]
    gives: tuple[int, ...]
    takes: frozenset[int]
    reads: frozenset[int]


def units(program: Program, held: Iterable[int]) -> tuple[Unit, ...]:
    """The units of a program that holds some of its values, each after those that it needs."""
    return _Units(program, frozenset(held)).build()


_Key: TypeAlias = int | tuple[int, int]
"""What a unit provides: a node's sum or value, or a selection's look of a number."""


class _Draft(NamedTuple):
    """A unit before its number is known; provides: what others may need of it."""

    duties: tuple[Duty, ...]
    whole: int | None
    provides: tuple[_Key, ...]
    gives: tuple[int, ...]


class _UnitNeeds(NamedTuple):
    """What a draft needs: see Unit."""

    before: frozenset[_Key]
    along: frozenset[_Key]
    takes: frozenset[int]
    reads: frozenset[int]


class _Units:
    """The units of a program, in three steps.

    1. Drafts: sums, looks, writes that need the same; a store for each value; each whole function.
    2. What each draft needs, from `Behind`, says which drafts come before it or along with it.
    3. Drafts are numbered so that each comes after those that it needs.
    """

    def __init__(self, program: Program, held: frozenset[int]) -> None:
        self.program = program
        self.nodes = program.nodes
        needed = needed_nodes(program)
        self.needed = sorted(needed)
        self.wholes = [i for i in self.needed if self.nodes[i].role is Role.OPAQUE_FUNCTION]
        self.items = frozenset(i for i in self.needed if self.nodes[i].role is Role.OPAQUE_ITEM)
        arguments = {i for whole in self.wholes for i in self._tensor_arguments(whole)}
        self.stored = (held & needed | arguments) - self.items
        self.behind = Behind(program, self.stored | self.items)

    def build(self) -> tuple[Unit, ...]:
        drafts = list(self._drafts())
        provider = {key: number for number, d in enumerate(drafts) for key in d.provides}
        found = []
        for number, draft in enumerate(drafts):
            needs = self._of_duties(draft) if draft.whole is None else self._of_whole(draft.whole)
            unit = Unit(
                duties=draft.duties,
                whole=draft.whole,
                before=frozenset(provider[key] for key in needs.before) - {number},
                along=frozenset(provider[key] for key in needs.along) - {number},
                gives=draft.gives,
                takes=needs.takes,
                reads=needs.reads,
            )
            found.append(unit)
        return _in_order(found)

    def _tensor_arguments(self, index: int) -> list[int]:
        return [i for i in self.nodes[index].args if self.nodes[i].kind in ELEMENT_KINDS]

    # Drafts -------------------------------------------------------------------------------------

    def _drafts(self) -> Iterator[_Draft]:
        """Sums, looks and writes that need the same are one unit: parting them gains nothing."""
        groups: dict[Any, list[Duty]] = {}
        for duty in self._plain_duties():
            key: tuple[Any, ...] = (duty.field, self.behind.before(duty.wanted))
            if duty.field == "looks":
                key = (*key, duty.entry.number, *self._look_needs(duty.entry))
            groups.setdefault(key, []).append(duty)
        for duties in groups.values():
            provides: tuple[Any, ...] = tuple(duty.entry for duty in duties)
            if duties[0].field == "looks":
                provides = tuple((look.selection, look.number) for look in provides)
            elif duties[0].field == "writes":
                provides = ()
            yield _Draft(tuple(duties), None, provides, ())
        for index in sorted(self.stored):
            yield _Draft((Duty("stores", index, (index,)),), None, (index,), (index,))
        for whole in self.wholes:
            items = tuple(sorted(i for i in self.items if self.nodes[i].args == (whole,)))
            yield _Draft((), whole, items, items)

    def _plain_duties(self) -> Iterator[Duty]:
        for i in self.needed:
            role = self.nodes[i].role
            if role is Role.REDUCTION:
                yield Duty("sums", i, self.nodes[i].args)
            elif role is Role.SELECTION and i not in self.program.pooled:
                for number in range(expected_looks()):
                    yield Duty("looks", Look(i, number), self.nodes[i].args[:1])
        for number, (node, _) in enumerate(self.program.outputs):
            yield Duty("writes", number, (node,))

    # Needs --------------------------------------------------------------------------------------

    def _of_duties(self, draft: _Draft) -> _UnitNeeds:
        """A stored value that is read back may be stored by the same sweep; all else is earlier."""
        behind = self.behind
        wanted = [i for duty in draft.duties for i in duty.wanted]
        bits, slots = behind.of(wanted, storing=draft.duties[0].field == "stores")
        takes = frozenset(behind.nodes(bits & behind.values))
        along: set[_Key] = {i for i in takes if i not in self.items}
        before = set(self._keys(bits) - along)
        for duty in draft.duties:
            if duty.field == "looks":
                earlier, counted = self._look_needs(duty.entry)
                before |= earlier
                along |= counted
        return _UnitNeeds(frozenset(before), frozenset(along), takes, slots)

    def _look_needs(self, look: Look) -> tuple[frozenset[_Key], frozenset[_Key]]:
        """(before, along): the look before it; for the first, by its end, how many to keep."""
        if look.number:
            return frozenset({(look.selection, look.number - 1)}), frozenset()
        count = self.nodes[look.selection].args[1]
        return frozenset(), self._keys(self.behind.before((count,)))

    def _of_whole(self, whole: int) -> _UnitNeeds:
        """A function is called when its sweep is through: what the sweep stores is there by then.

        Only another function's results, which come after a sweep too, take an earlier one.
        """
        takes = frozenset(self._tensor_arguments(whole))
        along = self._keys(self.behind.before(self.nodes[whole].args))
        return _UnitNeeds(frozenset(along & self.items), along, takes, frozenset())

    def _keys(self, bits: int) -> frozenset[_Key]:
        """The providers of what a set of nodes stands for: of a selection its last look."""
        last = expected_looks() - 1
        return frozenset(
            (i, last) if self.nodes[i].kind is ValueKind.SELECTION else i
            for i in self.behind.nodes(bits)
        )


class Behind:
    """What must be there before a node can be computed, and the inputs that it is computed from.

    Both are found for all nodes in one walk, as sets of bits: a tower of a thousand stages has a
    thousand sums behind its top. A set ends at what is there as a whole: sums, cuts of selections,
    values that are stored.

        a ─┬─ dot ── t ─┐
        b ─┴────────── lerp ── lerp 2      before(lerp) = {dot}, slots {a, b}
                                           before(lerp 2) = {lerp} if lerp is stored, else {dot}
    """

    def __init__(self, program: Program, stored: Set[int]) -> None:
        self._ends: list[int] = []
        self.values = 0
        self._found: dict[int, tuple[int, ...]] = {}
        self._before: list[int] = []
        self.slots: list[int] = []
        self._storing: dict[int, tuple[int, int]] = {}
        pooled = frozenset(program.pooled)
        for index, node in enumerate(program.nodes):
            before = slots = 0
            for i in node.args:
                before |= self._before[i]
                slots |= self.slots[i]
            if node.role is Role.INPUT:
                slots = 1 << int(node.attr[0])
            if index in stored:
                self._storing[index] = before, slots
                before, slots = self._end(index), 0
                self.values |= before
            elif node.role in (Role.REDUCTION, Role.SELECTION):
                # the cut of a whole model's pool is known beforehand
                before, slots = 0 if index in pooled else self._end(index), 0
            self._before.append(before)
            self.slots.append(slots)

    def _end(self, index: int) -> int:
        self._ends.append(index)
        return 1 << len(self._ends) - 1

    def before(self, wanted: Iterable[int]) -> int:
        """The set of what must be there before these nodes can be computed."""
        return self.of(wanted, storing=False)[0]

    def of(self, wanted: Iterable[int], storing: bool) -> tuple[int, frozenset[int]]:
        """(what must be there, input slots) of nodes; of stored ones to store or to read back."""
        before = slots = 0
        for i in wanted:
            own = self._storing[i] if storing else (self._before[i], self.slots[i])
            before |= own[0]
            slots |= own[1]
        return before, frozenset(_places(slots))

    def nodes(self, bits: int) -> tuple[int, ...]:
        """The nodes of a set."""
        found = self._found.get(bits)
        if found is None:
            found = self._found[bits] = tuple(self._ends[place] for place in _places(bits))
        return found


def _places(bits: int) -> Iterator[int]:
    """The places of the bits that are set, ascending."""
    text = bin(bits)
    place = text.rfind("1")
    while place > 1:
        yield len(text) - 1 - place
        place = text.rfind("1", 0, place)


def _in_order(found: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units renumbered so that each comes after those that it needs: in turns, by number."""
    needs = [unit.before | unit.along for unit in found]
    users: list[list[int]] = [[] for _ in found]
    for number, needed in enumerate(needs):
        for i in needed:
            users[i].append(number)
    waiting = [len(needed) for needed in needs]
    order: list[int] = []
    turn = [number for number, count in enumerate(waiting) if not count]
    while turn:
        order += turn
        following: list[int] = []
        for i in turn:
            for user in users[i]:
                waiting[user] -= 1
                if not waiting[user]:
                    following.append(user)
        turn = sorted(following)
    assert len(order) == len(found), "units need each other"
    place = {old: new for new, old in enumerate(order)}
    return tuple(
        replace(
            found[i],
            before=frozenset(place[j] for j in found[i].before),
            along=frozenset(place[j] for j in found[i].along),
        )
        for i in order
    )


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
