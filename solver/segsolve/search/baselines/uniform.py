"""The same number of operations for every TPU."""

from __future__ import annotations

from segsolve.problem import Problem
from segsolve.search.base import Heuristic
from segsolve.search.baselines.snap import snap


def segment(problem: Problem) -> tuple[int, ...]:
    """Cut before every (n / TPUs)-th operation, at the nearest legal position."""
    n = len(problem.ops)
    return snap(problem, [n * k / problem.tpus for k in range(1, problem.tpus)])


PLANNER = Heuristic("uniform", segment)
