"""A difference of checkpoints -> a table, and a picture: a row a layer, shaded by distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..quantities import count
from ..runtime.diff import Difference, LayerDifference, TensorDifference
from .columns import table

_SHADES = " ░▒▓█"
_WIDTH = 40
_LISTED = 12


def diff_text(found: Difference, tensors: int = _LISTED) -> Iterator[str]:
    """The lines of a difference. tensors: how many of those that are furthest apart are listed."""
    for names, where in ((found.only_a, "first"), (found.only_b, "second")):
        if names:
            yield f"{count(len(names), 'tensor')} only in the {where}: {_some(names)}"
    for name, a, b in found.shapes[:_LISTED]:
        yield f"{name}: {a} → {b}"
    notes = [t for t in found.tensors if t.note]
    if notes:
        yield f"{count(len(notes), 'tensor')} of another dtype: {_some([t.note for t in notes])}"
    if found.is_same:
        yield f"no difference in {count(len(found.tensors), 'tensor')}"
        return
    yield ""
    yield from layer_picture(found.layers)
    furthest = sorted(found.tensors, key=lambda t: -t.relative)[:tensors]
    if furthest:
        yield ""
        rows = [("tensors furthest apart", "distance", "cosine"), *map(_row, furthest)]
        yield from table(rows, right=(1, 2))


def layer_picture(layers: Sequence[LayerDifference]) -> Iterator[str]:
    """A row a layer: its distance as a bar, in the shade of its share of the largest."""
    most = max((each.relative for each in layers), default=0.0) or 1.0
    rows: list[Sequence[str]] = [("layer", "tensors", "distance", "cosine", "")]
    for each in layers:
        share = min(1.0, each.relative / most) if most != float("inf") else 1.0
        shade = _SHADES[-(-int(share * 1000) * (len(_SHADES) - 1) // 1000)]
        label = "others" if each.layer is None else str(each.layer)
        rows.append(
            (
                label,
                f"{each.tensors:,}",
                f"{each.relative:.4g}",
                f"{each.cosine:.6f}",
                shade * max(1 if share else 0, round(share * _WIDTH)),
            )
        )
    return table(rows, right=(0, 1, 2, 3))


def _row(tensor: TensorDifference) -> tuple[str, str, str]:
    return tensor.name, f"{tensor.relative:.4g}", f"{tensor.cosine:.6f}"


def _some(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f", … {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more
