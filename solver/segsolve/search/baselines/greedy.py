"""The smallest bottleneck that stages can keep when each is made as long as possible, found by bisection.

Exact where a longer stage is never faster, which transfers and whole-layer spill do not promise: a very good
heuristic here, and the upper bound that the exact search starts from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE, SegmentTable
from segsolve.problem import Problem, Segmentation
from segsolve.search.base import Heuristic
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.table import segment_table


def segment(problem: Problem) -> Segmentation | None:
    """Bisect on the bottleneck between the lower bound and the largest stage time; None if no fill reaches the end."""
    table = segment_table(problem)
    path = greedy_path(table)
    return table.plan(path) if path else None


def greedy_path(table: SegmentTable) -> tuple[int, ...] | None:
    """Return the position indices at which the stages of the best greedy fill end."""
    possible = table.time[table.time < IMPOSSIBLE]
    low, high = lower_bound(table), int(possible.max(initial=0))
    best = _fill(table.time, high, table.most_stages)
    while low < high:
        middle = (low + high) // 2
        path = _fill(table.time, middle, table.most_stages)
        if path is None:
            low = middle + 1
        else:
            best, high = path, middle
    return best


def _fill(time: NDArray[np.int64], bound_ns: int, stages: int) -> tuple[int, ...] | None:
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
