"""Ways to use a pool beside each other: as a table for the terminal and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from segsolve.pool.folder import up
from segsolve.pool.simple import Way
from segsolve.report.grid import Grid
from segsolve.report.table import GOOD
from segsolve.report.units import fps, ms
from segsolve_runtime.contract.wording import percent


def ways_document(ways: Sequence[Way], weights: dict[str, int]) -> dict[str, Any]:
    """Return ways to use a pool; periods in ns."""
    return {"weights": weights, "ways": way_rows(ways)}


def way_rows(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """Return a row per way to use a pool; periods in ns."""
    return [
        {
            "name": way.name,
            "what": way.text,
            "period_ns": None if way.period is None else up(way.period),
            "scale_fps": None if way.period is None else 1e9 / float(way.period),
            "bound_ns": None if way.bound is None else up(way.bound),
        }
        for way in ways
    ]


def ways_table(ways: Sequence[Way], weights: dict[str, int], pool: str) -> RenderableType:
    """Return ways to use a pool beside each other, the best one marked."""
    names = ", ".join(f"{name} x{weight}" for name, weight in weights.items())
    table = Grid(
        f"{names} on {pool}: periods per second (predicted)",
        *("way", "", "per second", "period ms", "of best", "bound ms"),
        left=("",),
        optional=("of best", "bound ms"),
    )
    best = min((way.period for way in ways if way.period is not None), default=Fraction(0))
    for way in ways:
        if way.period is None:
            table.add_row(way.name, way.text, "-", "-", "-", "-")
            continue
        share = float(best / way.period)
        table.add_row(
            Text(way.name, style=GOOD if way.period == best else ""),
            way.text,
            fps(1e9 / float(way.period)),
            ms(float(way.period)),
            percent(share),
            "-" if way.bound is None else ms(float(way.bound)),
        )
    return table
