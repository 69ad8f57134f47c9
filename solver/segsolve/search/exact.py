"""The exact answer over the stages of one table, a chain's or a lattice's, confirmed and certified."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.cost.stage_table import StageTable
from segsolve.plan.model import Plan
from segsolve.question import Objective, Question
from segsolve.search import objectives
from segsolve.search.answer import Answer
from segsolve.search.confirm import confirm
from segsolve.search.front import front
from segsolve.search.inquiry import Inquiry, fault
from segsolve.search.limited import batch_on_link, fewest_on_link, most_on_link
from segsolve.search.objectives import Finding
from segsolve.search.untried import judged
from segsolve.solvers.base import Limits


def exact_answer(table: StageTable, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return the best plan over the stages of a table, proven as far as its pipelines were searched.

    Raises:
        UsageError: the question is not answered for devices that share a link.
        SolverFault: the evaluator, CP-SAT or the certificate disagrees with the dynamic program.
    """
    asked = Inquiry(table=table, question=question, planner=planner, limits=limits, cuts=cuts)
    return judged(asked, _searched(asked))


def _searched(asked: Inquiry) -> Answer:
    """Return the best of the plans whose pipelines were tried, as if there were no others."""
    if asked.question.objective is Objective.PARETO:
        return front(asked)
    finding = _find(asked)
    if not finding.layouts:
        return asked.nothing()
    plan, score = asked.preferred(finding.layouts)
    if score.is_link_bound and asked.question.objective is Objective.THROUGHPUT:
        return most_on_link(asked, plan)
    if score.is_link_bound and not asked.is_fast_enough(score):
        return fewest_on_link(asked)
    _check_value(asked, finding.value, plan, score)
    if score.is_link_bound and asked.question.objective is Objective.BATCH:
        return batch_on_link(asked, plan, score)
    spent = confirm(asked.pipelines, plan, asked.limits) if asked.planner == "cpsat" else 0.0
    found = asked.best(plan, score, finding.value, certificate=asked.certificate(finding.value))
    return replace(found, deterministic_s=spent)


def _find(asked: Inquiry) -> Finding:
    pipelines, tpus, single = asked.pipelines, asked.problem.tpus, asked.is_single
    match asked.question.objective:
        case Objective.LATENCY:
            return objectives.latency(pipelines, tpus, single=single)
        case Objective.BATCH:
            return objectives.batch(pipelines, tpus, asked.question.batch, single=single)
        case Objective.DEVICES:
            return objectives.devices(pipelines, tpus, single=single)
        case _:
            return objectives.throughput(pipelines, tpus, single=single)


def _check_value(asked: Inquiry, claimed: Fraction, plan: Plan, score: PlanScore) -> None:
    found = asked.value_of(plan, score)
    if found != claimed:
        raise fault(f"it claims a {asked.question.objective} of {claimed}, its plan has {found}")
    limit, least = asked.question.constraints.max_latency_ns, asked.question.constraints.min_fps
    if limit is not None and score.latency_ns > limit:
        raise fault(f"its plan takes {score.latency_ns} ns, more than the {limit} ns allowed")
    if not asked.is_fast_enough(score):
        raise fault(f"its plan makes {score.throughput_fps} inferences per second, less than the {least} asked for")
