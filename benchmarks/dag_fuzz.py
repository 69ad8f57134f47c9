"""The DAG search against everything else that is exact, on generated graphs and on the zoo.

Small graphs are held against every assignment and against HiGHS, larger ones and the networks of the zoo against the
lattice of their ideals, with memory that is hard or streams and with CPU cores. Whatever disagrees is named with its
seed. Run it before another version of OR-Tools is allowed: small graphs do not show the faults of 9.15.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.dags import random_dag, spilling_dag
from generators.enumeration import least_bottleneck
from segsolve.cost.lattice_table import LatticeTable
from segsolve.cost.states import ideals
from segsolve.device.model import load_device
from segsolve.errors import SolverFault
from segsolve.graph.read import read_graph
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.ladder.second_solver import Verdict, certify
from segsolve.search.ladder.solve import solve_dag
from segsolve.solvers.base import Limits, Status
from segsolve.solvers.probe import exists_plan
from segsolve.zoo import names

SMALL, MEDIUM = 300, 200
IDEALS = 2500
ZOO_TPUS = (2, 3, 4, 6, 8)


def main() -> None:
    start = time.perf_counter()
    counts = {
        "small": check(small(), against_all),
        "medium": check(medium(), against_lattice),
        "zoo": check(zoo(), against_lattice),
    }
    write_result("dag_fuzz", {"wall_s": round(time.perf_counter() - start, 1), **counts})


def check(problems: Iterator[tuple[str, Problem]], oracle: Any) -> dict[str, Any]:
    """Ask an oracle about each problem; count what it could decide, and name what disagrees."""
    solved, undecided, wrong = 0, 0, []
    for name, problem in problems:
        try:
            complaint = oracle(problem)
        except SolverFault as fault:
            complaint = str(fault)
        solved += 1
        undecided += complaint is None
        if complaint:
            wrong.append(f"{name}: {complaint}")
            print(wrong[-1], flush=True)
    print(solved, "solved,", undecided, "undecided,", len(wrong), "wrong", flush=True)
    return {"solved": solved, "undecided": undecided, "wrong": wrong}


def against_all(problem: Problem) -> str | None:
    """Return what every assignment and HiGHS say against the search; empty if nothing."""
    result, best = solve_dag(problem, stages=problem.tpus), least_bottleneck(problem)
    if result.objective_ns != best:
        return f"{result.status} {result.objective_ns}, of all assignments {best}"
    if best is None:
        return ""
    found = certify(problem, stages=problem.tpus, objective_ns=best)
    may_choose = not problem.no_spill and not problem.cpus
    return "" if found.verdict is Verdict.CONFIRMED or may_choose else f"HiGHS: {found.how}"


def against_lattice(problem: Problem) -> str | None:
    """Return what the lattice of ideals says; empty if nothing, None if it is too large or the search stayed open."""
    members = ideals(problem, IDEALS)
    if members is None:
        return None
    result = solve_dag(problem, stages=problem.tpus, limits=Limits(time_limit_s=60.0))
    table = LatticeTable(problem, members).time
    if result.status is Status.INFEASIBLE:
        return "called infeasible, the lattice has a plan" if exists_plan(table, problem.tpus, 10**15) else ""
    if result.objective_ns is None:
        return None
    if not exists_plan(table, problem.tpus, result.objective_ns):
        return f"{result.objective_ns} is out of reach on the lattice"
    if exists_plan(table, problem.tpus, result.bound_ns - 1):
        return f"the bound {result.bound_ns} is wrong: the lattice has a better plan"
    return "" if result.status is Status.OPTIMAL else None


def small() -> Iterator[tuple[str, Problem]]:
    for seed in range(SMALL):
        yield f"plain {seed}", random_dag(7, 3, seed)
        yield f"cores {seed}", random_dag(6, 2, seed, cpus=1)
        yield f"hard memory {seed}", random_dag(7, 3, seed, memory=1.3)
        yield f"cores and memory {seed}", random_dag(5, 1, seed, cpus=2, memory=1.2)
        yield f"spill {seed}", spilling_dag(7, 3, seed)


def medium() -> Iterator[tuple[str, Problem]]:
    for seed in range(MEDIUM):
        yield f"medium {seed}", random_dag(26, 2 + seed % 5, seed, width=2)
        yield f"medium, hard memory {seed}", random_dag(24, 2 + seed % 4, seed, width=2, memory=1.2)
        yield f"medium, spill {seed}", spilling_dag(20, 2 + seed % 4, seed)


def zoo() -> Iterator[tuple[str, Problem]]:
    for name in names():
        with zoo_file(name) as path:
            graph = read_graph(path)
        for device in ("edgetpu-pcie", "edgetpu-usb"):
            costs = AnalyticCosts(graph=graph, device=load_device(device))
            for tpus in ZOO_TPUS:
                yield f"{name} {device} {tpus}", costs.problem(tpus=tpus, no_spill=tpus > 6)


if __name__ == "__main__":
    main()
