"""Graphs whose ideals are too many to list: one pipeline, improved and bounded by the ladder program."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import check_plan, score_plan
from segsolve.errors import SolverFault
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout, Question
from segsolve.search.answer import Answer
from segsolve.search.ladder.confirm import solve_and_confirm
from segsolve.search.strategies import DEFAULT
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


def graph_answer(problem: Problem, limits: Limits, observe: Observer) -> Answer:
    """Return the best single pipeline of a problem over accelerators and CPU cores, one device per stage.

    Raises:
        SolverFault: a solver contradicts a known plan.
    """
    found = solve_and_confirm(problem, stages=problem.tpus, limits=limits, observe=observe)
    plan = Plan(pipelines=(found.pipeline,)) if found.pipeline else None
    if plan and (wrong := check_plan(problem, plan)):
        raise SolverFault(f"the search on the graph answered wrongly: {wrong[0]}", "please report this with the graph")
    score = score_plan(problem, plan) if plan else None
    return Answer(
        question=Question(layout=Layout.PIPELINE, cuts=Cuts.DAG),
        planner=DEFAULT,
        status=found.status,
        plan=plan,
        score=score,
        value=Fraction(score.period_ns) if score else None,
        bound=Fraction(max(1, found.bound_ns)),  # a stage that costs nothing counts as 1 ns
        cuts="dag",
        found_by=found.found_by,
        confirmed_by=found.confirmed_by,
        note=found.note,
        stopped_by=found.stopped_by,
        wall_s=found.wall_s,
        deterministic_s=found.deterministic_s,
        seed=found.seed,
    )
