"""The verifiers refuse each kind of broken graph, program and sweeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mergec
import pytest
import torch
from mergec.compiler import Phases
from mergec.compiler.graph.graph import Graph, Invoke, Node, Write
from mergec.compiler.graph.verify import verify
from mergec.compiler.sweeps.program import Program, Sweep
from mergec.compiler.sweeps.sweeps import sweeps
from mergec.compiler.sweeps.verify_sweeps import verify_program, verify_sweeps
from mergec.errors import MergecError
from mergec.ops.dtypes import BY_NAME, bfloat16, float32
from mergec.ops.primitives import Role
from support.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> Phases:
    """A slerp of a dare_ties, whose graph is loads 0 to 3, two calls, a write."""
    folder = tmp_path_factory.mktemp("verify")
    for name in ("base", "a", "b", "c"):
        write_checkpoint(folder / name, {"x": torch.ones(4, 4)}, {})
    return mergec.phases(
        f'let core = dare_ties {{ base = "{folder}/base"\n"{folder}/a" weight=0.5 density=0.5\n'
        f'"{folder}/b" weight=0.4 density=0.6\n}}\n'
        f'save slerp {{ core, "{folder}/c", t = 0.4 }} to "{folder}/out"\n'
    )


def places(graph: Graph) -> tuple[int, int, int]:
    """The places of the two calls and the write."""
    nodes = graph.nodes
    first, second = (i for i, node in enumerate(nodes) if isinstance(node.op, Invoke))
    return first, second, next(i for i, node in enumerate(nodes) if isinstance(node.op, Write))


def later(node: Node, at: int) -> Node:
    return node._replace(inputs=(at, *node.inputs[1:]))


def retyped(node: Node, **changes: Any) -> Node:
    return node._replace(type=node.type._replace(**changes))


def keyless(node: Node) -> Node:
    assert isinstance(node.op, Invoke)
    return node._replace(op=node.op._replace(keys=()))


GRAPHS: dict[str, Callable[[list[Node], int, int, int], object]] = {
    "comes later": lambda n, dare, slerp, write: n.__setitem__(dare, later(n[dare], slerp)),
    "which is a write": lambda n, dare, slerp, write: n.append(later(n[slerp], write)),
    "has shape": lambda n, dare, slerp, write: n.__setitem__(dare, retyped(n[dare], shape=(2, 2))),
    "loads with inputs": lambda n, dare, slerp, write: n.__setitem__(1, n[1]._replace(inputs=(0,))),
    "other than one value": lambda n, dare, slerp, write: n.__setitem__(
        write, n[write]._replace(inputs=(0, 1))
    ),
    "without fractions": lambda n, dare, slerp, write: n.__setitem__(
        write, retyped(n[write], dtype=BY_NAME["int64"])
    ),
    "inputs, `slerp` takes": lambda n, dare, slerp, write: n.__setitem__(
        slerp, n[slerp]._replace(inputs=(0,))
    ),
    "draws from 0 streams": lambda n, dare, slerp, write: n.__setitem__(dare, keyless(n[dare])),
    "computes in int64": lambda n, dare, slerp, write: n.__setitem__(
        slerp, retyped(n[slerp], dtype=BY_NAME["int64"])
    ),
}


@pytest.mark.parametrize("words", GRAPHS)
def test_broken_graphs_are_refused(phases: Phases, words: str) -> None:
    graph = phases.lowered.graph
    verify(graph)
    broken = Graph(nodes=list(graph.nodes), origins=graph.origins)
    GRAPHS[words](broken.nodes, *places(graph))
    with pytest.raises(MergecError, match=f"E0901.*{words}"):
        verify(broken)


def test_every_node_that_is_left_out_is_missed(phases: Phases) -> None:
    graph = phases.lowered.graph
    for dropped in range(len(graph.nodes) - 1):
        nodes = list(graph.nodes)
        del nodes[dropped]
        with pytest.raises(MergecError, match="E0901"):
            verify(Graph(nodes=nodes, origins=graph.origins))


# Programs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(phases: Phases) -> Program:
    (component,) = phases.components
    return component.template.program


def with_node(program: Program, index: int, **changes: Any) -> Program:
    nodes = list(program.nodes)
    nodes[index] = nodes[index]._replace(**changes)
    return replace(program, nodes=tuple(nodes))


def test_broken_programs_are_refused(program: Program) -> None:
    verify_program(program)
    first = next(i for i, node in enumerate(program.nodes) if node.args)
    slot = next(i for i, node in enumerate(program.nodes) if node.role is Role.INPUT)
    scalar = next(i for i, node in enumerate(program.nodes) if node.role is Role.PARAMETER)
    for broken, words in (
        (with_node(program, first, args=(first,)), "uses one that comes later"),
        (with_node(program, slot, attr=(99,)), "reads slot 99 of 4"),
        (replace(program, outputs=((scalar, float32),)), "which is no tensor"),
        (replace(program, outputs=((len(program.nodes), bfloat16),)), "which is no tensor"),
    ):
        with pytest.raises(MergecError, match=f"E0902.*{words}"):
            verify_program(broken)


# Sweeps -----------------------------------------------------------------------------------------


def test_broken_sweeps_are_refused(phases: Phases, program: Program) -> None:
    (component,) = phases.components
    value = next(v for _, method, v in component.template.values if method == "dare_ties")
    good = sweeps(program, (value,))
    verify_sweeps(program, good)
    first, second = good

    def changed(sweep: Sweep, **changes: Any) -> Sweep:
        return replace(sweep, segments=(replace(sweep.segments[0], **changes),))

    for broken, words in (
        ((second, first), "known after sweep|isn't held"),
        ((first,), "outputs|never freed"),
        ((first, second, changed(second, fetches=())), "isn't there|which isn't held"),
        ((replace(first, held=()), second), "reads back"),
        ((first, replace(second, frees=())), "never freed"),
        ((replace(first, frees=(value,)), second), "reads back"),
        ((first, changed(second, writes=())), "outputs"),
        ((first, changed(second, writes=(0, 0))), "outputs"),
        ((changed(first, reads=()), second), "isn't there"),
        ((changed(first, sums=first.segments[0].sums[1:]), second), "known after"),
        ((changed(first, elements=first.segments[0].elements[1:]), second), "isn't there"),
    ):
        with pytest.raises(MergecError, match=f"E0902.*({words})"):
            verify_sweeps(program, broken)


def test_looks_out_of_turn_are_refused(tmp_path: Path) -> None:
    for name in ("base", "a", "b"):
        write_checkpoint(tmp_path / name, {"x": torch.ones(4, 4)}, {})
    (component,) = mergec.phases(
        f'save ties {{ base = "{tmp_path}/base"\n"{tmp_path}/a" weight=1 density=0.5\n'
        f'"{tmp_path}/b" weight=1 density=0.5\n}} to "{tmp_path}/out"\n'
    ).components
    program = component.template.program
    good = sweeps(program)
    verify_sweeps(program, good)
    for broken in (good[1:], (good[1], good[0], good[2]), (good[0], good[2])):
        with pytest.raises(MergecError, match=r"E0902.*(out of turn|cut of)"):
            verify_sweeps(program, broken)
