"""The best plan where a link that all devices share carries less than the pipelines could do.

Rates on the link are those of `solvers.dynamic.link`, exact over the undominated (bottleneck, bytes) of pipelines.
Where latency matters as well, pipelines are undominated in three ways; they are listed where that is possible, and else
a plan is made of what is best without the link and what is best on it, with the better of both bounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.plan.model import Plan
from segsolve.search.answer import Answer, ParetoPoint
from segsolve.search.inquiry import Inquiry
from segsolve.search.objectives.base import Aim
from segsolve.solvers.base import Confirmation
from segsolve.solvers.dynamic.corners import Corner, corners
from segsolve.solvers.dynamic.link import Choice, best_on_link

Found = tuple[Plan, PlanScore]


def answer_on_link(asked: Inquiry, otherwise: Plan, free: PlanScore) -> Answer:
    """Return the best plan for throughput, latency or devices on the link; `otherwise` is best without the link."""
    note = f"the shared link limits the rate: what would be best without it needs {float(free.link_load):.0%} of it"
    limit, aim = asked.constraints.most_latency_ns, asked.aim
    if limit is None and not aim.is_latency:
        return _by_rate(asked, note)
    listed = OnLink.of(asked)
    if listed is None:
        return _unlisted(asked, otherwise, free, note)
    found = listed.best(aim, limit)
    if found is None:
        return asked.nothing(is_claimed=False)
    plan, score = found
    value = asked.value_of(plan, score)
    return asked.best(plan, score, value, is_claimed=False, note=note, shown=(listed.shown(),))


class OnLink:
    """The undominated (devices, bottleneck, latency, bytes) of single pipelines, and the best plans made of them."""

    def __init__(self, asked: Inquiry, listed: tuple[Corner, ...], seconds: float) -> None:
        self._asked, self._listed, self._seconds = asked, listed, seconds

    @classmethod
    def of(cls, asked: Inquiry) -> OnLink | None:
        """Return them for a question; None if they are too many to list."""
        start, paths = time.perf_counter(), asked.pipelines.paths(asked.pipelines.tpus)
        listed = corners(paths, (paths.time, asked.pipelines.table.moved_bytes))
        return None if listed is None else cls(asked, listed, time.perf_counter() - start)

    def best(self, aim: Aim, limit: int | None) -> Found | None:
        """Return the best plan, None if none is fast enough within the latency."""
        tpus = self._asked.problem.tpus
        if aim.is_rate:
            return self.fastest(tpus, limit)
        if not aim.counts_ns:
            return self._first(partial(self.fastest, count, limit) for count in range(1, tpus + 1))
        return self._first(partial(self.fastest, tpus, latency) for latency in self.latencies(limit))

    def shown(self) -> Confirmation:
        """Return what listing the pipelines shows."""
        claim = f"no plan of the {len(self._listed)} undominated pipelines is better on the link"
        return Confirmation(by="enumeration", claim=claim, strength="exact", seconds=self._seconds)

    def latencies(self, limit: int | None) -> list[int]:
        """Return the latencies that pipelines can have, up to a limit."""
        return sorted({c.costs[0] for c in self._listed if limit is None or c.costs[0] <= limit})

    def fastest(self, count: int, limit: int | None) -> Found | None:
        """Return the plan of the largest rate on so many devices, within a latency; None if it is not fast enough."""
        frugal: dict[tuple[int, int], Corner] = {}
        for corner in self._listed:
            if corner.devices <= count and (limit is None or corner.costs[0] <= limit):
                # One pipeline may as well have all devices; a stage that costs nothing counts as 1 ns.
                choice = (count if self._asked.is_single else corner.devices, max(1, corner.bottleneck_ns))
                frugal[choice] = min(frugal.get(choice, corner), corner, key=lambda c: (c.costs[1], c.key))
        fronts: dict[int, list[tuple[int, int]]] = {}
        for (size, bottleneck), corner in frugal.items():
            fronts.setdefault(size, []).append((bottleneck, corner.costs[1]))
        return self._made(fronts, frugal, count) if fronts else None

    def _made(
        self, fronts: Mapping[int, Iterable[tuple[int, int]]], corners: Mapping[Choice, Corner], count: int
    ) -> Found | None:
        asked = self._asked
        assert asked.problem.link is not None
        rate, choices = best_on_link(fronts, asked.problem.link, count)
        if not rate:
            return None
        plan, score = asked.checked(
            Plan(pipelines=tuple(asked.pipelines.made(corners[choice].stages) for choice in choices))
        )
        return (plan, score) if asked.constraints.allow_rate(score.rate) else None

    @staticmethod
    def _first(tries: Iterator[partial[Found | None]]) -> Found | None:
        return next((found for attempt in tries if (found := attempt()) is not None), None)


def front_on_link(asked: Inquiry) -> tuple[list[ParetoPoint], Confirmation] | None:
    """Return all undominated plans by devices, latency and rate on the link; None if they are too many to list."""
    listed = OnLink.of(asked)
    if listed is None:
        return None
    kept: list[ParetoPoint] = []
    for count in range(1, asked.problem.tpus + 1):
        for latency in listed.latencies(asked.constraints.most_latency_ns):
            found = listed.fastest(count, latency)
            if found is not None:
                kept.append(ParetoPoint(plan=found[0], score=found[1]))
    return undominated(kept), listed.shown()


def undominated(points: Iterable[ParetoPoint]) -> list[ParetoPoint]:
    """Return the points that no other is as good as, by devices and then by latency."""
    kept: list[ParetoPoint] = []
    for point in sorted(points, key=lambda p: (p.plan.tpus, p.score.latency_ns, -p.score.rate)):
        tpus, latency, rate = point.plan.tpus, point.score.latency_ns, point.score.rate
        if not any(p.plan.tpus <= tpus and p.score.latency_ns <= latency and p.score.rate >= rate for p in kept):
            kept.append(point)
    return kept


def _by_rate(asked: Inquiry, note: str) -> Answer:
    """Return the plan of the largest rate, or of the fewest devices that are fast enough."""
    if not asked.aim.counts_ns:
        for count in range(1, asked.pipelines.tpus + 1):
            rate, plan = _linked(asked, count)
            if rate and asked.constraints.allow_rate((score := score_plan(asked.problem, plan)).rate):
                return asked.best(plan, score, Fraction(plan.tpus), on_link=True, note=note)
        return asked.nothing(is_claimed=False)
    rate, plan = _linked(asked, asked.pipelines.tpus)
    score = score_plan(asked.problem, plan)
    if not asked.constraints.allow_rate(score.rate):
        return asked.nothing(is_claimed=False)
    return asked.best(plan, score, 1 / score.rate, bound=1 / rate, on_link=True, note=note)


def _linked(asked: Inquiry, count: int) -> tuple[Fraction, Plan]:
    """Return the best rate on the shared link of so many devices, and the plan that has it."""
    pipelines, single = asked.pipelines, asked.is_single
    assert asked.problem.link is not None
    sizes = {k: f for k, f in pipelines.link_fronts.items() if k == count or (k < count and not single)}
    fronts = {k: [(point.bottleneck_ns, point.cost) for point in front] for k, front in sizes.items()}
    rate, choices = best_on_link(fronts, asked.problem.link, count)
    return rate, asked.plan(choices, pipelines.frugal_pipeline)


def _unlisted(asked: Inquiry, otherwise: Plan, free: PlanScore, note: str) -> Answer:
    """Return a plan that keeps the constraints on the link, if one of the two that are at hand does, and its bound."""
    kept, aim = asked.constraints, asked.aim
    rate, frugal = _linked(asked, asked.pipelines.tpus)
    candidates = [(otherwise, free), (frugal, score_plan(asked.problem, frugal))]
    allowed = [
        (plan, score)
        for plan, score in candidates
        if plan.pipelines and asked.constraints.allow_rate(score.rate) and kept.allow_latency(score.latency_ns)
    ]
    bound = max(1 / free.unlinked_rate, 1 / rate) if aim.is_rate else asked.value_of(otherwise, free)
    if not kept.allow_rate(rate):
        return asked.nothing(is_claimed=False)
    if not allowed:
        return asked.unknown(bound, "no plan was found that keeps the latency and is fast enough on the shared link")
    plan, score = min(allowed, key=lambda one: asked.value_of(*one))
    return asked.best(plan, score, asked.value_of(plan, score), bound=bound, is_claimed=False, note=note)
