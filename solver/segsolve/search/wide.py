"""Graphs whose ideals are too many to list: one pipeline, improved and bounded by the ladder program."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import check_plan, score_plan
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.ladder.confirm import solve_and_confirm
from segsolve.solvers.base import Limits, Observer, Status


def wide_answer(problem: Problem, chain: Answer, limits: Limits, observe: Observer) -> Answer:
    """Return the best single pipeline over all cuts of the graph, with the bound that the search came to.

    It starts from the plan of the execution order, one TPU per stage.

    Raises:
        SolverFault: a solver contradicts a known plan.
    """
    assert chain.plan is not None
    hint = [stage.ops for stage in chain.plan.pipelines[0].stages]
    found = solve_and_confirm(problem, stages=problem.tpus, hint=hint, limits=limits, observe=observe)
    plan = Plan(pipelines=(found.pipeline,)) if found.pipeline else chain.plan
    assert not check_plan(problem, plan)
    score = score_plan(problem, plan)
    if chain.score is not None and score.period_ns >= chain.score.period_ns:
        plan, score = chain.plan, chain.score
    value, bound = Fraction(score.period_ns), Fraction(found.bound_ns)
    return replace(
        chain,
        plan=plan,
        score=score,
        value=value,
        bound=min(bound, value),
        status=Status.OPTIMAL if bound >= value else Status.FEASIBLE,
        cuts="dag",
        found_by="cp-sat" if plan is not chain.plan else chain.found_by,
        confirmed_by=found.confirmed_by,
        note=found.note,
        certificate=None,
        stopped_by=found.stopped_by,
        deterministic_s=chain.deterministic_s + found.deterministic_s,
    )
