"""The search on a DAG, and then an independent word on what it calls optimal.

While the ideals of the graph are few, the exact probe over all of them settles it to the ns; else the second solver.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from segsolve.cost.lattice_table import LatticeTable
from segsolve.cost.states import ideals
from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.ladder.second_solver import MARGIN, TIME_LIMIT_S, Verdict, certify
from segsolve.search.ladder.solve import solve_dag
from segsolve.solvers.base import Confirmation, Limits, Observer, Status, ignore
from segsolve.solvers.ladder.result import DagResult
from segsolve.solvers.probe import exists_plan

MOST_IDEALS = 1000
"""Whose table of stages still takes a second."""
SOLVERS_WORD = "optimal (solver's word)"


def solve_and_confirm(
    problem: Problem,
    *,
    stages: int,
    hint: Sequence[Sequence[int]] | None = None,
    limits: Limits | None = None,
    observe: Observer = ignore,
    certificate_s: float = TIME_LIMIT_S,
) -> DagResult:
    """Return the best pipeline as `solve_dag` does; an optimum has a proof, or a note that it has only CP-SAT's word.

    Raises:
        SolverFault: the solvers contradict each other, a known plan, or the evaluator.
    """
    result = solve_dag(problem, stages=stages, hint=hint, limits=limits, observe=observe)
    if result.status is not Status.OPTIMAL or result.objective_ns is None:
        return result
    if (probed := _probe(problem, stages, result.objective_ns)) is not None:
        return replace(result, confirmed_by=(probed,))
    if not result.deterministic_s:
        claim = f"no plan of {result.objective_ns - 1} ns or less"
        return replace(result, confirmed_by=(Confirmation(by="bounds", claim=claim, strength="exact", seconds=0.0),))
    found = certify(problem, stages=stages, objective_ns=result.objective_ns, time_limit_s=certificate_s)
    if found.verdict is Verdict.CONFIRMED:
        by, _, claim = found.how.rpartition(": ")
        strength = f"within one part in {MARGIN:,}"
        proof = Confirmation(by=by.lower(), claim=claim, strength=strength, seconds=found.wall_s)
        return replace(result, confirmed_by=(proof,))
    return replace(result, note=f"{SOLVERS_WORD}: {found.how}")


def _probe(problem: Problem, stages: int, objective_ns: int) -> Confirmation | None:
    """Return what an exact probe over the lattice of ideals shows; None if it is too large, or cores are there."""
    start = time.perf_counter()
    members = None if problem.cpus else ideals(problem, MOST_IDEALS)
    if members is None:
        return None
    if exists_plan(LatticeTable(problem, members).time, stages, objective_ns - 1):
        raise SolverFault(f"an exact probe finds a plan below the optimum of {objective_ns} ns")
    claim = f"no plan of {objective_ns - 1} ns or less over {len(members)} ideals"
    return Confirmation(by="exact probe", claim=claim, strength="exact", seconds=time.perf_counter() - start)
