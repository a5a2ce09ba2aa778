"""Tensors whose keys haven't changed -> copied from the earlier output into the new shards."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence

from ..compiler.planning.plan import Plan
from ..grammar.diagnostics import RunError
from .earlier_output import EarlierOutput
from .journal import Record, Recorder
from .record import Keys
from .run_folder import RunFolder


def reusable(
    plan: Plan,
    left: Collection[int],
    folders: Sequence[RunFolder | None],
    earlier: Sequence[EarlierOutput | None],
    keys: Sequence[Keys],
    records: Sequence[Record],
) -> list[tuple[int, str]]:
    """(output, tensor) of all that can be copied instead of being computed.

    A component is computed whole or not at all, so every tensor of it that isn't finished must be
    there. left: the components that aren't finished.
    """
    found: list[tuple[int, str]] = []
    for at in left:
        missing = [
            (t.output, t.name)
            for targets in plan.components[at].targets
            for t in targets
            if folders[t.output] is not None and t.name not in records[t.output]
        ]
        if all(
            (old := earlier[output]) is not None and old.has(name, keys[output][name])
            for output, name in missing
        ):
            found += missing
    return found


def copy_unchanged(
    plan: Plan,
    tensors: Sequence[tuple[int, str]],
    folders: Sequence[RunFolder | None],
    earlier: Sequence[EarlierOutput | None],
    records: Sequence[Record],
    stop: threading.Event | None = None,
) -> int:
    """Copy tensors from the outputs that are there into run folders; the bytes copied.

    What turns out to be damaged there isn't taken. Errors: RunError E0605, E0606.
    """
    copied = 0
    handles: dict[str, int] = {}
    try:
        with Recorder() as recorder:
            for output, name in tensors:
                if stop is not None and stop.is_set():
                    break
                folder, old = folders[output], earlier[output]
                assert folder is not None and old is not None
                layout = plan.outputs[output].layout
                slot = layout.slots[name]
                path = folder.folder / layout.shards[slot.shard].name
                handle = handles.get(str(path))
                if handle is None:
                    handle = handles[str(path)] = os.open(path, os.O_RDWR)
                if old.places[name].nbytes != slot.nbytes:
                    continue
                finished = old.copy(name, handle, slot.offset)
                if finished is not None:
                    recorder.note(folder.journal, name, finished, path)
                    folder.keep()
                    records[output][name] = finished
                    copied += slot.nbytes
    except OSError as error:
        raise RunError.of("E0606", f"can't copy from an earlier output: {error.strerror}") from None
    finally:
        for handle in handles.values():
            os.close(handle)
    return copied
