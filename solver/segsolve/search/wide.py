"""Graphs whose ideals are too many to list: one pipeline, improved and bounded by the ladder program."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import check_plan
from segsolve.errors import SolverFault
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
    assert chain.plan is not None and chain.score is not None
    hint = [stage.ops for stage in chain.plan.pipelines[0].stages]
    found = solve_and_confirm(problem, stages=problem.tpus, hint=hint, limits=limits, observe=observe)
    assert found.plan is None or not check_plan(problem, found.plan)
    best = chain if found.score is None or found.score.period_ns >= chain.score.period_ns else found
    assert best.score is not None
    value = Fraction(best.score.period_ns)
    return replace(
        found,
        question=chain.question,
        planner=chain.planner,
        plan=best.plan,
        score=best.score,
        value=value,
        bound=min(found.bound, value),
        status=Status.OPTIMAL if found.bound >= value else Status.FEASIBLE,
        found_by=best.found_by,
        deterministic_s=chain.deterministic_s + found.deterministic_s,
    )


def graph_answer(problem: Problem, limits: Limits, observe: Observer) -> Answer:
    """Return the best single pipeline of a problem over accelerators and CPU cores, one device per stage.

    Raises:
        SolverFault: a solver contradicts a known plan.
    """
    found = solve_and_confirm(problem, stages=problem.tpus, limits=limits, observe=observe)
    if found.plan and (wrong := check_plan(problem, found.plan)):
        raise SolverFault(f"the search on the graph answered wrongly: {wrong[0]}", "please report this with the graph")
    value = Fraction(found.score.period_ns) if found.score else None
    return replace(found, value=value, bound=max(Fraction(1), found.bound))  # a stage that costs nothing counts as 1 ns
