"""What a link that all devices share changes, where it carries less than the pipelines could do."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.errors import UsageError
from segsolve.plan.model import Plan
from segsolve.question import Objective
from segsolve.search.answer import Answer
from segsolve.search.inquiry import Inquiry
from segsolve.search.link import best_on_link
from segsolve.solvers.base import Status


def most_on_link(asked: Inquiry, otherwise: Plan) -> Answer:
    """Return the plan of the largest rate on the link; `otherwise` if that one takes too long, or is no faster.

    It can be no faster only where there are more devices than pipelines were tried with.
    """
    limit = asked.question.constraints.max_latency_ns
    rate, plan = _linked(asked, asked.pipelines.tpus)
    score, free = score_plan(asked.problem, plan), score_plan(asked.problem, otherwise)
    if (limit is not None and score.latency_ns > limit) or free.rate > rate:
        rate, plan, score = max(rate, free.rate), otherwise, free
    if not asked.is_fast_enough(score):
        return _too_slow(asked, bound=1 / rate)
    note = f"the shared link limits the rate: what would be best without it needs {float(free.link_load):.0%} of it"
    if score.rate < rate:
        return asked.best(plan, score, 1 / score.rate, status=Status.FEASIBLE, bound=1 / rate, proof=None, note=note)
    proven = asked.certificate(1 / rate, on_link=True)
    return asked.best(plan, score, 1 / rate, certificate=proven, note=note)


def fewest_on_link(asked: Inquiry) -> Answer:
    """Return the plan of the fewest devices that is fast enough on the link.

    Raises:
        UsageError: latency matters too.
    """
    if asked.question.objective is not Objective.DEVICES or asked.question.constraints.max_latency_ns is not None:
        hint = "leave one of the two away, or give a device without a shared link"
        raise UsageError(
            "a latency and a rate together are not planned for devices whose shared link limits them", hint
        )
    for count in range(1, asked.pipelines.tpus + 1):
        rate, plan = _linked(asked, count)
        if rate and asked.is_fast_enough(score := score_plan(asked.problem, plan)):
            value = Fraction(plan.tpus)
            proven = asked.certificate(value, on_link=True)
            return asked.best(plan, score, value, certificate=proven, note="the shared link limits the rate")
    return asked.nothing()


def batch_on_link(asked: Inquiry, plan: Plan, score: PlanScore) -> Answer:
    """Return the plan that is best for a batch as if there was no link: a bound, but the batch takes longer."""
    note = "the shared link limits the rate, which the predicted time of the batch leaves out"
    value = asked.value_of(plan, score)
    return asked.best(plan, score, value, status=Status.FEASIBLE, proof=None, note=note)


def _linked(asked: Inquiry, count: int) -> tuple[Fraction, Plan]:
    """Return the best rate on the shared link of so many devices, and the plan that has it."""
    pipelines, single = asked.pipelines, asked.is_single
    assert asked.problem.link is not None
    sizes = {k: f for k, f in pipelines.link_fronts.items() if k == count or (k < count and not single)}
    fronts = {k: [(point.bottleneck_ns, point.cost) for point in front] for k, front in sizes.items()}
    rate, choices = best_on_link(fronts, asked.problem.link, count)
    return rate, asked.plan(choices, pipelines.frugal_pipeline)


def _too_slow(asked: Inquiry, *, bound: Fraction) -> Answer:
    """Return that no plan is fast enough for the link, if that is certain."""
    none = asked.nothing()
    if 10**9 / bound < Fraction(asked.question.constraints.min_fps or 0):
        return none
    note = "no plan was found that keeps the latency and is fast enough on the shared link"
    return replace(none, status=Status.UNKNOWN, bound=bound, proof=None, note=note)
