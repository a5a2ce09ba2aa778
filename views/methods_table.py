"""The merge methods -> the README's table, so that it can't fall behind the code."""

from __future__ import annotations

from ..ops.method import Method, find_method, method_names

_BASE = {"required": "base", "optional": "base?", "unused": "", "first": ""}


def methods_table() -> str:
    """All methods as a Markdown table: name, inputs, parameters, what it does."""
    rows = ["| method | inputs | parameters | |", "|---|---|---|---|"]
    for name in method_names():
        method = find_method(name)
        assert method is not None
        inputs = " + ".join(filter(None, [_BASE[method.base], _sources(method)]))
        parameters = [*method.columns, *method.settings]
        listed = ", ".join(
            f"`{p.name}`" + ("*" if p.required or p.kind == "model" else "") for p in parameters
        )
        rows.append(f"| `{name}` | {inputs} | {listed} | {method.summary.rstrip('.')} |")
    return "\n".join(rows) + "\n"


def _sources(method: Method) -> str:
    fewest, most = method.sources
    if most is None:
        return f"{fewest} or more"
    return str(fewest) if fewest == most else f"{fewest} to {most}"
