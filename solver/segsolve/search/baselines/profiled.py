"""The vendor's profiling partitioner: bisect on a target stage time, with each stage as long as the target allows.

Source: libcoral's profiling-based partitioner. There a stage's time is measured on Edge TPUs; here it comes from the
problem's costs.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import Problem, Segmentation
from segsolve.search.base import Heuristic
from segsolve.search.baselines import compiler
from segsolve.search.chain.table import segment_table

DIFFERENCE_NS = 1_000_000  # the partitioner's default for --diff_threshold_ns


def segment(problem: Problem) -> Segmentation:
    """Start between the fastest and the slowest stage of the compiler's cut, and halve until 1 ms is left."""
    table = segment_table(problem)
    initial = compiler.segment(problem)
    path = table.path(initial)
    times = [int(table.time[a, b]) for a, b in pairwise((0, *path))]
    low, high, best = min(times), max(times), path
    while high - low > DIFFERENCE_NS:
        target = (low + high) // 2
        candidate = _fill(table.time, target, table.most_stages)
        last = int(table.time[(0, *candidate)[-2], candidate[-1]]) if candidate else None
        if candidate and last is not None and last < high:
            best = candidate
        if last is not None and last < target:
            high = target
        else:
            low, high = target, min(high, last if last is not None else high)
    return table.plan(best)


def _fill(time: NDArray[np.int64], target: int, stages: int) -> tuple[int, ...] | None:
    """Return a path in which all stages but the last keep the target, each as long as possible; None if none does."""
    end = len(time) - 1

    @cache
    def rest(begin: int, left: int) -> tuple[int, ...] | None:
        if left == 1:
            return (end,)
        for stop in range(end - left + 1, begin, -1):
            if time[begin, stop] <= target and (tail := rest(stop, left - 1)):
                return (stop, *tail)
        return None

    return rest(0, stages)


PLANNER = Heuristic("profiled", segment)
