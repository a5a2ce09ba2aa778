"""Numbers -> the words that people read: sizes, durations, counts."""

from __future__ import annotations


def decimal_size(nbytes: float) -> str:
    """A size on disk, in powers of 1000: `14.5 GB`."""
    return _scaled(nbytes, 1000, ("B", "KB", "MB", "GB", "TB", "PB"))


def binary_size(nbytes: float) -> str:
    """A size in memory, in powers of 1024: `6.1 GiB`."""
    return _scaled(nbytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4:07`, `1:02:03`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int, noun: str) -> str:
    """`1 tensor`, `4,096 tensors`."""
    plural = noun + ("es" if noun.endswith(("s", "sh", "x")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _scaled(value: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        # 999.96 would round to 1000.0
        if value < step - (0.05 if unit != "B" else 0):
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= step
    return f"{value:.1f} {units[-1]}"
