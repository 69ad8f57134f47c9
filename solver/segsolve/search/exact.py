"""The exact answer over the stages of one table, a chain's or a lattice's, confirmed and certified."""

from __future__ import annotations

from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.cost.table import StageTable
from segsolve.question import Objective, Question
from segsolve.search import objectives
from segsolve.search.answer import Answer
from segsolve.search.batch import best_batch
from segsolve.search.front import front
from segsolve.search.inquiry import Inquiry, fault
from segsolve.search.limited import answer_on_link
from segsolve.search.objectives import Finding
from segsolve.search.untried import judged
from segsolve.solvers.base import Limits


def exact_answer(table: StageTable, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return the best plan over the stages of a table, proven as far as its pipelines were searched.

    Raises:
        SolverFault: the evaluator, CP-SAT or the certificate disagrees with the dynamic program.
    """
    asked = Inquiry(table=table, question=question, planner=planner, limits=limits, cuts=cuts)
    return judged(asked, _searched(asked))


def _searched(asked: Inquiry) -> Answer:
    """Return the best of the plans whose pipelines were tried, as if there were no others."""
    objective = asked.question.objective
    if objective is Objective.BATCH:
        return _batch(asked)
    if objective is Objective.PARETO:
        return front(asked)
    finding = _find(asked)
    if not finding.layouts:
        return asked.nothing(is_claimed=not asked.has_pipelines)
    plan, score = asked.preferred(finding.layouts)
    if score.is_link_bound and (objective is Objective.THROUGHPUT or not asked.constraints.allow_rate(score.rate)):
        return answer_on_link(asked, plan, score)
    _check_constraints(asked, score)
    return asked.best(plan, score, finding.value)


def _batch(asked: Inquiry) -> Answer:
    found = best_batch(asked.pipelines, asked.question.batch, asked.problem.tpus, single=asked.is_single)
    if found is None:
        return asked.nothing()
    plan, score = asked.checked(found.plan)
    return asked.best(
        plan,
        score,
        Fraction(found.time_ns),
        bound=Fraction(found.bound_ns),
        is_claimed=found.is_claimed,
        shown=(found.shown,) if found.shown else (),
    )


def _find(asked: Inquiry) -> Finding:
    pipelines, tpus, single = asked.pipelines, asked.problem.tpus, asked.is_single
    match asked.question.objective:
        case Objective.LATENCY:
            return objectives.latency(pipelines, tpus, single=single)
        case Objective.DEVICES:
            return objectives.devices(pipelines, tpus, single=single)
        case _:
            return objectives.throughput(pipelines, tpus, single=single)


def _check_constraints(asked: Inquiry, score: PlanScore) -> None:
    kept = asked.constraints
    if not kept.allow_latency(score.latency_ns):
        raise fault(f"its plan takes {score.latency_ns} ns, more than the {kept.most_latency_ns} ns allowed")
    if not kept.allow_rate(score.rate):
        least = float(kept.least_fps or 0)
        raise fault(f"its plan makes {score.throughput_fps} inferences per second, less than the {least} asked for")
