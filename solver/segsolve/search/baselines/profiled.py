"""The vendor's profiling partitioner: bisect on a target stage time, with each stage as long as the target allows.

Source: libcoral's profiling-based partitioner. There a stage's time is measured on Edge TPUs; here it comes from the
problem's costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsolve.deadline import check
from segsolve.problem import Problem
from segsolve.search.base import Heuristic
from segsolve.search.baselines import compiler
from segsolve.search.chain.table import Rows, rows_of

DIFFERENCE_NS = 1_000_000  # the partitioner's default for --diff_threshold_ns


def segment(problem: Problem) -> tuple[int, ...]:
    """Start between the fastest and the slowest stage of the compiler's cut, and halve until 1 ms is left."""
    (*_, best) = _bisected(rows_of(problem), problem)
    return tuple(problem.cuts[b - 1] for b in best[1][:-1])


def needed(problem: Problem) -> frozenset[tuple[int, int]]:
    """Return the stages (half-open ranges) that the partitioner must compile and measure at least.

    To know that a stage is as long as its target allows, it needs the stage and the one that is a step longer; what its
    own search tries on the way is not counted.
    """
    time, positions = rows_of(problem), (0, *problem.cuts, len(problem.ops))
    found = set()
    for tried, _ in _bisected(time, problem):
        for begin, end in pairwise((0, *tried)) if tried is not None else ():
            found |= {(positions[begin], positions[stop]) for stop in (end, end + 1) if stop < len(positions)}
    return frozenset(found)


def _bisected(
    time: NDArray[np.int64] | Rows, problem: Problem
) -> Iterator[tuple[tuple[int, ...] | None, tuple[int, ...]]]:
    """Yield each candidate, None for a target that none keeps, and the best one so far."""
    stages = min(problem.tpus, len(problem.cuts) + 1)
    initial = compiler.segment(problem)
    path = (*(problem.cuts.index(cut) + 1 for cut in initial), len(problem.cuts) + 1)
    times = [int(time[a][b]) for a, b in pairwise((0, *path))]
    low, high, best = min(times), max(times), path
    yield path, best
    while high - low > DIFFERENCE_NS:
        target = (low + high) // 2
        candidate = _fill(time, target, stages)
        last = int(time[(0, *candidate)[-2]][candidate[-1]]) if candidate else None
        if candidate and last is not None and last < high:
            best = candidate
        if last is not None and last < target:
            high = target
        else:
            low, high = target, min(high, last if last is not None else high)
        yield candidate, best


def _fill(time: NDArray[np.int64] | Rows, target: int, stages: int) -> tuple[int, ...] | None:
    """Return a path in which all stages but the last keep the target, each as long as possible; None if none does."""
    end = len(time) - 1

    @cache
    def rest(begin: int, left: int) -> tuple[int, ...] | None:
        if left == 1:
            return (end,)
        check()
        row = time[begin]
        for stop in (begin + 1 + np.flatnonzero(row[begin + 1 : end - left + 2] <= target)[::-1]).tolist():
            if tail := rest(stop, left - 1):
                return (stop, *tail)
        return None

    return rest(0, stages)


PLANNER = Heuristic("profiled", segment)
