"""All plans that no other betters in TPUs, throughput and latency at once."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Constraints, Question
from segsolve.search.claims import corners
from segsolve.search.objectives.base import Aim, choices, latencies
from segsolve.solvers.base import Confirmation
from segsolve.solvers.dynamic.mix import Mix, mixes
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement

if TYPE_CHECKING:
    from segsolve.search.answer import Answer, ParetoPoint
    from segsolve.search.inquiry import Inquiry


class Pareto(Aim):
    """A front has no value of its own; that of a plan is by which one of them stands for all."""

    gains = " in throughput, latency and TPUs at once"
    counts_ns = has_value = False

    def words(self, question: Question) -> str:
        """Return them."""
        return "all trade-offs of TPUs, throughput and latency"

    def value(self, question: Question, plan: Plan, score: PlanScore) -> Fraction:
        """Return the ns per inference."""
        return 1 / score.rate

    def least(self, question: Question, work_ns: Fraction, tpus: int) -> Fraction:
        """Return 0: there is no bound."""
        return Fraction(0)

    def answer(self, asked: Inquiry) -> Answer:
        """Return all undominated plans; the plan of the answer is the one of the most throughput."""
        return _front(asked)

    def claims(self, pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Statement]:
        """Return the fronts of bottleneck and latency."""
        return corners(pipelines, pipelines.fronts, "latency")

    def claimed(self, constraints: Constraints) -> str:
        """Return what the claims say together."""
        return "no pipeline lies beyond the front of bottleneck and latency of its size"


def _front(asked: Inquiry) -> Answer:
    from segsolve.search.limited import front_sharing, shared_names, undominated

    found = _points(asked)
    if not any(point.score.limited_by for point in found):
        fast = [point for point in found if asked.constraints.allow_rate(point.score.rate)]
        return _answer(asked, fast) if fast else asked.nothing(is_claimed=not asked.has_pipelines)
    # The front was found as if nothing was shared, which yet limits some of its plans.
    names = {name for point in found for name in point.score.limited_by}
    note = f"{shared_names(names)} limits plans of the front; others that need less of it may be missing"
    points, shown, trade = front_sharing(asked, names) or ([], None, None)
    if shown is not None and points:
        return _answer(asked, points, is_claimed=trade is not None, sharing=trade, shown=(shown,))
    if shown is not None:
        return asked.nothing(is_claimed=False)
    points = points or undominated(point for point in found if asked.constraints.allow_rate(point.score.rate))
    return (
        _answer(asked, points, is_claimed=False, note=note, bound=Fraction(-1))
        if points
        else asked.unknown(Fraction(0), note)
    )


def _answer(
    asked: Inquiry,
    points: list[ParetoPoint],
    *,
    is_claimed: bool = True,
    sharing: str | None = None,
    note: str = "",
    bound: Fraction | None = None,
    shown: tuple[Confirmation, ...] = (),
) -> Answer:
    best = max(points, key=lambda point: (point.score.rate, -point.score.latency_ns))
    return asked.best(
        best.plan,
        best.score,
        Fraction(0),
        points=tuple(points),
        is_claimed=is_claimed,
        sharing=sharing,
        note=note,
        bound=bound,
        shown=shown,
    )


def _points(asked: Inquiry) -> list[ParetoPoint]:
    from segsolve.search.answer import ParetoPoint

    found = []
    for mix, bottlenecks in _mixes(asked.pipelines, asked.problem.tpus, single=asked.is_single):
        plan, score = asked.preferred(choices(mix, bottlenecks))
        found.append(ParetoPoint(plan=plan, score=score))
    return found


def _mixes(pipelines: Pipelines, tpus: int, *, single: bool) -> list[tuple[Mix, tuple[int, ...]]]:
    """Return all undominated mixes of pipelines, with the bottlenecks by devices that they are of.

    Rate is better larger, devices and latency smaller. Sorted by devices, then by latency.
    """
    found: list[tuple[int, int, Mix, tuple[int, ...]]] = []
    best: dict[int, list[Fraction]] = {}
    for limit in latencies(pipelines):
        bottlenecks = pipelines.within(limit)
        for count, mix in enumerate(mixes(bottlenecks, tpus, single=single)):
            fewer = (rate for n in range(count + 1) for rate in best.get(n, []))
            if mix.rate > max(fewer, default=Fraction(0)) and pipelines.constraints.allow_rate(mix.rate):
                best.setdefault(count, []).append(mix.rate)
                found.append((count, limit, mix, bottlenecks))
    return [point[2:] for point in sorted(found, key=lambda point: point[:2])]
