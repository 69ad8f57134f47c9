"""The table of all stages of a chain, which several planners ask for in turn, and plans as paths through it."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from segsolve.cost.plan import check, score
from segsolve.cost.table import StageTable, chain_table
from segsolve.problem import Problem, Segmentation

_MANY = 600  # positions

Path = tuple[int, ...]
"""The states at which the stages of a plan end, the last being the table's end."""


@lru_cache(maxsize=4)
def segment_table(problem: Problem) -> StageTable:
    """Return the table of a problem, which several planners ask for in turn.

    In a long chain most stages are slower than plans that need no table: these are left out.
    """
    return chain_table(problem, _known_bottleneck(problem) if len(problem.cuts) > _MANY else None)


def plan_of(table: StageTable, path: Path) -> Segmentation:
    """Return the plan of a path."""
    return Segmentation(cuts=tuple(int(table.positions[b]) for b in path[:-1]))


def path_of(table: StageTable, plan: Segmentation) -> Path:
    """Return the path of a plan."""
    return (*(int(i) for i in np.searchsorted(table.positions, plan.cuts)), table.end)


def latency_of(table: StageTable, path: Path) -> int:
    """Return the time in ns of one inference through the stages of a path."""
    return sum(int(table.time[a, b]) for a, b in pairwise((0, *path)))


def _known_bottleneck(problem: Problem) -> int | None:
    """Return a bottleneck in ns that the vendor's and the even cut both keep; None where it is not known to hold."""
    from segsolve.search.baselines import compiler, uniform

    plans = (compiler.segment(problem), uniform.segment(problem))
    if problem.measured or any(plan is None or check(problem, plan) for plan in plans):
        return None
    return max(score(problem, plan).bottleneck_ns for plan in plans)
