"""Recipe -> Plan -> checkpoints on disk: the Python API that the command line calls too."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from .checkpoints.hub.hub import Hub
from .compiler import Phases
from .compiler.planning.plan import Memory, Plan
from .compiler.planning.plan_file import SUFFIX, load_plan, save_plan
from .grammar import YamlOptions
from .grammar.diagnostics import RecipeError, ResourceError, SourceText
from .grammar.expression_text import number
from .grammar.recipe_file import read_recipe_file
from .grammar.tokens import SIZE_UNITS
from .publishing.card import with_cards

if TYPE_CHECKING:
    from .runtime.backends import BackendName
    from .runtime.report import Report
    from .runtime.run import Watch

__all__ = ["compile", "memory_limit", "phases", "read_plan", "read_recipe", "run", "write_plan"]

PathLike: TypeAlias = str | os.PathLike[str]
_SIZE = re.compile(r"\s*([+-]?[0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")
_UNITS = {unit.lower(): size for unit, size in SIZE_UNITS.items()} | {"": 1}


def compile(
    recipe: PathLike,
    *,
    models: Sequence[PathLike] = (),
    set: Mapping[str, object] = {},
    out: PathLike | None = None,
    memory: int | str | None = None,
    threads: int | None = None,
    optimise: Literal[1, 2] = 1,
    lax_yaml: bool = False,
    round_like_mergekit: bool = False,
    stream: bool = False,
    offline: bool = False,
    trust: bool = False,
    truncate_embeddings: bool = False,
    card: PathLike | None = None,
) -> Plan:
    """Everything that a recipe will do; only the headers of its checkpoints are read.

    recipe: the path of a `.merge` or YAML file; a string with a new line or a `{` is the text of a
    `.merge` recipe itself, whose relative paths start from the current folder.
    models: local mirrors: in `DIR`, the folder `DIR/org/name` stands for `org/name`.
    set: values of the recipe's `param`s: numbers, booleans, lists of them, or text in the
    language's syntax.
    out: path of the output; of several outputs the folder that they go into.
    memory: most bytes of buffers and held values, as a number or a text such as `"8GiB"`; `"min"`
    for the least that works; by default a quarter of the memory that is free. threads: workers, by
    default one a core. optimise: 2 also rewrites sums where that changes their last bits, to read
    the data less often. lax_yaml: keys of YAML that nobody knows are warnings.
    round_like_mergekit: a YAML recipe's inputs, stages and results are rounded to its `dtype`, as
    mergekit does. stream: read models of the Hub as they are merged, and keep no copy. offline: ask
    the Hub nothing. trust: run the Python files of methods that the recipe uses, and remember them.
    truncate_embeddings: cut embeddings of different sizes to the smallest, where no `tokenizer`
    says what to do. card: a Jinja template for the outputs' model cards, in place of mergec's own.

    Raises RecipeError (E01xx to E04xx), CheckpointError (E031x, E06xx) or ResourceError (E05xx).
    """
    made = phases(
        recipe,
        models=models,
        set=set,
        out=out,
        memory=memory,
        threads=threads,
        optimise=optimise,
        lax_yaml=lax_yaml,
        round_like_mergekit=round_like_mergekit,
        stream=stream,
        offline=offline,
        trust=trust,
        truncate_embeddings=truncate_embeddings,
    )
    return with_cards(made.plan, None if card is None else Path(os.fspath(card)).expanduser())


def phases(
    recipe: PathLike,
    *,
    models: Sequence[PathLike] = (),
    set: Mapping[str, object] = {},
    out: PathLike | None = None,
    memory: int | str | None = None,
    threads: int | None = None,
    optimise: Literal[1, 2] = 1,
    lax_yaml: bool = False,
    round_like_mergekit: bool = False,
    stream: bool = False,
    offline: bool = False,
    trust: bool = False,
    truncate_embeddings: bool = False,
) -> Phases:
    """The compiler's phases, to stop at any of them; the arguments are those of `compile`.

    Each is computed when it is first asked for: `tree`, `bound`, `lowered` (the graph as the recipe
    says it), `optimised` (the graph after all passes), `components`, `plan`. Raises what `compile`
    raises, as far as it has come.
    """
    source, folder = _source_of(recipe)
    if threads is not None and threads < 1:
        raise ResourceError.of("E0521", f"`threads` must be at least 1, found {threads}")
    return Phases(
        source,
        folder=folder,
        models=tuple(Path(os.fspath(model)).expanduser() for model in models),
        overrides={name: _language_text(value) for name, value in set.items()},
        out=None if out is None else os.fspath(out),
        memory=memory_limit(memory),
        threads=threads,
        optimise_level=optimise,
        yaml=YamlOptions(lax_yaml, round_like_mergekit),
        hub=Hub(streams=stream, offline=offline),
        trust=trust,
        truncate_embeddings=truncate_embeddings,
    )


def run(
    plan: Plan | PathLike,
    *,
    models: Sequence[PathLike] = (),
    set: Mapping[str, object] = {},
    out: PathLike | None = None,
    memory: int | str | None = None,
    threads: int | None = None,
    watch: Watch | None = None,
    backend: BackendName = "auto",
    device: str = "cpu",
    stop: threading.Event | None = None,
) -> Report:
    """Compute every output of a plan, or of a recipe that is compiled first as `compile` does.

    plan: a plan, the path of a `.mplan` file (see `read_plan`), or a recipe.
    watch: called about ten times a second with how far the run is (bytes, tensors). backend:
    `native` for generated machine code, `torch` for torch operations; `auto` is native on the CPU.
    device: where tensors are computed, such as `cuda`; other than `cpu` needs torch.
    stop: once it is set, by another thread or a signal, the run finishes what is under way and
    raises Paused.

    Nothing appears under an output's name before all of it is written, and only tensors that aren't
    there yet are computed: those that an interrupted run of the same plan has finished are taken
    from beside the output, those of an earlier output whose content is the same from there.
    Raises what `compile` does, ResourceError E05xx (memory, disk, permissions) and RunError E06xx
    (reading or writing failed); what was there before is then untouched, and what is finished is
    kept. So it is after a KeyboardInterrupt.
    """
    from .runtime.run import run_plan  # loads numpy, which compiling doesn't need

    saved = not isinstance(plan, Plan) and os.fspath(plan).endswith(SUFFIX)
    if isinstance(plan, Plan) or saved:
        if models or set or any(option is not None for option in (out, memory, threads)):
            raise TypeError("a plan has its models, parameters, outputs and limits: recompile it")
        plan = plan if isinstance(plan, Plan) else read_plan(plan)
    else:
        plan = compile(plan, models=models, set=set, out=out, memory=memory, threads=threads)
    return run_plan(plan, backend=backend, device=device, watch=watch, stop=stop)


def write_plan(plan: Plan, path: PathLike) -> None:
    """Save a plan, so that `run` can run exactly this one later. Raises RunError E0603."""
    save_plan(plan, Path(os.fspath(path)).expanduser())


def read_plan(path: PathLike) -> Plan:
    """The plan of a `.mplan` file, if its recipe and its sources are still what they were.

    Raises RunError E0620 to E0624 with what has changed, and what `compile` raises.
    """
    return with_cards(load_plan(Path(os.fspath(path)).expanduser()))


def read_recipe(path: PathLike) -> SourceText:
    """The text of a recipe's file. Raises RecipeError E0607."""
    name = os.fspath(path)
    try:
        return SourceText(name, read_recipe_file(Path(name).expanduser()))
    except UnicodeDecodeError as error:
        problem = f"it isn't UTF-8 text (byte {error.start})"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        problem = (getattr(error, "strerror", None) or str(error)).lower()
    raise RecipeError.of("E0607", f"can't read the recipe {name}: {problem}")


def memory_limit(value: int | str | None) -> Memory:
    """A limit in bytes from `8GiB`, `512MB`, `1000000` or `min`. Raises ResourceError E0520."""
    if value is None or value == "min":
        return value  # type: ignore[return-value]
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    hint = "limits look like `8GiB`, `512MB` or `min`; units are KB, MB, GB and KiB, MiB, GiB"
    if isinstance(value, str):
        if found is None or found[2].lower() not in _UNITS:
            raise ResourceError.of("E0520", f"`{value}` isn't a size", hint=hint)
        size = float(found[1]) * _UNITS[found[2].lower()]
    else:
        size = value
    if not 1 <= size < 2**63:
        raise ResourceError.of(
            "E0520", f"a memory limit must be at least one byte, found `{value}`", hint=hint
        )
    return int(size)


def _source_of(recipe: PathLike) -> tuple[SourceText, Path]:
    if isinstance(recipe, str) and ("\n" in recipe or "{" in recipe):
        return SourceText("<text>", recipe), Path.cwd()
    return read_recipe(recipe), Path(os.fspath(recipe)).expanduser().parent


def _language_text(value: object) -> str:
    """A value as `--set NAME=` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_language_text(item) for item in value)}]"
    return str(value)
