"""What a plan is worth under a question's objective."""

from __future__ import annotations

from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Objective, Question


def value_of(question: Question, plan: Plan, score: PlanScore) -> Fraction:
    """Return a plan's value in the objective's unit: ns per inference, ns (latency, batch), or TPUs."""
    match question.objective:
        case Objective.LATENCY:
            return Fraction(score.latency_ns)
        case Objective.BATCH:
            return Fraction(score.batch_ns(question.batch))
        case Objective.DEVICES:
            return Fraction(plan.tpus)
        case _:
            return 1 / score.rate
