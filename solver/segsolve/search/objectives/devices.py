"""The fewest devices that keep a rate or a latency."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.errors import UsageError
from segsolve.plan.model import Plan
from segsolve.question import Constraints, Question
from segsolve.search.claims import by_bottleneck
from segsolve.search.objectives.base import NOTHING, Finding, OfPipelines, bottlenecks, choices
from segsolve.solvers.dynamic.mix import mixes
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement


class Devices(OfPipelines):
    """A number of devices."""

    gains = " with fewer TPUs"
    counts_ns = False
    needs_fronts = False

    def words(self, question: Question) -> str:
        """Return them."""
        return "the fewest TPUs"

    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return the devices that a plan occupies."""
        return Fraction(plan.tpus)

    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """Return how many are busy all the time, at the rate that is asked for."""
        at_work = work_ns * (question.constraints.least_fps or 0) / 10**9
        return max(Fraction(1), Fraction(-(-at_work // 1)))

    def find(self, pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
        """Try more and more devices."""
        found = bottlenecks(pipelines)
        for count, mix in enumerate(mixes(found, tpus, single=single)):
            if mix.rate > 0 and pipelines.constraints.allow_rate(mix.rate):
                return Finding(Fraction(count), choices(mix, found))
        return NOTHING

    def claims(self, pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Statement]:
        """Return what is said of pipelines of any size: one alone may be smaller, too."""
        return by_bottleneck(pipelines, range(1, pipelines.tpus + 1))

    def check(self, constraints: Constraints) -> None:
        """Refuse to count devices for nothing."""
        if not constraints.limits:
            raise UsageError("the fewest devices for what?", "give --min-fps, --max-latency, or both")
