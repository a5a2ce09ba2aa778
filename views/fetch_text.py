"""Plan -> what of its models is fetched from the Hub: from where, into what, how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.hub.snapshots import free_bytes, hub_cache
from ..compiler.planning.plan import Plan
from ..quantities import count, decimal_size, duration

FETCH_RATE = 1.0e8
"""Bytes a second that a network is assumed to bring."""


@dataclass(frozen=True)
class Fetched:
    """What a run fetches first, or reads from afar.

    bytes, files: into the Hugging Face cache at `folder`, whose disk has `free` bytes.
    streamed: bytes of tensors that are read over the network, and kept nowhere.
    """

    bytes: int
    files: int
    streamed: int
    folder: Path
    free: int

    @property
    def seconds(self) -> float:
        """How long at FETCH_RATE."""
        return (self.bytes + self.streamed) / FETCH_RATE


def fetched(plan: Plan) -> Fetched | None:
    """None where everything is on this machine."""
    missing = [size for file in plan.source_files if (size := file.store.missing(file.name))]
    tensors = {load.tensor for c in plan.components for load in c.loads}
    streamed = sum(
        tensor.cost
        for tensor in tensors
        if any(file.store.is_streamed(file.name) for file in tensor.files)
    )
    if not missing and not streamed:
        return None
    folder = hub_cache()
    return Fetched(sum(missing), len(missing), streamed, folder, free_bytes(folder))


def to_fetch(plan: Plan, checkpoint: Checkpoint) -> int:
    """Bytes of a checkpoint's files that a run fetches."""
    needed = {file.identity for file in plan.source_files}
    files = [file for file in checkpoint.files if file.identity in needed]
    return sum(file.store.missing(file.name) for file in files)


def fetch_text(found: Fetched) -> Iterator[str]:
    """In words."""
    if found.bytes:
        short = "" if found.free >= found.bytes else ": not enough, --stream keeps no copy"
        yield (
            f"{decimal_size(found.bytes)} in {count(found.files, 'file')} into {found.folder} "
            f"({decimal_size(found.free)} free{short}), about {duration(found.seconds)} at "
            f"{decimal_size(FETCH_RATE)}/s"
        )
    if found.streamed:
        yield (
            f"{decimal_size(found.streamed)} are read from afar while merging, none is kept, "
            f"about {duration(found.seconds)} at {decimal_size(FETCH_RATE)}/s"
        )
