"""Graph -> content keys: equal for two tensors only if their bytes are.

A node's key is a hash over its operation and that operation's version, its resolved parameters, its
streams of random numbers, and the keys of its inputs; a leaf's is its tensor's identity. What bytes
don't hang on is no part of it: paths and names of outputs, threads, memory, shard sizes.

A threshold that a whole model shares hangs on every tensor of its pool:

    a ─ ties ─┐ pool 0        key(ties of a) = hash(operation, key(a), all that is in pool 0)
    b ─ ties ─┘
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..graph.graph import Graph, Invocation, Invoke, Load, Write

ARITHMETIC = 1
"""The version of all operations: raise it when any of them, a kernel's order of adding up, or a
function that a trace only names, gives other bytes than before."""

Key: TypeAlias = str
"""32 hexadecimal digits."""

LeafIdentity: TypeAlias = Callable[[Load], object]


def content_identity(load: Load) -> object:
    """What tells a source's tensor from others on this machine."""
    return load.tensor.identity


def portable_identity(load: Load) -> object:
    """What names a source's tensor on any machine that runs the same plan.

    Fine-tunes of one model have equal sizes and headers, so the reference belongs to it.
    """
    checkpoint, tensor = load.checkpoint, load.tensor
    files = [(file.size, file.header_sha256) for file in tensor.files]
    return (checkpoint.reference, checkpoint.revision, tensor.name, tensor.shape, files)


def node_keys(graph: Graph, settings: object, identity: LeafIdentity) -> list[Key]:
    """The key of every node. settings: what else all bytes hang on, such as the compute dtype."""
    alone = _keys(graph, settings, identity)
    if not any(isinstance(node.op, Invoke) and node.op.pools for node in graph.nodes):
        return alone
    pools = _pools(graph, alone)
    members: dict[int, list[Key]] = {}
    for key, node in zip(alone, graph.nodes, strict=True):
        for pool in node.op.pools if isinstance(node.op, Invoke) else ():
            members.setdefault(pool, []).append(key)
    content = {pool: _hash("pool", sorted(keys)) for pool, keys in members.items()}
    return [
        _hash(key, sorted(content[pool] for pool in behind)) if behind else key
        for key, behind in zip(alone, pools, strict=True)
    ]


def output_keys(graph: Graph, keys: Sequence[Key], outputs: int) -> tuple[dict[str, Key], ...]:
    """The keys of each output's tensors, by their names."""
    found: tuple[dict[str, Key], ...] = tuple({} for _ in range(outputs))
    for node, key in zip(graph.nodes, keys, strict=True):
        if isinstance(node.op, Write):
            found[node.op.output][node.op.name] = key
    return found


def _keys(graph: Graph, settings: object, identity: LeafIdentity) -> list[Key]:
    """Keys that leave out what pools hold.

    An operation's part of the text is made once for all nodes that have it alike: a checkpoint has
    a hundred thousand nodes and a few hundred operations. It has an end that is seen, and keys have
    one length, so that no two nodes have one text.
    """
    start = _hash("mergec", ARITHMETIC, settings)
    calls: dict[tuple[Invocation, tuple[int, ...], int], str] = {}
    writes: dict[str, str] = {}
    digest = hashlib.blake2b
    keys: list[Key] = []
    for op, inputs, kind, _ in graph.nodes:
        if isinstance(op, Load):
            text = f"{start}{('load', identity(op))!r}"
        elif isinstance(op, Invoke):
            alike = (op.invocation, op.keys, len(op.pools))
            if alike not in calls:
                made = ("invoke", _invocation(op.invocation), op.keys, len(op.pools))
                calls[alike] = f"{start}{made!r}"
            text = calls[alike]
        elif isinstance(op, Write):
            dtype = kind.dtype.name
            if dtype not in writes:
                writes[dtype] = f"{start}{('write', dtype)!r}"
            text = writes[dtype]
        else:
            text = f"{start}{('zero', kind.shape, kind.dtype.name)!r}"
        text += "".join([keys[i] for i in inputs])
        keys.append(digest(text.encode(), digest_size=16).hexdigest())
    return keys


def _invocation(call: Invocation) -> str:
    """A method with its parameters; its trace is its version."""
    static = [(type(value).__name__, value) for value in call.static]
    bits = struct.pack(f"{len(call.params)}d", *call.params)
    return _hash(call.method.name, call.sources, call.has_base, static, bits, call.trace.nodes)


def _pools(graph: Graph, keys: Sequence[Key]) -> list[frozenset[int]]:
    """The pools that each node's value hangs on: its own, its inputs', and what those hang on."""
    none: frozenset[int] = frozenset()
    behind = [none] * len(keys)
    hangs: dict[int, frozenset[int]] = {}
    while True:
        for index, node in enumerate(graph.nodes):
            own = node.op.pools if isinstance(node.op, Invoke) else ()
            found = none.union(*(behind[i] for i in node.inputs), own) if node.inputs else none
            behind[index] = found.union(*(hangs.get(pool, none) for pool in found))
        before = dict(hangs)
        for index, node in enumerate(graph.nodes):
            for pool in node.op.pools if isinstance(node.op, Invoke) else ():
                hangs[pool] = hangs.get(pool, none) | behind[index]
        if hangs == before:
            return behind


def _hash(*parts: object) -> Key:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
