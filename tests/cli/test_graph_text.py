"""A printed graph reads back to the same graph."""

from __future__ import annotations

import re
from pathlib import Path

import mergec
import pytest
from mergec.compiler.graph.graph import Graph, Invoke
from mergec.compiler.graph.graph_text import parse_graph, print_graph
from mergec.compiler.planning.plan import Plan

RECIPES = [
    """\
let base = "org/base"
let core = dare_ties { base = base
  "org/a"  weight=0.5  density=match { mlp: 0.5, _: 0.8 }
  "org/b"  weight=[0, 0.3, 1]  density=0.5
  normalize = true
  rescale = l1
}
save slerp { core, "org/b", t = [0, 0.5, 1] } to "./x" { dtype = float16 }
save base + 0.5 * ("org/a" - base) - 1e-7 * (core - base) to "./y" { dtype = bfloat16 }
""",
    'save stack { "org/a"[0:2], cast { "org/b"[1:2], dtype = float16 } } to "./x"\n',
    'save "org/a" - (-0.0) * ("org/b" - "org/b") to "./x"\n',
]


def compiled(text: str, models: Path) -> Plan:
    return mergec.compile(text, models=[models])


@pytest.mark.parametrize("text", RECIPES)
def test_round_trip(models, text):
    plan = compiled(text, models)
    for graph in (plan.graph, plan.optimised):
        lines = list(print_graph(graph))
        checkpoints = plan.bound.sources.values()
        again = parse_graph("\n".join(lines), checkpoints, [plan.source])
        assert list(print_graph(again)) == lines
        assert_same(graph, again)


def assert_same(left: Graph, right: Graph) -> None:
    assert left.origins == right.origins
    assert len(left.nodes) == len(right.nodes)
    for a, b in zip(left.nodes, right.nodes, strict=True):
        assert (a.inputs, a.type, a.origin) == (b.inputs, b.type, b.origin)
        if isinstance(a.op, Invoke):
            assert isinstance(b.op, Invoke)
            assert a.op.keys == b.op.keys
            assert a.op.invocation.method is b.op.invocation.method
            assert a.op.invocation.static == b.op.invocation.static
            assert [p.hex() for p in a.op.invocation.params] == [
                p.hex() for p in b.op.invocation.params
            ]
        else:
            assert a.op == b.op


def test_a_text_that_is_no_graph(models):
    plan = compiled(RECIPES[0], models)
    lines = list(print_graph(plan.graph))
    last = len(lines) - 1
    changes = [
        (0, "mergec-graph", "mergec-grph", "must begin with"),
        (1, '"org/', '"org/other', "isn't open"),
        (last, "%", "%9", "wrong|isn't made yet"),
        (last, "write", "wrote", "no operation"),
    ]
    for number, old, new, words in changes:
        broken = [*lines]
        broken[number] = broken[number].replace(old, new, 1)
        with pytest.raises(mergec.errors.RecipeError) as caught:
            parse_graph("\n".join(broken), plan.bound.sources.values(), [plan.source])
        assert re.search(words, str(caught.value))
        assert f"<graph>:{number + 1}:1" in str(caught.value)
