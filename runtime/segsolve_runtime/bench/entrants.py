"""The plans that a benchmark is given: folders of plans, or folders that hold such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segsolve_runtime.bench.turns import Entrant
from segsolve_runtime.contract.plan import PLAN_FILE, load_plan


def entrants_of(paths: Sequence[Path]) -> list[Entrant]:
    """Load plans; a folder without a plan stands for those in it, such as a shortlist of ``segsolve solve --within``.

    Raises:
        PlanError: one cannot be used.
    """
    return [Entrant(name=str(path), folder=load_plan(path)) for path in dict.fromkeys(plan_folders(paths))]


def plan_folders(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of plans that paths stand for."""
    for path in paths:
        inside = sorted(child.parent for child in path.glob(f"*/{PLAN_FILE}")) if path.is_dir() else []
        if inside and not (path / PLAN_FILE).exists():
            yield from inside
        else:
            yield path
