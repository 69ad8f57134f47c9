"""Solver against certificate: thousands of generated problems and the real graphs of the zoo.

Run it before another version of OR-Tools is allowed. Every problem is solved by CP-SAT and by dynamic programming; a
wrong objective, a false optimum or a false infeasibility raises, is counted and kept with its seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.problems import medium_problem, small_problem
from segsolve.device.model import load_device
from segsolve.errors import SolverFault
from segsolve.graph.read import read_graph
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.chain.confirmed import solve
from segsolve.solvers.base import Limits
from segsolve.zoo import names

SMALL, MEDIUM = 3000, 300


def main() -> None:
    start = time.perf_counter()
    counts = {
        "small": check((f"small {seed}", small_problem(seed)) for seed in range(SMALL)),
        "medium": check((f"medium {seed}", medium_problem(seed)) for seed in range(MEDIUM)),
        "zoo": check(real()),
    }
    write_result("fuzz", {"wall_s": round(time.perf_counter() - start, 1), **counts})


def check(problems: Iterator[tuple[str, Problem]]) -> dict[str, Any]:
    """Solve each problem by both exact planners, with one and two workers in turn; name those that disagree."""
    solved, infeasible, wrong = 0, 0, []
    for number, (name, problem) in enumerate(problems):
        try:
            exact = solve(problem, planner="dp")
            found = solve(problem, limits=Limits(seed=number, workers=1 + number % 2))
            if (found.status, found.plan) != (exact.status, exact.plan):
                wrong.append(f"{name}: {found.status} {found.objective_ns}, dp {exact.status} {exact.objective_ns}")
            infeasible += exact.plan is None
        except SolverFault as fault:
            wrong.append(f"{name}: {fault}")
        solved += 1
    print(solved, "solved,", infeasible, "infeasible,", len(wrong), "wrong", flush=True)
    return {"solved": solved, "infeasible": infeasible, "wrong": wrong}


def real() -> Iterator[tuple[str, Problem]]:
    """Every network of the zoo on 2 to 16 TPUs of both families, with and without spill."""
    for name in names():
        with zoo_file(name) as path:
            graph = read_graph(path)
        for device in ("edgetpu-pcie", "edgetpu-usb"):
            costs = AnalyticCosts(graph=graph, device=load_device(device))
            for tpus in (2, 3, 4, 5, 6, 8, 12, 16):
                for no_spill in (False, True):
                    yield f"{name} {device} {tpus} {no_spill}", costs.problem(tpus=tpus, no_spill=no_spill)


if __name__ == "__main__":
    main()
