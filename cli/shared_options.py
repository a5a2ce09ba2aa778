"""The flags that commands on recipes share -> one object that compiles with them."""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from ..api import memory_limit, phases, read_plan
from ..compiler import Phases
from ..compiler.binding.method_files import use_methods
from ..compiler.planning.plan import Memory, Plan
from ..compiler.planning.plan_file import SUFFIX
from ..grammar.diagnostics import ResourceError
from ..publishing.card import with_cards
from .failure import BadValue

_F = TypeVar("_F", bound=Callable[..., Any])


class Limit(click.ParamType[Memory]):
    """A number of bytes: `8GiB`, `512MB`; or `min`."""

    name = "SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Memory:
        try:
            return memory_limit(value)
        except ResourceError as error:
            raise BadValue(error, param) from None


class Assignment(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            self.fail(f"`{value}` isn't NAME=VALUE, such as `strength=0.6`", param, ctx)
        return name.strip(), text


models_option = click.option(
    "-m",
    "--models",
    "models",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A local mirror: DIR/org/name stands for org/name. May be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only data and errors.")
lax_option = click.option(
    "--lax-yaml", is_flag=True, help="YAML: keys that nobody knows are warnings."
)
use_option = click.option(
    "--use",
    "method_files",
    multiple=True,
    metavar="FILE",
    help="Also the merge methods of a Python file; a .merge recipe names it itself.",
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run the Python files of methods that a recipe uses."
)
file_argument = click.argument("file", metavar="RECIPE")

_OUT_HELP = "Where to write; of several outputs, their folder."
_RECIPE_OPTIONS = (
    models_option,
    click.option(
        "--set", "values", multiple=True, type=Assignment(), help="Give a `param` its value."
    ),
    click.option(
        "--memory", type=Limit(), help="Most memory for buffers and held tensors: 8GiB, or min."
    ),
    click.option(
        "-j", "--threads", type=click.IntRange(min=1), help="Workers; by default one a core."
    ),
    click.option(
        "-O",
        "optimise",
        type=click.IntRange(1, 2),
        default=1,
        help="-O2 also rewrites sums where that changes their last bits.",
    ),
    click.option(
        "--truncate-embeddings",
        is_flag=True,
        help="Cut vocabularies of different sizes to the smallest.",
    ),
    click.option(
        "--card",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A Jinja template for the model card.",
    ),
    lax_option,
    use_option,
    trust_option,
    click.option(
        "--round-like-mergekit",
        is_flag=True,
        help="YAML: round inputs, stages and results to `dtype`, as mergekit does.",
    ),
    click.option("--stream", is_flag=True, help="Read from the Hub while merging; keep no copy."),
    click.option("--offline", is_flag=True, help="Ask the Hub nothing."),
)


@dataclass(frozen=True)
class RecipeOptions:
    """What the shared flags said."""

    models: tuple[Path, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    out: str | None = None
    memory: Memory = None
    threads: int | None = None
    optimise: Literal[1, 2] = 1
    truncate_embeddings: bool = False
    card: Path | None = None
    lax_yaml: bool = False
    round_like_mergekit: bool = False
    stream: bool = False
    offline: bool = False
    method_files: tuple[str, ...] = ()
    trust: bool = False

    def phases(self, file: str) -> Phases:
        """The compiler's phases for a recipe's file."""
        for method_file in self.method_files:
            use_methods(Path(method_file), trust=self.trust)
        return phases(
            Path(file),
            models=self.models,
            set=dict(self.values),
            out=self.out,
            memory=self.memory,
            threads=self.threads,
            optimise=self.optimise,
            lax_yaml=self.lax_yaml,
            round_like_mergekit=self.round_like_mergekit,
            stream=self.stream,
            offline=self.offline,
            trust=self.trust,
            truncate_embeddings=self.truncate_embeddings,
        )

    def compile(self, file: str) -> Plan:
        """The plan of a recipe's file."""
        with collector_off():
            return with_cards(self.phases(file).plan, self.card)

    def plan(self, file: str) -> Plan:
        """The plan of a recipe's file, or the one that a plan file holds."""
        if not file.endswith(SUFFIX):
            return self.compile(file)
        if self != RecipeOptions():
            raise click.UsageError(
                f"{file} has its own models, parameters, output and limits: "
                f"leave out {self.arguments()}, or plan again with it"
            )
        with collector_off():
            return read_plan(file)

    def again(self, file: str) -> str:
        """The command that runs a file with these flags."""
        return f"mergec run {shlex.quote(file)} {self.arguments()}".rstrip()

    def arguments(self) -> str:
        """The flags as a person would type them again."""
        words: list[str] = []
        for model in self.models:
            words += ["--models", os.fspath(model)]
        for name, text in self.values:
            words += ["--set", f"{name}={text}"]
        words += ["--out", self.out] if self.out is not None else []
        words += ["--memory", _limit_text(self.memory)] if self.memory is not None else []
        words += ["--threads", str(self.threads)] if self.threads is not None else []
        words += [f"-O{self.optimise}"] if self.optimise != 1 else []
        words += ["--truncate-embeddings"] if self.truncate_embeddings else []
        words += ["--card", os.fspath(self.card)] if self.card is not None else []
        for method_file in self.method_files:
            words += ["--use", method_file]
        words += ["--lax-yaml"] if self.lax_yaml else []
        words += ["--round-like-mergekit"] if self.round_like_mergekit else []
        words += ["--stream"] if self.stream else []
        words += ["--offline"] if self.offline else []
        return shlex.join(words)


def _limit_text(limit: Memory) -> str:
    """A limit in the largest unit that divides it."""
    units = (("GiB", 2**30), ("MiB", 2**20), ("GB", 10**9), ("MB", 10**6))
    if isinstance(limit, int):
        for unit, size in units:
            if limit % size == 0:
                return f"{limit // size}{unit}"
    return str(limit)


def recipe_options(*, short_out: bool = True) -> Callable[[_F], _F]:
    """Adds the shared flags to a command; it gets them as `**options` of RecipeOptions.

    short_out: whether `-o` is `--out`.
    """
    names = ["-o", "--out"] if short_out else ["--out"]
    out = click.option(*names, "out", metavar="PATH", help=_OUT_HELP)

    def decorate(function: _F) -> _F:
        for option in reversed((*_RECIPE_OPTIONS, out)):
            function = option(function)
        return function

    return decorate


@contextmanager
def collector_off() -> Iterator[None]:
    """Do without the garbage collector: it would walk over millions of headers' entries in vain.

    What was made meanwhile is left out of later collections too.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
