"""What an answer may be called where pipelines of more TPUs were possible than were tried."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.search.answer import Answer
from segsolve.search.bounds import least_host, least_value, least_work
from segsolve.search.inquiry import MOST_TPUS, Inquiry
from segsolve.search.objectives.devices import Devices
from segsolve.solvers.base import Confirmation, Status


def judged(asked: Inquiry, found: Answer) -> Answer:
    """Return an answer that claims no more than was searched: proven only where a bound proves it without a search."""
    if asked.problem.tpus <= MOST_TPUS:
        return found
    if _is_complete(asked, found):
        return _with(found, f"no pipeline has more than {MOST_TPUS} stages")
    if found.status is Status.INFEASIBLE and _is_impossible(asked):
        return _with(found, "the work of one inference alone breaks the constraints")
    bound = least_value(asked.problem, asked.question)
    if isinstance(asked.aim, Devices):  # of fewer than these all were tried
        bound = max(Fraction(MOST_TPUS + 1), bound)
    if found.status is Status.OPTIMAL and found.value is not None and 0 < found.value <= bound:
        return found if found.certificate else _with(found, "no plan does less work than this one")
    note = f"pipelines of more than {MOST_TPUS} TPUs were not tried"
    return replace(
        found,
        status=Status.UNKNOWN if found.plan is None else Status.FEASIBLE,
        bound=bound if found.value is None else min(bound, found.value),
        best_over=f"pipelines of at most {MOST_TPUS} TPUs" if found.status is Status.OPTIMAL else None,
        certificate=None,
        note=f"{found.note}; {note}" if found.note else note,
    )


def _with(found: Answer, claim: str) -> Answer:
    """Return an answer with the bound that makes it complete, before what else confirms it."""
    proof = Confirmation(by="bounds", claim=claim, strength="exact", seconds=0.0)
    return replace(found, confirmed_by=(proof, *found.confirmed_by))


def _is_complete(asked: Inquiry, found: Answer) -> bool:
    """Whether more TPUs would be more stages, which no pipeline can have."""
    kept = asked.constraints
    stages = min(len(asked.table.members) - 1, len(asked.problem.ops))
    if kept.most_stages is not None:
        stages = min(stages, kept.most_stages)
    # Replicas raise the rate; they neither shorten the latency nor make room for weights.
    is_rate_free = kept.least_fps is None and (asked.aim.is_latency or found.status is Status.INFEASIBLE)
    return (asked.is_single or is_rate_free) and stages <= MOST_TPUS


def _is_impossible(asked: Inquiry) -> bool:
    """Whether the least work of an inference takes longer than is allowed, or too long for all TPUs together."""
    kept, work = asked.question.constraints, least_work(asked.problem)
    least = max(Fraction(work, asked.problem.tpus), Fraction(least_host(asked.problem)))
    return not kept.allow_latency(work) or least * (kept.least_fps or 0) > 10**9
