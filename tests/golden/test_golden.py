"""What each phase makes of six recipes, as text: a change shows as a diff of a few lines.

`pytest tests/golden --update-golden` writes the files anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mergec
import pytest
import torch
from mergec.compiler import Phases
from mergec.compiler.graph.graph_text import print_graph
from mergec.compiler.sweeps.work_units import units
from mergec.views.schedule_text import kernels_text, schedule_text
from mergec.views.syntax_text import syntax_text
from support.checkpoints import write_checkpoint

HERE = Path(__file__).parent
RECIPES = sorted(HERE.glob("*.merge"))
SHAPES = {
    "model.embed_tokens.weight": (8, 4),
    "model.layers.0.mlp.up_proj.weight": (8, 4),
    "model.layers.1.mlp.up_proj.weight": (8, 4),
    "model.norm.weight": (4,),
}


def units_text(phases: Phases) -> Iterator[str]:
    """The units of each structure of components, where nothing is held."""
    for number, template in enumerate(dict.fromkeys(c.template for c in phases.components)):
        yield f"template {number}, values {[value for _, _, value in template.values]}"
        for index, unit in enumerate(units(template.program, ())):
            yield (
                f"  {index}: {[(d.field, d.entry) for d in unit.duties]} whole={unit.whole} "
                f"before={sorted(unit.before)} along={sorted(unit.along)} gives={unit.gives} "
                f"takes={sorted(unit.takes)} reads={sorted(unit.reads)}"
            )


def sweeps_text(phases: Phases) -> Iterator[str]:
    """Every strategy of each structure of components: what it holds, its sweeps and their costs."""
    for number, way in enumerate(dict.fromkeys(phases.plan.ways)):
        for strategy in way:
            taken = "*" if strategy in phases.plan.choices else " "
            yield f"{taken} way {number}: holds {strategy.held} spills {sorted(strategy.spilled)}"
            for sweep, cost in zip(strategy.sweeps, strategy.costs, strict=False):
                yield f"    {sweep}"
                yield f"    {cost}"


PHASES: dict[str, Callable[[Phases], Iterator[str]]] = {
    "tree": lambda phases: syntax_text(phases.tree),
    "graph": lambda phases: print_graph(phases.lowered.graph),
    "optimised": lambda phases: print_graph(phases.optimised),
    "units": units_text,
    "sweeps": sweeps_text,
    "schedule": lambda phases: schedule_text(phases.plan),
    "kernels": lambda phases: kernels_text(phases.plan),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models a, b and c in bfloat16 and a base, of two layers."""
    root = tmp_path_factory.mktemp("golden")
    for number, name in enumerate(("base", "a", "b", "c")):
        tensors = {
            key: torch.full(shape, 1.0 + number / 4, dtype=torch.bfloat16)
            for key, shape in SHAPES.items()
        }
        write_checkpoint(root / name, tensors, {"model_type": "none"})
    return root


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_phase(
    recipe: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool
) -> None:
    assert len(RECIPES) == 6
    monkeypatch.chdir(folder)
    phases = mergec.phases(recipe.read_text(encoding="utf-8"), threads=2, memory="1GiB")
    for name, printed in PHASES.items():
        text = "".join(f"{line}\n" for line in printed(phases)).replace(str(folder), "FOLDER")
        golden = HERE / recipe.stem / f"{name}.txt"
        if update_golden:
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8"), f"{name} of {recipe.name}"
