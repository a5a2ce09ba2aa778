"""A plan and the backend that runs it -> the keys of its tensors, the names of its run folders."""

from __future__ import annotations

import hashlib

from ..compiler.planning.plan import Plan
from .record import Keys


def run_keys(plan: Plan, backend: str, device: str = "cpu") -> tuple[Keys, ...]:
    """The plan's content keys, of bytes that this backend makes on this device."""
    made = backend if device == "cpu" else f"{backend}-{device}"
    return tuple({name: f"{key}-{made}" for name, key in keys.items()} for keys in plan.keys)


def run_digest(plan: Plan, backend: str) -> str:
    """What names a run's folders: the work, and the backend whose bytes they hold."""
    return hashlib.sha256(f"{plan.digest}-{backend}".encode()).hexdigest()
