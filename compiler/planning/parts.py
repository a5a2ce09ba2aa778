"""Components and shards -> what can be done apart: identities, and the parts that own whole files.

A part is a set of components that together write whole output files, and nothing else does:

    components   a   b   c   d
    out          [a   b] [c   d]      two parts: {a, b} and {c, d}
    other        [a   b   c]          shares a, b and c, and is cut where out is: {a, b}, {c}, {d}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from ...checkpoints.shard_layout import Layout, OutputTensor, fill_shards, tensor_bytes
from ..sweeps.components import Component, Target
from .content_keys import Key


def find_parts(
    components: Sequence[Component], layouts: Sequence[Layout]
) -> tuple[tuple[int, ...], ...]:
    """The components of each part, in the order of their first."""
    first: dict[tuple[int, int], int] = {}
    parent = list(range(len(components)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, component in enumerate(components):
        for target in all_targets(component):
            shard = layouts[target.output].slots[target.name].shard
            a, b = sorted((root(number), root(first.setdefault((target.output, shard), number))))
            parent[b] = a
    parts: dict[int, list[int]] = {}
    for number in range(len(components)):
        parts.setdefault(root(number), []).append(number)
    return tuple(tuple(part) for part in parts.values())


def component_digest(component: Component, keys: Sequence[Mapping[str, Key]]) -> str:
    """What a component computes, whatever others there are. keys: of each output's tensors."""
    rows = sorted((t.output, t.name, keys[t.output][t.name]) for t in all_targets(component))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def work_digest(layouts: Sequence[Layout], digests: Sequence[str]) -> str:
    """What a plan does: its components, and the files that they are written to."""
    found = hashlib.sha256()
    for layout in layouts:
        for shard in layout.shards:
            found.update(repr((shard.name, shard.size)).encode())
            found.update(shard.header)
    found.update("".join(digests).encode())
    return found.hexdigest()


def all_targets(component: Component) -> Iterator[Target]:
    """Every output tensor of a component."""
    return (target for targets in component.targets for target in targets)


def cut_shards(
    components: Sequence[Component],
    tensors: Sequence[Sequence[OutputTensor]],
    limits: Sequence[int],
) -> list[list[list[OutputTensor]]]:
    """For each output the tensors of each shard, of at most `limits` bytes of data if they can.

    Outputs that share components are cut at the same ones; others as their tensors come.
    """
    cuts: list[list[list[OutputTensor]]] = [[] for _ in tensors]
    for together in _sharing(components, len(tensors)):
        if len(together) == 1:
            (output,) = together
            cuts[output] = list(fill_shards(tensors[output], limits[output]))
        else:
            _cut_together(components, together, tensors, limits, cuts)
    return [_in_order(found, given) or [[]] for found, given in zip(cuts, tensors, strict=True)]


def _in_order(
    shards: Sequence[list[OutputTensor]], given: Sequence[OutputTensor]
) -> list[list[OutputTensor]]:
    """Each shard's tensors in the order that the output has them."""
    place = {tensor[0]: number for number, tensor in enumerate(given)}
    return [sorted(shard, key=lambda tensor: place[tensor[0]]) for shard in shards]


def _cut_together(
    components: Sequence[Component],
    outputs: Sequence[int],
    tensors: Sequence[Sequence[OutputTensor]],
    limits: Sequence[int],
    cuts: list[list[list[OutputTensor]]],
) -> None:
    """Fill these outputs' shards component by component; all end where one would get too large."""
    by_name = {output: {tensor[0]: tensor for tensor in tensors[output]} for output in outputs}
    filling: dict[int, list[OutputTensor]] = {}
    for component in components:
        if component.targets[0][0].output not in by_name:
            continue
        more: dict[int, list[OutputTensor]] = {}
        for target in all_targets(component):
            more.setdefault(target.output, []).append(by_name[target.output][target.name])
        if any(
            output in filling and _total(filling[output]) + _total(new) > limits[output]
            for output, new in more.items()
        ):
            _close(filling, cuts)
        for output, new in more.items():
            filling.setdefault(output, []).extend(new)
    _close(filling, cuts)


def _close(filling: dict[int, list[OutputTensor]], cuts: list[list[list[OutputTensor]]]) -> None:
    for output, shard in filling.items():
        cuts[output].append(shard)
    filling.clear()


def _total(shard: Sequence[OutputTensor]) -> int:
    return sum(tensor_bytes(tensor) for tensor in shard)


def _sharing(components: Sequence[Component], outputs: int) -> list[list[int]]:
    """Groups of outputs that share components."""
    group = list(range(outputs))
    for component in components:
        numbers = {group[target.output] for target in all_targets(component)}
        if len(numbers) > 1:
            least = min(numbers)
            group = [least if number in numbers else number for number in group]
    return [[o for o in range(outputs) if group[o] == number] for number in sorted(set(group))]
