"""The plain question, one pipeline for throughput, as every planner answers it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import score_plan
from segsolve.deadline import OutOfTime
from segsolve.plan.model import single_pipeline
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout, Question
from segsolve.search.answer import Answer
from segsolve.search.base import SolveResult
from segsolve.search.bounds import least_host
from segsolve.search.certificate import certificate
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.table import segment_table
from segsolve.search.confirm import confirmed, refuted
from segsolve.search.objectives import aim
from segsolve.search.strategies import DEFAULT, EXACT
from segsolve.solvers.base import Limits, Observer, Status
from segsolve.solvers.dynamic.pipelines import Pipelines


def answer_of_planner(problem: Problem, question: Question, planner: str, limits: Limits, observe: Observer) -> Answer:
    """Return a planner's confirmed result as an answer.

    Raises:
        SolverFault: the planner answered wrongly.
    """
    result = solve(problem, planner=planner, limits=limits, observe=observe)
    only = question if planner in EXACT else replace(question, layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
    return as_answer(problem, result, only, limits)


def as_answer(
    problem: Problem, result: SolveResult, asked: Question | None = None, limits: Limits | None = None
) -> Answer:
    """Return a single pipeline's result as an answer; an optimal one gets its certificate."""
    question = asked or Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
    plan = single_pipeline(result.plan, len(problem.ops)) if result.plan else None
    score = score_plan(problem, plan) if plan else None
    value = 1 / score.rate if score else None
    confirmed_by, document, spent = [*result.confirmed_by], None, result.deterministic_s
    is_limited = score is not None and bool(score.limited_by)  # by what a planner of stages knows nothing of
    if result.status is Status.OPTIMAL and value is not None and not is_limited:
        pipelines = Pipelines(segment_table(problem), question.constraints, problem.tpus, replicate=False)
        statements = tuple(aim(question.objective).claims(pipelines, question, value))
        claim = "no pipeline is faster, over all cuts of the execution order"
        if result.planner == DEFAULT:
            found, more = refuted(statements, claim, limits or Limits())
            confirmed_by += [found] if found else []
            spent += more
        strength = "integer potentials, for `segsolve check` to prove again"
        with suppress(OutOfTime):
            document, proven = confirmed(
                "certificate", claim, strength, lambda: certificate(pipelines, question, value, statements)
            )
            confirmed_by.append(proven)
    return Answer(
        question=question,
        planner=result.planner,
        status=Status.FEASIBLE if is_limited else result.status,
        plan=plan,
        score=score,
        value=value,
        bound=Fraction(max(1, result.bound_ns, least_host(problem))),  # a stage that costs nothing counts as 1 ns
        cuts="chain",
        found_by=result.found_by,
        confirmed_by=tuple(confirmed_by),
        note=result.note,
        certificate=document,
        stopped_by=result.stopped_by,
        wall_s=result.wall_s,
        deterministic_s=spent,
        seed=result.seed,
    )
