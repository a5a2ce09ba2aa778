"""What a run did, beside what the plan said that it would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Report:
    """A finished run. Bytes are counted where they are read and written; times are in seconds.

    peak_bytes: the most resident memory of the whole process so far (VmHWM); 0 where the system
    doesn't tell. planned_bytes: the plan's promise for buffers and held values.
    """

    outputs: tuple[Path, ...]
    tensors: int
    seconds: float
    cpu_seconds: float
    bytes_read: int
    bytes_written: int
    planned_read: int
    planned_bytes: int
    buffer_bytes: int
    peak_bytes: int
    kernels_compiled: int
    backend: str

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self) | {"outputs": [str(path) for path in self.outputs]}


def resident_bytes(field: str = "VmHWM") -> int:
    """A field of this process's memory in bytes, such as VmHWM (peak) or RssAnon; 0 if unknown."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
