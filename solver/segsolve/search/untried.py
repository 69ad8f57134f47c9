"""What an answer may be called where pipelines of more TPUs were possible than were tried."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.question import Objective
from segsolve.search.answer import Answer
from segsolve.search.bounds import least_period
from segsolve.search.inquiry import MOST_TPUS, Inquiry
from segsolve.solvers.base import Status


def judged(asked: Inquiry, found: Answer) -> Answer:
    """Return an answer that claims no more than was searched: proven only where a bound proves it without a search."""
    if asked.problem.tpus <= MOST_TPUS:
        return found
    if _is_complete(asked, found):
        return replace(found, proof=found.proof and f"exact search: no pipeline has more than {MOST_TPUS} stages")
    if found.status is Status.INFEASIBLE and _is_impossible(asked):
        return replace(found, proof="lower bound: the work of one inference alone breaks the constraints")
    bound = _bound(asked)
    if found.status is Status.OPTIMAL and found.value is not None and 0 < found.value <= bound:
        return found if found.certificate else replace(found, proof="lower bound: no plan does less work than this one")
    note = f"pipelines of more than {MOST_TPUS} TPUs were not tried"
    return replace(
        found,
        status=Status.UNKNOWN if found.plan is None else Status.FEASIBLE,
        bound=bound if found.value is None else min(bound, found.value),
        proof=None,
        certificate=None,
        note=f"{found.note}; {note}" if found.note else note,
    )


def _is_complete(asked: Inquiry, found: Answer) -> bool:
    """Whether more TPUs would be more stages, which no pipeline can have."""
    kept, objective = asked.question.constraints, asked.question.objective
    stages = min(len(asked.table.members) - 1, len(asked.problem.ops))
    if kept.max_stages is not None:
        stages = min(stages, kept.max_stages)
    # Replicas raise the rate; they neither shorten the latency nor make room for weights.
    is_rate_free = kept.min_fps is None and (objective is Objective.LATENCY or found.status is Status.INFEASIBLE)
    return (asked.is_single or is_rate_free) and stages <= MOST_TPUS


def _is_impossible(asked: Inquiry) -> bool:
    """Whether the least work of an inference takes longer than is allowed, or too long for all TPUs together."""
    kept, work = asked.question.constraints, _work_ns(asked)
    is_late = kept.max_latency_ns is not None and work > kept.max_latency_ns
    return is_late or (kept.min_fps is not None and work * Fraction(kept.min_fps) > asked.problem.tpus * 10**9)


def _bound(asked: Inquiry) -> Fraction:
    """Return a value that no plan betters, whatever its pipelines; in the objective's unit, 0 for a front."""
    work, tpus = _work_ns(asked), asked.problem.tpus
    match asked.question.objective:
        case Objective.THROUGHPUT:
            return work / tpus
        case Objective.LATENCY:
            return work
        case Objective.BATCH:
            return max(work, Fraction(-(-work * asked.question.batch // tpus)))
        case Objective.DEVICES:  # of fewer than these all were tried
            at_work = work * Fraction(asked.question.constraints.min_fps or 0) / 10**9
            return max(Fraction(MOST_TPUS + 1), Fraction(-(-at_work // 1)))
        case Objective.PARETO:
            return Fraction(0)


def _work_ns(asked: Inquiry) -> Fraction:
    return least_period(asked.problem) * asked.problem.tpus
