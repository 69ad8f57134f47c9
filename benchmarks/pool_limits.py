"""Pools at the edges of what is supported: costs near 2^60 and of nothing, 30 models, 1,000 TPUs, odd rates.

    python -m benchmarks.pool_limits [--first SEED] [--count N] [--seconds LIMIT]

Each (`generators.pools.extreme_pool`) is refused in a sentence, or has an answer whose plan the evaluator finds valid
and prices as the search did, with no bound above it and no simple use of the pool below that; the best of all plans,
where these are few enough to be tried, is between the two.
Writes benchmarks/results/pool_limits.json.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from fractions import Fraction

from benchmarks.common import write_result
from generators.pools import best_exclusive_period, best_shared_period, extreme_pool
from segsolve.errors import SegsolveError
from segsolve.pool.evaluate import check_pool, keeps, score_pool
from segsolve.pool.model import Goal, PoolProblem, Sharing
from segsolve.pool.simple import simple_plans
from segsolve.pool.solve import solve_pool
from segsolve.solvers.base import Limits, Status

SECONDS = 1.0
LARGEST = 3  # models, and devices, of which all plans are tried
NEARLY = 1 - Fraction(1, 10**6)
FEW = 20  # devices: simple uses of more take long to find


def faults_of(problem: PoolProblem, seconds: float = SECONDS) -> tuple[str, list[str]]:
    """Solve a problem; return the status of the answer, and what is wrong with it."""
    answer, found = solve_pool(problem, limits=Limits(time_limit_s=seconds)), []
    if answer.plan is None or answer.value is None or answer.score is None:
        return answer.status, [] if problem.words or answer.status is not Status.OPTIMAL else ["no plan"]
    if wrong := check_pool(problem, answer.plan):
        found.append(f"the plan is not valid: {wrong[0]}")
    score = score_pool(problem, answer.plan)
    if score != answer.score:
        found.append("the plan is not priced as the evaluator prices it")
    if answer.bound > answer.value or answer.certified > answer.bound:
        found.append(f"{answer.certified} is certified, {answer.bound} the bound, {answer.value} the value")
    if (answer.status is Status.OPTIMAL) != (answer.bound == answer.value) and problem.workload.scale_fps is None:
        found.append(f"{answer.status}, with a bound of {answer.bound} and a value of {answer.value}")
    if (best := best_of_all(problem)) is not None and not answer.bound * NEARLY <= best <= answer.value / NEARLY:
        found.append(f"{answer.value} with a bound of {answer.bound}, the best of all plans takes {float(best)}")
    if problem.workload.goal is Goal.RATES and not problem.words and len(problem.pool.devices) <= FEW:
        simple = min(
            (score_pool(problem, plan).period for plan in simple_plans(problem).values() if keeps(problem, plan)),
            default=None,
        )
        if simple is not None and simple < answer.bound and "copies" in answer.over:
            found.append(f"a simple use takes {simple}, the bound is {answer.bound}")
    return answer.status, found


def best_of_all(problem: PoolProblem) -> Fraction | None:
    """Return the least period of all plans that are asked for, where they are few enough to try; None else."""
    workload = problem.workload
    is_small = max(problem.models, len(problem.pool.devices)) <= LARGEST
    if not is_small or workload.goal is not Goal.RATES or problem.words:
        return None
    if workload.sharing is Sharing.NEVER and (best := best_exclusive_period(problem)) is not None:
        return Fraction(best)
    return best_shared_period(problem) if workload.sharing is Sharing.ALWAYS and problem.models > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    outcomes, faults, slowest = Counter[str](), [], 0.0
    for seed in range(given.first, given.first + given.count):
        begun = time.perf_counter()
        try:
            outcome, found = faults_of(extreme_pool(seed), given.seconds)
        except SegsolveError as error:
            outcome, found = type(error).__name__, []
        except Exception:
            outcome, found = "raised", [traceback.format_exc()]
        outcomes[outcome] += 1
        slowest = max(slowest, time.perf_counter() - begun)
        for fault in found:
            faults.append(f"{seed}: {fault}")
            print(faults[-1], flush=True)
    result = {
        "problems": given.count,
        "first": given.first,
        "seconds_each": given.seconds,
        "outcomes": dict(sorted(outcomes.items())),
        "slowest_s": round(slowest, 2),
        "faults": faults,
    }
    write_result("pool_limits", result)


if __name__ == "__main__":
    main()
