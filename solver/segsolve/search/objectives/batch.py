"""The least time of a batch, whose inferences all wait at the start."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from segsolve.cost.plan import PlanScore
from segsolve.errors import UsageError
from segsolve.plan.model import Plan
from segsolve.question import Constraints, Question
from segsolve.search.batch import best_batch
from segsolve.search.claims import corners
from segsolve.search.objectives.base import Aim
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement

if TYPE_CHECKING:
    from segsolve.search.answer import Answer
    from segsolve.search.inquiry import Inquiry


class Batch(Aim):
    """The ns until the last of `Question.batch` inferences is done."""

    gains = " in the time of the batch"

    def words(self, question: Question) -> str:
        """Return them."""
        return f"a batch of {question.batch}"

    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return the ns, as the schedule has them."""
        return Fraction(score.batch_ns(question.batch))

    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """Return the work of one inference, or that of all on all devices."""
        return max(work_ns, Fraction(-(-work_ns * question.batch // tpus)))

    def answer(self, asked: Inquiry) -> Answer:
        """Return the plan that ends the batch first."""
        from segsolve.search.limited import most_rate

        found = best_batch(
            asked.pipelines,
            asked.question.batch,
            asked.problem.tpus,
            single=asked.is_single,
            most_rate=lambda: most_rate(asked),
        )
        if found is None:
            return asked.nothing()
        plan, score = asked.checked(found.plan)
        return asked.best(
            plan,
            score,
            Fraction(found.time_ns),
            bound=Fraction(found.bound_ns),
            claimed=Fraction(found.claimed_ns),
            by_rate=found.by_rate,
            shown=(found.shown,) if found.shown else (),
        )

    def claims(self, pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Statement]:
        """Return the fronts of bottleneck and latency."""
        return corners(pipelines, pipelines.fronts, "latency")

    def claimed(self, constraints: Constraints) -> str:
        """Return what the claims say together."""
        return "no pipeline lies beyond the front of bottleneck and latency of its size"

    def check(self, constraints: Constraints) -> None:
        """Refuse a rate: a batch has none."""
        if constraints.least_fps is not None:
            raise UsageError("--min-fps means nothing to a batch", "leave it away, or ask for another objective")
