"""The search on a DAG and then the second solver's word on what it calls optimal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segsolve.planners.base import Limits, Observer, Status, ignore
from segsolve.planners.ladder.certificate import TIME_LIMIT_S, Verdict, certify
from segsolve.planners.ladder.result import DagResult
from segsolve.planners.ladder.solve import solve_dag
from segsolve.problem import Problem

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
    if not result.deterministic_s:
        return replace(result, proof=f"bounds: no plan below {result.objective_ns} ns")
    found = certify(problem, stages=stages, objective_ns=result.objective_ns, time_limit_s=certificate_s)
    if found.verdict is Verdict.CONFIRMED:
        return replace(result, proof=found.how)
    return replace(result, note=f"{SOLVERS_WORD}: {found.how}")
