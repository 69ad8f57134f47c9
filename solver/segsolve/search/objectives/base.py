"""An objective as the search meets it: its value, its bound, its search, and the claims that prove it.

Each is a module of this package, under its name in `segsolve.question.Objective`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from segsolve.cost.plan import PlanScore
from segsolve.errors import SolverFault
from segsolve.plan.model import Plan
from segsolve.question import Constraints, Layout, Question
from segsolve.search.claims import by_bottleneck
from segsolve.solvers.dynamic.mix import Mix
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement

if TYPE_CHECKING:
    from segsolve.search.answer import Answer
    from segsolve.search.inquiry import Inquiry

Choice = tuple[int, int]  # devices, bottleneck in ns


@dataclass(frozen=True, slots=True)
class Finding:
    """The best value of an objective, exact, and the layouts that have it; none if nothing is possible.

    A layout is a list of choices: the devices of a pipeline and the bottleneck in ns that it keeps.
    """

    value: Fraction
    layouts: tuple[tuple[Choice, ...], ...]


NOTHING = Finding(Fraction(0), ())


class Aim(ABC):
    """What is the same for all plans of an objective; smaller values are better."""

    is_rate: ClassVar[bool] = False
    """Whether the value is the time per inference of a plan as a whole, so that what pipelines share limits it."""
    is_latency: ClassVar[bool] = False
    """Whether the value is the time of one inference, to which neither copies nor replicas help."""
    counts_ns: ClassVar[bool] = True
    """Whether the value is a time."""
    has_value: ClassVar[bool] = True
    """Whether an answer is worth what its plan is."""
    gains: ClassVar[str] = ""
    """In what a better plan would be better, to follow "does better"; empty for the time per inference."""
    needs_fronts: ClassVar[bool] = True
    """Whether it takes what pipelines trade between bottleneck and latency, and not the bottleneck alone."""

    @abstractmethod
    def words(self, question: Question) -> str:
        """Return what is aimed at, in words."""

    @abstractmethod
    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return what a plan is worth, in the objective's unit."""

    @abstractmethod
    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """Return a value that no plan is below, given what devices do at least for an inference; 0 for no bound."""

    @abstractmethod
    def answer(self, asked: Inquiry) -> Answer:
        """Return the best plan of the pipelines that were tried, as if there were no others."""

    def claims(self, pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Statement]:
        """Return what must hold of single pipelines so that no plan has a smaller value."""
        is_single = question.layout is Layout.PIPELINE
        return by_bottleneck(pipelines, range(pipelines.tpus if is_single else 1, pipelines.tpus + 1))

    def claimed(self, constraints: Constraints) -> str:
        """Return what the claims say together."""
        within = "" if constraints.most_latency_ns is None else " within the latency"
        return f"no pipeline is faster than the best of its size{within}"

    def check(self, constraints: Constraints) -> None:
        """Raise a UsageError if the objective makes no sense with some constraints."""
        return


class OfPipelines(Aim):
    """One that single pipelines decide: their bottlenecks, and how many of them there is room for."""

    @abstractmethod
    def find(self, pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
        """Return the best value if nothing is shared, and the layouts that have it."""

    def answer(self, asked: Inquiry) -> Answer:
        """Return the best plan, with what all pipelines share where that limits it."""
        from segsolve.search.limited import answer_sharing

        finding = self.find(asked.pipelines, asked.problem.tpus, single=asked.is_single)
        if not finding.layouts:
            return asked.nothing(is_claimed=not asked.has_pipelines)
        plan, score = asked.preferred(finding.layouts)
        kept = asked.constraints
        if score.limited_by and (self.is_rate or not kept.allow_rate(score.rate)):
            return answer_sharing(asked, plan, score)
        if not kept.allow_latency(score.latency_ns):
            raise fault(f"its plan takes {score.latency_ns} ns, more than the {kept.most_latency_ns} ns allowed")
        if not kept.allow_rate(score.rate):
            least = float(kept.least_fps or 0)
            raise fault(f"its plan makes {score.throughput_fps} inferences per second, less than the {least} asked for")
        return asked.best(plan, score, finding.value)


def bottlenecks(pipelines: Pipelines) -> tuple[int, ...]:
    """Return the smallest bottleneck of at most k devices within the latency, k = 0, 1, ..."""
    limit = pipelines.constraints.most_latency_ns
    return pipelines.bottlenecks if limit is None else pipelines.within(limit)


def latencies(pipelines: Pipelines) -> list[int]:
    """Return the latencies in ns that undominated pipelines have, ascending, within the limit."""
    kept = pipelines.constraints
    return sorted({p.cost for front in pipelines.fronts.values() for p in front if kept.allow_latency(p.cost)})


def choices(mix: Mix, bottlenecks: tuple[int, ...]) -> tuple[tuple[Choice, ...], ...]:
    """Return the layouts of a mix of pipelines."""
    return tuple(tuple((k, bottlenecks[k]) for k in layout) for layout in mix.layouts)


def fault(what: str) -> SolverFault:
    """Return the error that the exact search contradicts itself or the evaluator."""
    return SolverFault(f"the exact search answered wrongly: {what}", "please report this with the model")
