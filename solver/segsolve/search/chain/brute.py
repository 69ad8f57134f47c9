"""Every plan there is, priced by the evaluator: the oracle of the tests."""

from __future__ import annotations

import time
from itertools import combinations
from math import comb

from segsolve.cost.plan import check_plan, score_cut
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.base import found
from segsolve.solvers.base import Limits, Observer, Status

LARGEST = 200_000  # plans; some tens of seconds


class BruteForce:
    """Enumerates; refuses when there would be too many plans."""

    name = "brute"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        """Return the optimal plan, that there is none, or that there are too many to try."""
        start = time.perf_counter()
        most = min(problem.tpus - 1, len(problem.cuts))
        plans = sum(comb(len(problem.cuts), k) for k in range(most + 1))
        if plans > LARGEST:
            note = f"{plans} plans are too many to try one by one"
            return found(problem, self.name, None, None, status=Status.UNKNOWN, note=note)
        n = len(problem.ops)
        all_of_them = (cuts for k in range(most + 1) for cuts in combinations(problem.cuts, k))
        valid = (cuts for cuts in all_of_them if not check_plan(problem, cut_at(cuts, n)))
        best = min((_preference(problem, cuts) for cuts in valid), default=None)
        return found(
            problem,
            self.name,
            best[3] if best else None,
            best[0] if best else None,
            status=Status.OPTIMAL if best else Status.INFEASIBLE,
            bound_ns=best[0] if best else 0,
            found_by="enumeration",
            wall_s=time.perf_counter() - start,
            seed=limits.seed,
        )


def _preference(problem: Problem, cuts: tuple[int, ...]) -> tuple[int, int, int, tuple[int, ...]]:
    """Order plans as `tie_break` does."""
    costs = score_cut(problem, cuts)
    return costs.bottleneck_ns, costs.latency_ns, len(cuts), cuts


PLANNER = BruteForce()
