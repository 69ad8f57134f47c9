"""The table of all stages of a chain, which several planners ask for in turn."""

from __future__ import annotations

from functools import lru_cache

from segsolve.cost.plan import check, score
from segsolve.cost.segment_table import SegmentTable
from segsolve.problem import Problem

_MANY = 600  # positions


@lru_cache(maxsize=4)
def segment_table(problem: Problem) -> SegmentTable:
    """Return the table of a problem, which several planners ask for in turn.

    In a long chain most stages are slower than plans that need no table: these are left out.
    """
    return SegmentTable(problem, _known_bottleneck(problem) if len(problem.cuts) > _MANY else None)


def _known_bottleneck(problem: Problem) -> int | None:
    """Return a bottleneck in ns that the vendor's and the even cut both keep; None where it is not known to hold."""
    from segsolve.search.baselines import compiler, uniform

    plans = (compiler.segment(problem), uniform.segment(problem))
    if problem.measured or any(plan is None or check(problem, plan) for plan in plans):
        return None
    return max(score(problem, plan).bottleneck_ns for plan in plans)
