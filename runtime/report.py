"""What a run did, beside what the plan said that it would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1


@dataclass(frozen=True)
class StageReport:
    """What the steps that compute the same stages took, predicted and measured.

    stages: their names; for what has none, the outputs that it is written to. seconds: the workers'
    time, shared out among them; planned_seconds: the estimate. grown_bytes: the most that anonymous
    memory had grown by while such a step was under way, 0 if all were too short to be seen.
    """

    stages: tuple[str, ...]
    steps: int
    tensors: int
    seconds: float
    planned_seconds: float
    bytes_read: int
    planned_read: int
    grown_bytes: int
    planned_bytes: int


@dataclass(frozen=True)
class Report:
    """A finished run. Bytes are counted where they are read and written; times are in seconds.

    planned_bytes: the plan's promise for buffers and held values; grown_bytes: the most that
    anonymous memory grew by while computing, kernels left out, which is what the promise is about.
    peak_bytes: the most resident memory of the whole process so far (VmHWM). Both are 0 where the
    system doesn't tell, grown_bytes also for a run too small to be seen. planned_seconds: the
    estimate. tensors: of all outputs; computed and copied: in this run (copied from the output that
    was there before), the others were finished already.
    """

    outputs: tuple[Path, ...]
    tensors: int
    computed: int
    copied: int
    copied_bytes: int
    seconds: float
    planned_seconds: float
    cpu_seconds: float
    bytes_read: int
    bytes_written: int
    planned_read: int
    planned_bytes: int
    grown_bytes: int
    peak_bytes: int
    kernels_compiled: int
    backend: str
    stages: tuple[StageReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; what `mergec run --json` prints. What wasn't seen is null."""
        data = asdict(self) | {"outputs": [str(path) for path in self.outputs]}
        for part in (data, *data["stages"]):
            part["grown_bytes"] = part["grown_bytes"] or None
        return {"format_version": FORMAT_VERSION, **data}


def resident_bytes(field: str = "VmHWM") -> int:
    """A field of this process's memory in bytes, such as VmHWM (peak) or RssAnon; 0 if unknown."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
