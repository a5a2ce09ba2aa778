"""Any graph of any methods, printed and read again, is the same graph: a property test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mergec
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernels.calls import all_methods
from mergec.compiler.graph.graph import Graph, Invoke, tensor_type
from mergec.compiler.graph.graph_text import parse_graph, print_graph
from mergec.ops.dtypes import bfloat16
from mergec.ops.method import Method
from mergec.ops.method_error import MethodError
from mergec.ops.parameters import Parameter
from support.checkpoints import write_checkpoint

METHODS = all_methods()
SHAPE = (4, 4)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("graph")
    write_checkpoint(folder / "a", {f"x{i}": torch.ones(SHAPE) for i in range(3)}, {})
    found = mergec.phases(f'save "{folder}/a" to "{folder}/out"\n').bound.sources
    (only,) = found.values()
    return only


def values(parameter: Parameter) -> st.SearchStrategy[Any]:
    """What a parameter may be."""
    if parameter.kind == "model":
        return st.just(True)
    if parameter.kind == "boolean":
        return st.booleans()
    if parameter.kind == "choice":
        return st.sampled_from(parameter.choices)
    if parameter.kind == "integer":
        found: st.SearchStrategy[Any] = st.integers(0, 50)
    else:
        found = st.floats(-2, 2, allow_nan=False) | st.sampled_from([-0.0, 5e-324, 1e-7, 1.0])
    if not parameter.required and parameter.default is None:
        found = found | st.none()
    return found.filter(lambda value: parameter.refusal(value) is None)


def invoke(draw: Any, graph: Graph, method: Method, pools: int) -> int:
    """Add a call of a method with any parameters; the number of pools there are then."""
    least, most = method.sources
    count = draw(st.integers(max(1, least), most or least + 3))
    columns = [{p.name: draw(values(p)) for p in method.columns} for _ in range(count)]
    chosen = {p.name: draw(values(p)) for p in method.parameters if not p.per_source}
    has_base = method.base == "required" or (method.base == "optional" and draw(st.booleans()))
    try:
        invocation = graph.invocation(method, columns, chosen, has_base)
        wanted = invocation.pools
    except MethodError:
        assume(False)
    keys = draw(st.tuples(*[st.integers(0, 2**64 - 1)] * count)) if method.random else ()
    size = len(graph.nodes)
    inputs = tuple(draw(st.integers(0, size - 1)) for _ in range(invocation.inputs))
    space = draw(st.sampled_from(["weight", "delta"]))
    kind = tensor_type(SHAPE, bfloat16, space, draw(st.booleans()))
    op = Invoke(invocation, keys, tuple(range(pools, pools + wanted)))
    graph.invoke(op, inputs, kind, 0)
    return pools + wanted


@pytest.mark.parametrize("name", sorted(METHODS))
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_reads_back(name: str, checkpoint: Any, data: Any) -> None:
    graph = Graph()
    origin = graph.origin(data.draw(st.text(max_size=8)), None)
    for tensor in checkpoint.tensors.values():
        graph.load(checkpoint, tensor, origin)
    pools = 0
    for method in (METHODS[name], METHODS[data.draw(st.sampled_from(sorted(METHODS)))]):
        pools = invoke(data.draw, graph, method, pools)
    graph.zero(tensor_type(SHAPE, bfloat16, "delta"), origin)
    graph.write(0, data.draw(st.text(max_size=8)), len(graph.nodes) - 1, bfloat16, origin)
    lines = list(print_graph(graph))
    again = parse_graph("\n".join(lines), [checkpoint])
    assert list(print_graph(again)) == lines
    for left, right in zip(graph.nodes, again.nodes, strict=True):
        assert (left.inputs, left.type) == (right.inputs, right.type)
        if isinstance(left.op, Invoke) and isinstance(right.op, Invoke):
            assert (left.op.keys, left.op.pools) == (right.op.keys, right.op.pools)
            a, b = left.op.invocation, right.op.invocation
            assert (a.method, a.static) == (b.method, b.static)
            assert [x.hex() for x in a.params] == [x.hex() for x in b.params]
        else:
            assert left.op == right.op


def test_pools_of_whole_models_are_in_the_text(tmp_path: Path) -> None:
    for name in ("base", "a", "b"):
        write_checkpoint(tmp_path / name, {f"x{i}": torch.ones(SHAPE) for i in range(2)}, {})
    phases = mergec.phases(
        f'save ties {{ base = "{tmp_path}/base"\n"{tmp_path}/a" weight=1 density=0.5\n'
        f'"{tmp_path}/b" weight=1 density=0.5\n scope = model\n}} to "{tmp_path}/out"\n'
    )
    lines = list(print_graph(phases.optimised))
    assert sum(" pool=[0, 1]" in line for line in lines) == 2
    again = parse_graph("\n".join(lines), phases.bound.sources.values(), [phases.source])
    pools = [node.op.pools for node in again.nodes if isinstance(node.op, Invoke)]
    assert pools == [(0, 1), (0, 1)]
