"""Ask a planner, and believe only what the evaluator and an exact probe confirm."""

from __future__ import annotations

from dataclasses import replace

from segsolve.cost.plan import check, score
from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.base import SolveResult
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.table import segment_table
from segsolve.search.strategies import DEFAULT, get_planner
from segsolve.solvers.base import Limits, Observer, Status, ignore
from segsolve.solvers.probe import exists_plan


def solve(
    problem: Problem, *, planner: str = DEFAULT, limits: Limits | None = None, observe: Observer = ignore
) -> SolveResult:
    """Return a planner's result, confirmed.

    A plan is checked and priced again by the evaluator. `optimal` and `infeasible` stand only when the exact probe,
    which shares nothing with CP-SAT, finds no plan that is better by one ns, or no plan at all.

    Raises:
        UsageError: no planner has this name.
        SolverFault: the planner's answer is wrong.
    """
    result = get_planner(planner).solve(problem, limits or Limits(), observe)
    _confirm_plan(problem, result)
    return _confirm_bound(problem, result)


def _confirm_plan(problem: Problem, result: SolveResult) -> None:
    if result.plan is None:
        return
    if wrong := check(problem, result.plan):
        raise _fault(result, f"its plan is not valid: {wrong[0]}")
    if (found := score(problem, result.plan).bottleneck_ns) != result.objective_ns:
        raise _fault(result, f"it claims a bottleneck of {result.objective_ns} ns, its plan has {found} ns")


def _confirm_bound(problem: Problem, result: SolveResult) -> SolveResult:
    table = segment_table(problem)
    if result.status is Status.INFEASIBLE:
        if exists_plan(table.time, table.most_stages, IMPOSSIBLE - 1):
            raise _fault(result, "it says that there is no plan, an exact probe finds one")
        return replace(result, proof="exact probe: no plan reaches the end of the chain")
    if result.status is Status.OPTIMAL and result.objective_ns is not None:
        if exists_plan(table.time, table.most_stages, result.objective_ns - 1):
            raise _fault(result, f"an exact probe finds a plan below its optimum of {result.objective_ns} ns")
        return replace(result, proof=f"exact probe: no plan of {result.objective_ns - 1} ns or less")
    return _with_cheap_bound(result, lower_bound(table))


def _with_cheap_bound(result: SolveResult, bound_ns: int) -> SolveResult:
    """Raise the bound to the one that needs no search; a plan that meets it is optimal, whoever made it."""
    if result.objective_ns is None:
        return replace(result, bound_ns=max(result.bound_ns, bound_ns))
    if result.objective_ns == bound_ns:
        proof = f"lower bound: no plan of {bound_ns - 1} ns or less"
        return replace(result, status=Status.OPTIMAL, bound_ns=bound_ns, proof=proof)
    return replace(result, bound_ns=max(result.bound_ns, bound_ns))


def _fault(result: SolveResult, what: str) -> SolverFault:
    return SolverFault(f"the planner {result.planner!r} answered wrongly: {what}", "please report this with the model")
