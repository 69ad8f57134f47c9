"""Every plan there is, priced by the evaluator: the oracle of the tests."""

from __future__ import annotations

import time
from itertools import combinations
from math import comb

from segsolve.cost.plan import check, score
from segsolve.problem import Problem, Segmentation
from segsolve.search.base import SolveResult
from segsolve.solvers.base import Limits, Observer, Status

LARGEST = 200_000  # plans; some tens of seconds


class BruteForce:
    """Enumerates; refuses when there would be too many plans."""

    name = "brute"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> SolveResult:
        """Return the optimal plan, that there is none, or that there are too many to try."""
        start = time.perf_counter()
        most = min(problem.tpus - 1, len(problem.cuts))
        plans = sum(comb(len(problem.cuts), k) for k in range(most + 1))
        if plans > LARGEST:
            return SolveResult(
                planner=self.name,
                status=Status.UNKNOWN,
                plan=None,
                objective_ns=None,
                bound_ns=0,
                wall_s=0.0,
                note=f"{plans} plans are too many to try one by one",
            )
        candidates = (Segmentation(cuts=cuts) for k in range(most + 1) for cuts in combinations(problem.cuts, k))
        valid = (plan for plan in candidates if not check(problem, plan))
        best = min(valid, key=lambda plan: _preference(problem, plan), default=None)
        objective = score(problem, best).bottleneck_ns if best else None
        return SolveResult(
            planner=self.name,
            found_by="enumeration",
            status=Status.OPTIMAL if best else Status.INFEASIBLE,
            plan=best,
            objective_ns=objective,
            bound_ns=objective or 0,
            wall_s=time.perf_counter() - start,
            seed=limits.seed,
        )


def _preference(problem: Problem, plan: Segmentation) -> tuple[int, int, int, tuple[int, ...]]:
    """Order plans as `tie_break` does."""
    costs = score(problem, plan)
    return costs.bottleneck_ns, costs.latency_ns, len(plan.cuts), plan.cuts


PLANNER = BruteForce()
