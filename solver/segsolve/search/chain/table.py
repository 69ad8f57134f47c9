"""The table of all stages of a chain, which several planners ask for in turn, and plans as paths through it."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.plan import check_plan, score_cut
from segsolve.cost.table import IMPOSSIBLE, StageTable, chain_table
from segsolve.deadline import check
from segsolve.plan.model import cut_at
from segsolve.problem import Problem

_MANY = 600  # positions

Path = tuple[int, ...]
"""The states at which the stages of a plan end, the last being the table's end."""


@lru_cache(maxsize=4)
def segment_table(problem: Problem) -> StageTable:
    """Return the table of a problem, which several planners ask for in turn.

    In a long chain most stages are slower than plans that need no table: these are left out.
    """
    return chain_table(problem, _known_bottleneck(problem) if is_long(problem) else None)


def is_long(problem: Problem) -> bool:
    """Whether a problem has so many positions that heuristics had better do without a table."""
    return len(problem.cuts) > _MANY


class Rows:
    """The rows of a table [states], priced when they are asked for."""

    def __init__(self, table: StageTable) -> None:
        self._table, self._known = table, dict[int, NDArray[np.int64]]()

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, state: int) -> NDArray[np.int64]:
        if state not in self._known:
            check()
            row = np.full(len(self), IMPOSSIBLE, dtype=np.int64)
            row[state + 1 :] = self._table.times(state, state + 1, slice(state + 1, len(self)))[0]
            self._known[state] = row
        return self._known[state]


def rows_of(problem: Problem) -> NDArray[np.int64] | Rows:
    """Return the times of stages by the position at which they begin; of a long chain one by one."""
    return Rows(chain_table(problem)) if is_long(problem) else segment_table(problem).time


def cuts_of(table: StageTable, path: Path) -> tuple[int, ...]:
    """Return where a path cuts the execution order."""
    return tuple(int(table.positions[b]) for b in path[:-1])


def path_of(table: StageTable, cuts: tuple[int, ...]) -> Path:
    """Return the path that cuts the execution order so."""
    return (*(int(i) for i in np.searchsorted(table.positions, cuts)), table.end)


def latency_of(table: StageTable, path: Path) -> int:
    """Return the time in ns of one inference through the stages of a path."""
    return sum(int(table.time[a, b]) for a, b in pairwise((0, *path)))


def _known_bottleneck(problem: Problem) -> int | None:
    """Return a bottleneck in ns that a plan keeps which needs no table; None where it is not known to hold."""
    from segsolve.search.baselines import compiler, uniform

    if problem.measured:
        return None
    found = (compiler.segment(problem), uniform.segment(problem))
    valid = [cuts for cuts in found if not check_plan(problem, cut_at(cuts, len(problem.ops)))]
    return min((score_cut(problem, cuts).bottleneck_ns for cuts in valid), default=None)
