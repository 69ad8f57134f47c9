"""The least time of one inference."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Constraints, Layout, Question
from segsolve.search.claims import within
from segsolve.search.objectives.base import NOTHING, Finding, OfPipelines, choices, latencies
from segsolve.solvers.dynamic.mix import Mix, mixes
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement


class Latency(OfPipelines):
    """The ns of one inference through the slowest pipeline, at a rate where one is asked for."""

    gains = " in the time of one inference"
    is_latency = True

    def words(self, question: Question) -> str:
        """Return them."""
        return "the smallest latency"

    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return the ns."""
        return Fraction(score.latency_ns)

    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """Return the work itself: one inference has it done one piece after the other."""
        return work_ns

    def find(self, pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
        """Search the latencies that pipelines can have for the least that allows the rate."""

        def is_enough(mix: Mix) -> bool:
            return mix.rate > 0 and pipelines.constraints.allow_rate(mix.rate)

        known = latencies(pipelines)
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            mix = mixes(pipelines.within(known[middle]), tpus, single=single)[tpus]
            low, high = (low, middle) if is_enough(mix) else (middle + 1, high)
        if low == len(known):
            return NOTHING
        found = pipelines.within(known[low])
        return Finding(Fraction(known[low]), choices(next(filter(is_enough, mixes(found, tpus, single=single))), found))

    def claims(self, pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Statement]:
        """Return what is said of pipelines that take less."""
        is_single = question.layout is Layout.PIPELINE
        sizes = range(pipelines.tpus if is_single else 1, pipelines.tpus + 1)
        return within(pipelines, int(value) - 1, sizes)

    def claimed(self, constraints: Constraints) -> str:
        """Return what the claims say together."""
        return "no pipeline of a smaller latency is fast enough"
