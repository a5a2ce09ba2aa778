"""What must hold before an output is touched: paths, and tensors that must be the same."""

from __future__ import annotations

import os
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..compiler.planning.plan import Plan
from ..grammar.diagnostics import CheckpointError, Diagnostics, ResourceError, RunError
from .files import Files

_PIECE = 4 * 2**20


def check_outputs(plan: Plan) -> None:
    """No output's folder holds a file that is read, or lies in a source's. Errors: E0505."""
    problems = Diagnostics()
    for output in plan.outputs:
        inside = [
            checkpoint.reference
            for checkpoint in plan.sources.values()
            if any(file.store.lies_in(file.name, output.path) for file in checkpoint.files)
            or _is_within(output.path, checkpoint)
        ]
        if inside:
            problems.report(
                "E0505",
                f"the output {output.path} is, holds or lies in an input: {inside[0]}",
                output.span,
                hint="write to another folder",
            )
    problems.raise_errors(ResourceError)


def _is_within(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether an output would lie in a source's folder, and be part of it from then on."""
    if checkpoint.lone:
        return False
    folder = os.path.join(checkpoint.store.real(), "")
    return os.path.realpath(path).startswith(folder)


def check_equalities(plan: Plan, files: Files) -> None:
    """Tensors that can't be merged are the same in all inputs. Errors: CheckpointError E0319."""
    differing: dict[str, str] = {}
    for first, other in plan.equalities:
        for start in range(0, first.tensor.nbytes, _PIECE):
            count = min(_PIECE, first.tensor.nbytes - start)
            left, right = bytearray(count), bytearray(count)
            files.reader(first).read(start, memoryview(left))
            files.reader(other).read(start, memoryview(right))
            files.count(2 * count, 0)
            if left != right:
                names = f"{first.checkpoint.reference} and {other.checkpoint.reference}"
                differing[first.tensor.name] = names
                break
    if differing:
        raise CheckpointError.of(
            "E0319",
            f"{len(differing)} tensors that aren't of floats differ between the inputs",
            notes=tuple(f"{name}: {between}" for name, between in list(differing.items())[:6]),
            hint="only tensors of floats can be merged; others must be the same",
        )


def check_sources(plan: Plan) -> None:
    """No source has changed since the plan was made. Errors: RunError E0651."""
    for checkpoint in plan.sources.values():
        for file in checkpoint.files:
            try:
                now = file.open()
                now.close()
            except CheckpointError as error:
                said = error.diagnostics[0].message
            else:
                if now.identity == file.identity[: len(now.identity)]:
                    continue
                said = f"{file.place} was written again"
            raise RunError.of(
                "E0651",
                f"{checkpoint.reference} has changed while it was read: {said}",
                hint="run again: what was made of it is made again",
            )
