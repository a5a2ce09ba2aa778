"""`mergec extract`: a model and its base -> a PEFT adapter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ..checkpoints.adapters.extract import Extracted, extract_adapter, read_rank
from ..quantities import count
from .inspect_command import open_reference
from .shared_options import json_option, models_option, quiet_option


class Rank(click.ParamType[float]):
    """`16`, or `0.95`."""

    name = "RANK"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return read_rank(str(value))
        except ValueError:
            self.fail(f"`{value}` is neither a rank, such as 16, nor a share, such as 0.95", param)


@click.command("extract")
@click.argument("base")
@click.argument("model")
@models_option
@click.option(
    "--rank",
    type=Rank(),
    default="16",
    show_default=True,
    help="Columns of each factor; below 1 the share of the energy to keep.",
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="A folder.")
@json_option
@quiet_option
def command(
    base: str,
    model: str,
    models: Sequence[Path],
    rank: float,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a LoRA adapter of what MODEL has learned since BASE, by truncated SVD.

    Matrices become two thin factors, one at a time; what is no matrix and has changed is stored
    whole. peft loads the adapter, and `BASE + lora { "DIR" }` gives the model back, nearly.

    \b
    mergec extract mistralai/Mistral-7B-v0.1 me/fine-tune --rank 32 -o ./adapter
    mergec extract ./base ./model --rank 0.95 -o ./adapter
    """
    first, second = (open_reference(reference, models) for reference in (base, model))

    def watch(part: Extracted) -> None:
        if not quiet and not as_json:
            click.echo(
                f"{part.module}: rank {part.rank}, {part.energy:.1%} of the energy", err=True
            )

    found = extract_adapter(first, second, rank, out, watch)
    if as_json:
        click.echo(json.dumps({"path": str(out), "modules": [asdict(p) for p in found]}, indent=2))
        return
    click.echo(out)
    if not quiet and found:
        kept = min(part.energy for part in found)
        click.echo(f"{count(len(found), 'module')}, {kept:.1%} kept at least", err=True)
