"""The smallest bottleneck that stages can keep when each is made as long as possible, found by bisection.

Exact where a longer stage is never faster, which transfers and whole-layer spill do not promise: a very good
heuristic here, and the upper bound that the exact search starts from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime
from segsolve.problem import Problem
from segsolve.search.base import Heuristic
from segsolve.search.chain.bounds import bound_of_work, lower_bound
from segsolve.search.chain.table import Rows, cuts_of, is_long, rows_of, segment_table


def segment(problem: Problem) -> tuple[int, ...] | None:
    """Bisect on the bottleneck between the lower bound and the largest stage time; None if no fill reaches the end."""
    if is_long(problem):
        path = _path_of_long(problem)
        return None if path is None else tuple(problem.cuts[b - 1] for b in path[:-1])
    table = segment_table(problem)
    path = greedy_path(table)
    return cuts_of(table, path) if path else None


def greedy_path(table: StageTable) -> tuple[int, ...] | None:
    """Return the position indices at which the stages of the best greedy fill end."""
    possible = table.time[table.time < IMPOSSIBLE]
    return _bisected(table.time, table.most_stages, lower_bound(table), int(possible.max(initial=0)), 0)


def _path_of_long(problem: Problem) -> tuple[int, ...] | None:
    """Do the same to a thousandth, with nothing priced but the stages from where stages of the fills begin."""
    rows, low = rows_of(problem), bound_of_work(problem)
    stages = min(problem.tpus, len(rows) - 1)
    high = max(low, int(rows[0][rows[0] < IMPOSSIBLE].max(initial=0)))
    return _bisected(rows, stages, low, high, 1000)


def _bisected(time: NDArray[np.int64] | Rows, stages: int, low: int, high: int, parts: int) -> tuple[int, ...] | None:
    """Bisect until nothing is left, or one part of so many; what is found until time is up counts."""
    best = None
    try:
        best = _fill(time, high, stages)
        while low < high and not (parts and (high - low) * parts < high):
            middle = (low + high) // 2
            path = _fill(time, middle, stages)
            if path is None:
                low = middle + 1
            else:
                best, high = path, middle
    except OutOfTime:
        pass
    return best


def _fill(time: NDArray[np.int64] | Rows, bound_ns: int, stages: int) -> tuple[int, ...] | None:
    """Make every stage as long as `bound_ns` allows; None if that does not reach the end."""
    path: list[int] = []
    here, end = 0, len(time) - 1
    while here != end and len(path) < stages:
        reached = np.flatnonzero(time[here] <= bound_ns)
        if not len(reached):
            return None
        here = int(reached[-1])
        path.append(here)
    return tuple(path) if here == end else None


PLANNER = Heuristic("greedy", segment)
