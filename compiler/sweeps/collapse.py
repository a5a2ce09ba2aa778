"""Program -> Program (-O2): inner products of linear combinations from those of their parts.

A slerp's result is ca·a + cb·b with coefficients that are known only when a·a, a·b and b·b are. A
second slerp's inner product with c would have to wait a sweep for it; but it is ca·(a·c) +
cb·(b·c), and those sums belong to the first sweep. So a tower of such methods takes one sweep over
its leaves for all inner products, however tall it is, and one to write. The sums are rounded
differently, which is why this isn't done unasked. Combinations whose coefficients are known
beforehand, such as the difference of a model and its base, stay as they are: taking them apart
would cancel digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from ...ops.primitives import TABLE, Role, ValueKind
from ...ops.symbols import Instruction
from .program import Program

Form: TypeAlias = dict[int, int]
"""A linear combination: tensor nodes with the scalar nodes of their coefficients."""


def collapse(program: Program) -> tuple[Program, list[int]]:
    """The program with its towers of inner products collapsed, and each node's new place."""
    return _Collapse(program).run()


class _Collapse:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._nodes: list[Instruction] = []
        self._known: dict[Any, int] = {}
        self._late: list[bool] = []
        """Whether a scalar depends on a reduction."""
        self._forms: dict[int, Form] = {}

    def run(self) -> tuple[Program, list[int]]:
        place: list[int] = []
        for node in self._program.nodes:
            args = tuple(place[i] for i in node.args)
            place.append(self._rebuilt(node, args))
        outputs = tuple((place[node], dtype) for node, dtype in self._program.outputs)
        return replace(self._program, nodes=tuple(self._nodes), outputs=outputs), place

    def _rebuilt(self, node: Instruction, args: tuple[int, ...]) -> int:
        product = node.role is Role.REDUCTION and len(args) == 2
        if product and any(i in self._forms for i in args):
            return self._inner_product(node.name, *(self._form(i) for i in args))
        index = self._add(Instruction(node.name, args, node.attr, node.kind))
        form = self._combined(node, args) if node.kind is ValueKind.TENSOR else None
        if form is not None:
            self._forms[index] = form
        return index

    def _add(self, node: Instruction) -> int:
        key = (node.name, node.args, tuple((type(a), repr(a)) for a in node.attr))
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self._nodes)
            self._nodes.append(node)
            reduces = node.role in (Role.REDUCTION, Role.SELECTION)
            self._late.append(reduces or any(self._late[i] for i in node.args))
        return index

    def _scalar(self, name: str, *args: int) -> int:
        return self._add(Instruction(name, args, (), ValueKind.SCALAR))

    def _one(self) -> int:
        return self._add(Instruction("const", (), (1.0,), ValueKind.SCALAR))

    def _form(self, tensor: int) -> Form:
        return self._forms.get(tensor) or {tensor: self._one()}

    def _combined(self, node: Instruction, args: tuple[int, ...]) -> Form | None:
        """The linear form of a tensor, if its coefficients are known only after a reduction."""
        linear = TABLE[node.name].linear
        tensors = [i for i in args if self._nodes[i].kind is ValueKind.TENSOR]
        scalars = [i for i in args if self._nodes[i].kind is ValueKind.SCALAR]
        if linear is None or len(tensors) + len(scalars) != len(args):
            return None
        if not any(i in self._forms for i in tensors) and not any(self._late[i] for i in scalars):
            return None
        if linear in ("*", "/"):
            if len(tensors) != 1 or (args[0] not in tensors and linear == "/"):
                return None
            name = "mul" if linear == "*" else "div"
            return self._scaled(self._form(tensors[0]), lambda c: self._scalar(name, c, scalars[0]))
        if scalars:
            return None
        signs = {"+": (1, 1), "+-": (1, -1), "-": (-1,)}[linear]
        total: Form = {}
        for tensor, sign in zip(args, signs, strict=True):
            form = self._form(tensor)
            if sign < 0:
                form = self._scaled(form, lambda c: self._scalar("neg", c))
            for leaf, c in form.items():
                total[leaf] = self._scalar("add", total[leaf], c) if leaf in total else c
        return total

    def _scaled(self, form: Form, scale: Callable[[int], int]) -> Form:
        return {leaf: scale(c) for leaf, c in form.items()}

    def _inner_product(self, name: str, left: Form, right: Form) -> int:
        total: int | None = None
        for u, cu in left.items():
            for v, cv in right.items():
                product = self._add(Instruction(name, (min(u, v), max(u, v)), (), ValueKind.SCALAR))
                term = self._scalar("mul", self._scalar("mul", cu, cv), product)
                total = term if total is None else self._scalar("add", total, term)
        assert total is not None
        return total
