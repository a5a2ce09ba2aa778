"""Coefficients -> pictures of layers by modules, shaded by what a source gives there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..coefficients import Cell, Coefficients, ModuleRow, in_words
from .markup import Markup, element

_WIDE, _HIGH, _GAP = 16, 14, 2
_MOST = 200
"""Pictures on a page: a sweep of many merges would drown it."""


def coefficient_charts(found: Sequence[Coefficients]) -> Markup:
    """A section with a picture for each parameter that a recipe gives."""
    return element(
        "section",
        element("h2", "Coefficients"),
        element(
            "p",
            "What each source gives, layer by layer (from the left) and module by module: the "
            "darker, the nearer to the parameter's largest value.",
        ),
        *_charts(found[:_MOST]),
        *([element("p", f"… and {len(found) - _MOST} more")] if len(found) > _MOST else []),
        id="coefficients",
    )


def _charts(found: Sequence[Coefficients]) -> Iterator[Markup]:
    last = ("", "")
    for item in found:
        if (item.stage, item.operation) != last:
            last = (item.stage, item.operation)
            yield element("h3", f"{item.stage}: {item.operation}")
        title = f"{item.source or 'all sources'}, {item.parameter}"
        if item.everywhere is not None:
            yield element("p", f"{title}: {item.everywhere:g} everywhere")
            continue
        rows = [
            element(
                "tr",
                element("th", row.module, scope="row"),
                element("td", _strip(row, item.largest)),
                element("td", in_words(row)),
            )
            for row in item.rows
        ]
        yield element("table", element("caption", title), *rows, class_="coefficients")


def _strip(row: ModuleRow, largest: float) -> Markup:
    """A module's layers, a square each, those of one value joined."""
    width = len(row.cells) * _WIDE
    ends = [
        place
        for place, cell in enumerate(row.cells)
        if place + 1 == len(row.cells) or row.cells[place + 1].value != cell.value
    ]
    starts = [0, *(end + 1 for end in ends[:-1])]
    squares = [
        _square(start, end, row.cells, largest) for start, end in zip(starts, ends, strict=True)
    ]
    return element(
        "svg",
        *squares,
        width=width,
        height=_HIGH,
        viewBox=f"0 0 {width} {_HIGH}",
        role="img",
        aria_label=f"{row.module}: {in_words(row)}",
    )


def _square(first: int, last: int, cells: Sequence[Cell], largest: float) -> Markup:
    """Layers that follow each other and have one value."""
    value, layers = cells[first].value, (cells[first].layer, cells[last].layer)
    share = 0.0 if value is None else min(abs(value) / largest, 1.0)
    where = f"layer {layers[0]}" if first == last else f"layers {layers[0]} to {layers[1]}"
    where = "outside the layers" if layers[0] is None else where
    said = "no value" if value is None else f"{value:g}"
    return element(
        "rect",
        element("title", f"{where}: {said}"),
        x=first * _WIDE,
        y=0,
        width=(last - first + 1) * _WIDE - _GAP,
        height=_HIGH,
        class_="coefficient-none" if value is None else "coefficient",
        fill_opacity=round(share, 3),
    )
