"""Binding without files: a catalog where every model exists, and a printer of bound trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mergec.checkpoints.adapters.adapter import Adapter
from mergec.checkpoints.catalog import Catalog
from mergec.checkpoints.checkpoint import Checkpoint
from mergec.checkpoints.local_store import LocalStore
from mergec.compiler.binding.bind import bind
from mergec.compiler.binding.bound import (
    Bound,
    BoundExpr,
    ByName,
    Choice,
    Gradient,
    Merge,
    MergeInput,
    Setting,
    Sliced,
    Source,
    Stack,
    Stage,
)
from mergec.compiler.binding.method_signatures import SIGNATURES
from mergec.grammar import CheckpointError, Recipe, SourceText, Span, parse

FOLDER = Path("/recipes")


@dataclass(eq=False)
class FakeCatalog(Catalog):
    """Has every model but those with `missing` in their name; `opened` lists what was asked for."""

    opened: list[tuple[str, str, bool]] = field(default_factory=list)

    def open(self, reference: str, span: Span, *, prefer_path: bool = False) -> Checkpoint:
        self.opened.append((str(self.recipe_folder), reference, prefer_path))
        if "missing" in reference:
            raise CheckpointError.of("E0601", f"no model `{reference}`", span=span)
        return Checkpoint(reference, LocalStore(self.recipe_folder / reference), (), {}, {})

    def open_adapter(self, reference: str, span: Span, *, prefer_path: bool = False) -> Checkpoint:
        self.opened.append((str(self.recipe_folder), reference, prefer_path))
        return Adapter(reference, LocalStore(self.recipe_folder / reference), (), {}, {})


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog(FOLDER)


@pytest.fixture
def bind_text(catalog: FakeCatalog) -> Callable[..., Bound]:
    """Binds a text that is called `recipe.merge`. files: texts of importable recipes by path."""

    def run(
        text: str,
        *,
        name: str = "recipe.merge",
        files: dict[str, str] | None = None,
        overrides: dict[str, str] | None = None,
        out: str | None = None,
    ) -> Bound:
        def load(path: Path) -> Recipe:
            if str(path) not in (files or {}):
                raise FileNotFoundError(2, "No such file or directory")
            return parse(SourceText(str(path), (files or {})[str(path)]), SIGNATURES)

        recipe = parse(SourceText(str(FOLDER / name), text), SIGNATURES)
        return bind(recipe, catalog, overrides=overrides or {}, out=out, load=load)

    return run


@pytest.fixture
def show() -> Callable[[BoundExpr], str]:
    """Prints a bound expression on one line; a stage is `name:` and its value the first time."""

    def run(expr: BoundExpr) -> str:
        return _Printer().expr(expr)

    return run


class _Printer:
    def __init__(self) -> None:
        self.stages: set[int] = set()

    def expr(self, expr: BoundExpr) -> str:
        match expr:
            case Source():
                return expr.reference
            case Stage():
                known = id(expr) in self.stages
                self.stages.add(id(expr))
                return expr.name if known else f"{expr.name}: {self.expr(expr.value)}"
            case Sliced():
                start, stop = ("" if x is None else x for x in (expr.start, expr.stop))
                return f"{self.expr(expr.value)}[{start}:{stop}]"
            case Stack():
                return f"stack({', '.join(self.expr(part) for part in expr.parts)})"
            case Choice():
                arms = (f"{m.pattern.text}: {self.expr(arm)}" for m, arm in expr.arms)
                return f"match({', '.join(arms)})"
            case Merge():
                items = [] if expr.base is None else [f"base={self.expr(expr.base)}"]
                items += [self.row(row) for row in expr.rows]
                items += [f"{name}={setting(v)}" for name, v in expr.settings.items()]
                return f"{expr.method.name}({', '.join(items)})"

    def row(self, row: MergeInput) -> str:
        columns = "".join(f" {name}={setting(v)}" for name, v in row.columns.items())
        return f"{self.expr(row.value)}{columns}"


def setting(value: Setting) -> str:
    if isinstance(value, ByName):
        return f"{{{', '.join(f'{m.pattern.text}: {setting(v)}' for m, v in value.arms)}}}"
    if isinstance(value, Gradient):
        return f"[{', '.join(setting(knot) for knot in value.knots)}]"
    return str(value)
