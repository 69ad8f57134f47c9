"""Ask a planner, and believe only what the evaluator and an exact probe confirm."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore, check_plan, score_plan
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime
from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.answer import EVALUATOR, Answer
from segsolve.search.bounds import least_host
from segsolve.search.chain.bounds import bound_of_work, lower_bound
from segsolve.search.chain.table import segment_table
from segsolve.search.confirm import confirmed
from segsolve.search.strategies import DEFAULT, get_planner
from segsolve.solvers.base import Confirmation, Limits, Observer, Status, Stop, ignore
from segsolve.solvers.probe import exists_plan
from segsolve_runtime.contract.wording import exact_ms


def solve(
    problem: Problem, *, planner: str = DEFAULT, limits: Limits | None = None, observe: Observer = ignore
) -> Answer:
    """Return a planner's answer to the plain question, confirmed.

    A plan is checked and priced again by the evaluator. `optimal` and `infeasible` stand only when the exact probe,
    which shares nothing with CP-SAT, finds no plan that is better by one ns, or no plan at all; and where neither link
    nor host, of which a planner of stages knows nothing, limits the plan.

    Raises:
        UsageError: no planner has this name.
        SolverFault: the planner's answer is wrong.
    """
    said = get_planner(planner).solve(problem, limits or Limits(), observe)
    priced = _confirm_plan(problem, said)
    try:
        known = _confirm_bound(problem, priced)
    except OutOfTime:
        status = priced.status
        if status in (Status.OPTIMAL, Status.INFEASIBLE):
            status = Status.FEASIBLE if priced.plan else Status.UNKNOWN
        known = replace(priced, status=status, stopped_by=Stop.TIME_LIMIT)
    return _with_what_is_shared(problem, known)


def _confirm_plan(problem: Problem, said: Answer) -> Answer:
    if said.plan is None:
        return said
    plan = said.plan

    def price() -> PlanScore:
        if wrong := check_plan(problem, plan):
            raise _fault(said, f"its plan is not valid: {wrong[0]}")
        return score_plan(problem, plan)

    score, confirmation = confirmed(EVALUATOR, "the plan is valid and has the bottleneck that is said", "exact", price)
    found = score.pipelines[0].bottleneck_ns
    if found != said.value:
        raise _fault(said, f"it claims a bottleneck of {said.objective_ns} ns, its plan has {found} ns")
    return replace(said, score=score, confirmed_by=(confirmation,))


def _with_what_is_shared(problem: Problem, known: Answer) -> Answer:
    known = replace(known, bound=max(known.bound, Fraction(least_host(problem))))
    if known.score is None or not known.score.limited_by:
        return known
    return replace(known, status=Status.FEASIBLE, value=1 / known.score.rate)


def _confirm_bound(problem: Problem, result: Answer) -> Answer:
    if result.stopped_by is not Stop.FINISHED:
        return _with_cheap_bound(result, bound_of_work(problem))
    table = segment_table(problem)
    if result.status is Status.INFEASIBLE:
        return _probe_says(result, table, IMPOSSIBLE - 1, "no plan reaches the end of the chain")
    if result.status is Status.OPTIMAL and result.objective_ns is not None:
        return _probe_says(
            result, table, result.objective_ns - 1, f"no plan of {exact_ms(result.objective_ns - 1)} or less"
        )
    return _with_cheap_bound(result, lower_bound(table))


def _probe_says(result: Answer, table: StageTable, bound_ns: int, claim: str) -> Answer:
    exists, confirmation = confirmed(
        "exact probe", claim, "exact", lambda: exists_plan(table.time, table.most_stages, bound_ns)
    )
    if exists:
        claimed = "there is no plan" if result.plan is None else f"no plan takes less than {result.objective_ns} ns"
        raise _fault(result, f"it says that {claimed}, an exact probe finds one")
    return replace(result, confirmed_by=(*result.confirmed_by, confirmation))


def _with_cheap_bound(result: Answer, bound_ns: int) -> Answer:
    """Raise the bound to the one that needs no search; a plan that meets it is optimal, whoever made it."""
    bound = max(result.bound, Fraction(bound_ns))
    if result.value == bound_ns:
        proof = Confirmation(
            by="bounds", claim=f"no plan of {exact_ms(bound_ns - 1)} or less", strength="exact", seconds=0.0
        )
        confirmed_by = (*result.confirmed_by, proof)
        return replace(result, status=Status.OPTIMAL, bound=bound, confirmed_by=confirmed_by)
    return replace(result, bound=bound)


def _fault(result: Answer, what: str) -> SolverFault:
    return SolverFault(f"the planner {result.planner!r} answered wrongly: {what}", "please report this with the model")
