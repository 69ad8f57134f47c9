"""Planners by name, imported when asked for: OR-Tools alone takes a second."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from segsolve.errors import UsageError
from segsolve.search.base import Planner

_PLANNERS = {
    "compiler": "segsolve.search.baselines.compiler",
    "uniform": "segsolve.search.baselines.uniform",
    "balanced": "segsolve.search.baselines.balanced",
    "profiled": "segsolve.search.baselines.profiled",
    "greedy": "segsolve.search.baselines.greedy",
    "dp": "segsolve.search.chain.dp",
    "brute": "segsolve.search.chain.brute",
    "cpsat": "segsolve.search.chain.program",
}
DEFAULT = "cpsat"
EXACT = (DEFAULT, "dp")
"""Those that answer every question; the others cut one pipeline for throughput."""
HEURISTICS = ("compiler", "uniform", "balanced", "profiled", "greedy")


def planner_names() -> tuple[str, ...]:
    """Return the names of all planners."""
    return tuple(_PLANNERS)


def get_planner(name: str) -> Planner:
    """Return a planner by name.

    Raises:
        UsageError: no planner has this name.
    """
    if name not in _PLANNERS:
        raise UsageError(f"there is no planner {name!r}", f"known: {', '.join(_PLANNERS)}")
    return cast(Planner, import_module(_PLANNERS[name]).PLANNER)
