"""Dynamic programming over stages and positions: exact for the bottleneck of one chain."""

from __future__ import annotations

import time

import numpy as np

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import check
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.base import found
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.table import cuts_of, segment_table
from segsolve.search.chain.tie_break import best_path
from segsolve.solvers.base import Limits, Observer, Progress, Status


class DynamicProgramming:
    """best[k][b] = min over a of max(best[k - 1][a], time[a, b])."""

    name = "dp"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        """Return the optimal plan, or that there is none."""
        start = time.perf_counter()
        table = segment_table(problem)
        best = optimal_bottleneck(table)
        path = best_path(table.time, table.most_stages, best) if best < IMPOSSIBLE else None
        answer = found(
            problem,
            self.name,
            cuts_of(table, path) if path else None,
            best if path else None,
            status=Status.OPTIMAL if path else Status.INFEASIBLE,
            bound_ns=best if path else lower_bound(table),
            found_by="dynamic program",
            wall_s=time.perf_counter() - start,
            seed=limits.seed,
        )
        observe(Progress(objective_ns=answer.objective_ns, bound_ns=answer.bound_ns, wall_s=answer.wall_s))
        return answer


def optimal_bottleneck(table: StageTable) -> int:
    """Return the smallest bottleneck of at most as many stages as there are TPUs; IMPOSSIBLE if there is none."""
    best = np.full(len(table.positions), IMPOSSIBLE, dtype=np.int64)
    best[0] = 0
    smallest = IMPOSSIBLE
    for _ in range(table.most_stages):
        check()
        best = np.maximum(best[:, None], table.time).min(axis=0)
        smallest = min(smallest, int(best[-1]))
    return smallest


PLANNER = DynamicProgramming()
