"""mergec: a declarative pipeline compiler for merging language-model checkpoints.

    plan = mergec.compile("merge-14.merge", models=["./models"])
    report = mergec.run(plan)
    merged = mergec.merge("ties", [a, b], base=base, weight=[0.5, 0.3], density=0.5)

Everything is loaded when it is first used: `import mergec` is a matter of milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from . import errors
    from .api import compile, phases, run
    from .authoring import method
    from .compiler.planning.plan import Plan
    from .in_memory import merge
    from .runtime.report import Report
    from .runtime.run import Progress

__all__ = [
    "Plan",
    "Progress",
    "Report",
    "__version__",
    "compile",
    "errors",
    "merge",
    "method",
    "phases",
    "run",
]

_PLACES = {
    "Plan": ".compiler.planning.plan",
    "Progress": ".runtime.run",
    "Report": ".runtime.report",
    "compile": ".api",
    "merge": ".in_memory",
    "method": ".authoring",
    "phases": ".api",
    "run": ".api",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module(".errors", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    value = globals()[name] = getattr(importlib.import_module(_PLACES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
