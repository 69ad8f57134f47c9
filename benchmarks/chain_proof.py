"""How long the proof takes on long chains, and how much of it is CP-SAT's own work.

With the greedy probe's bound the windows leave little to prove, and say so. The same program is therefore also
solved under an upper bound that is loose by 5 %, where CP-SAT has to find the optimum and prove it by itself.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.common import write_result
from generators.problems import large_chain
from segsolve.cost.segment_table import SegmentTable
from segsolve.problem import Problem
from segsolve.search.baselines.greedy import greedy_path
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.dp import optimal_bottleneck
from segsolve.search.strategies import get_planner
from segsolve.solvers.base import Limits, ignore
from segsolve.solvers.probe import exists_plan

SIZES = ((150, 4), (500, 8), (1000, 8), (1000, 16), (2000, 16))
SEEDS = (0, 1, 2)
TIME_LIMIT_S = 60.0


def main() -> None:
    # OR-Tools takes about a second to import; it is not part of any solve.
    get_planner("cpsat")
    solve(large_chain(20, 2, 0))
    rows = [measure(n, tpus, seed, deep) for n, tpus in SIZES for seed in SEEDS for deep in (False, True)]
    write_result("chain_proof", {"seeds": SEEDS, "time_limit_s": TIME_LIMIT_S, "workers": 1, "rows": rows})


def measure(n: int, tpus: int, seed: int, deep: bool) -> dict[str, Any]:
    problem = large_chain(n, tpus, seed, deep=deep)
    start = time.perf_counter()
    result = solve(problem, limits=Limits(time_limit_s=TIME_LIMIT_S))
    total = time.perf_counter() - start
    row = {"operations": n, "tpus": tpus, "seed": seed, "deep": deep, "status": str(result.status)}
    row |= {"total_s": round(total, 3), **_parts(problem), **_loose(problem)}
    print(row)
    return row


def _parts(problem: Problem) -> dict[str, float]:
    """Time the steps one by one: cost table, greedy bound, dynamic program, exact probe below the optimum."""
    times = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        times[name] = round(time.perf_counter() - clock, 4)
        clock = time.perf_counter()

    table = SegmentTable(problem)
    _ = table.time
    lap("cost_table_s")
    greedy_path(table)
    lap("greedy_s")
    best = optimal_bottleneck(table)
    lap("dp_s")
    exists_plan(table.time, problem.tpus, best - 1)
    lap("probe_s")
    return times


def _loose(problem: Problem) -> dict[str, Any]:
    """Solve the constraint program under a bound 5 % above the optimum, without a hint."""
    from segsolve.solvers.cpsat.cuts import build, minimise_bottleneck
    from segsolve.solvers.cpsat.engine import run
    from segsolve.solvers.cpsat.windows import windows

    table = SegmentTable(problem)
    best = optimal_bottleneck(table)
    upper = best * 105 // 100
    start = time.perf_counter()
    space = windows(table, upper)
    model = build(space)
    minimise_bottleneck(model, min(lower_bound(table), best), upper)
    limits = Limits(time_limit_s=TIME_LIMIT_S)
    answer = run(model.program, model.cut, limits=limits, observe=ignore, start=start)
    assert answer.objective in (best, None) or str(answer.status) != "optimal"
    return {
        "loose_arcs": sum(len(stage) for stage in space.stages),
        "loose_status": str(answer.status),
        "loose_cpsat_s": round(time.perf_counter() - start, 3),
    }


if __name__ == "__main__":
    main()
