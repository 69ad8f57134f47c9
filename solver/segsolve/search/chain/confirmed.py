"""Ask a planner, and believe only what the evaluator and an exact probe confirm."""

from __future__ import annotations

from dataclasses import replace

from segsolve.cost.plan import check, score
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime
from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.answer import EVALUATOR
from segsolve.search.base import SolveResult
from segsolve.search.chain.bounds import bound_of_work, lower_bound
from segsolve.search.chain.table import segment_table
from segsolve.search.confirm import confirmed
from segsolve.search.strategies import DEFAULT, get_planner
from segsolve.solvers.base import Confirmation, Limits, Observer, Status, Stop, ignore
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
    priced = _confirm_plan(problem, result)
    try:
        return _confirm_bound(problem, priced)
    except OutOfTime:
        status = priced.status
        if status in (Status.OPTIMAL, Status.INFEASIBLE):
            status = Status.FEASIBLE if priced.plan else Status.UNKNOWN
        return replace(priced, status=status, stopped_by=Stop.TIME_LIMIT)


def _confirm_plan(problem: Problem, result: SolveResult) -> SolveResult:
    if result.plan is None:
        return result
    plan = result.plan

    def price() -> int:
        if wrong := check(problem, plan):
            raise _fault(result, f"its plan is not valid: {wrong[0]}")
        return score(problem, plan).bottleneck_ns

    found, confirmation = confirmed(EVALUATOR, "the plan is valid and has the bottleneck that is said", "exact", price)
    if found != result.objective_ns:
        raise _fault(result, f"it claims a bottleneck of {result.objective_ns} ns, its plan has {found} ns")
    return replace(result, confirmed_by=(confirmation,))


def _confirm_bound(problem: Problem, result: SolveResult) -> SolveResult:
    if result.stopped_by is not Stop.FINISHED:
        return _with_cheap_bound(result, bound_of_work(problem))
    table = segment_table(problem)
    if result.status is Status.INFEASIBLE:
        return _probe_says(result, table, IMPOSSIBLE - 1, "no plan reaches the end of the chain")
    if result.status is Status.OPTIMAL and result.objective_ns is not None:
        return _probe_says(result, table, result.objective_ns - 1, f"no plan of {result.objective_ns - 1} ns or less")
    return _with_cheap_bound(result, lower_bound(table))


def _probe_says(result: SolveResult, table: StageTable, bound_ns: int, claim: str) -> SolveResult:
    exists, confirmation = confirmed(
        "exact probe", claim, "exact", lambda: exists_plan(table.time, table.most_stages, bound_ns)
    )
    if exists:
        claimed = "there is no plan" if result.plan is None else f"no plan takes less than {result.objective_ns} ns"
        raise _fault(result, f"it says that {claimed}, an exact probe finds one")
    return replace(result, confirmed_by=(*result.confirmed_by, confirmation))


def _with_cheap_bound(result: SolveResult, bound_ns: int) -> SolveResult:
    """Raise the bound to the one that needs no search; a plan that meets it is optimal, whoever made it."""
    if result.objective_ns is None:
        return replace(result, bound_ns=max(result.bound_ns, bound_ns))
    if result.objective_ns == bound_ns:
        proof = Confirmation(by="bounds", claim=f"no plan of {bound_ns - 1} ns or less", strength="exact", seconds=0.0)
        confirmed_by = (*result.confirmed_by, proof)
        return replace(result, status=Status.OPTIMAL, bound_ns=bound_ns, confirmed_by=confirmed_by)
    return replace(result, bound_ns=max(result.bound_ns, bound_ns))


def _fault(result: SolveResult, what: str) -> SolverFault:
    return SolverFault(f"the planner {result.planner!r} answered wrongly: {what}", "please report this with the model")
