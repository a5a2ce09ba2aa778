"""What this process may use of the machine: processors and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processor_count() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Bytes of memory that can be had without swapping; 8 GiB where the system doesn't tell."""
    return min([_free_bytes(), *_container_limits()])


def _free_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 8 * 2**30


def _container_limits() -> Iterator[int]:
    """What containers around this process may have, of which /proc/meminfo knows nothing.

    A limit of cgroups (version 2, then 1) is a number of bytes, or `max`.
    """
    try:
        groups = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = CGROUPS / controllers
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(root):
                try:
                    text = (folder / name).read_text(encoding="ascii").strip()
                except OSError:
                    continue
                if text.isdecimal():
                    yield int(text)
