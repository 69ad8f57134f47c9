"""The most inferences per second."""

from __future__ import annotations

from fractions import Fraction

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Question
from segsolve.search.objectives.base import NOTHING, Finding, OfPipelines, bottlenecks, choices
from segsolve.solvers.dynamic.mix import mixes
from segsolve.solvers.dynamic.pipelines import Pipelines


class Throughput(OfPipelines):
    """The least time per inference in ns, of all pipelines together."""

    is_rate = True
    needs_fronts = False

    def words(self, question: Question) -> str:
        """Return them."""
        return "throughput"

    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return the ns per inference."""
        return 1 / score.rate

    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """All devices share the work."""
        return work_ns / tpus

    def find(self, pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
        """Fill the devices with the pipelines of the largest sum of rates."""
        found = bottlenecks(pipelines)
        mix = mixes(found, tpus, single=single)[tpus]
        if mix.rate <= 0 or not pipelines.constraints.allow_rate(mix.rate):
            return NOTHING
        return Finding(1 / mix.rate, choices(mix, found))
