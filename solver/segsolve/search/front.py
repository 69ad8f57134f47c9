"""All plans that no other betters in TPUs, throughput and latency at once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from segsolve.search import objectives
from segsolve.search.answer import Answer, ParetoPoint
from segsolve.search.certificate import ways
from segsolve.search.inquiry import Inquiry
from segsolve.solvers.base import Status


def front(asked: Inquiry) -> Answer:
    """Return all undominated plans; the plan of the answer is the one of the most throughput."""
    found = _points(asked)
    if not found:
        return asked.nothing()
    best = max(found, key=lambda point: (point.score.rate, -point.score.latency_ns))
    # The front was found as if there was no shared link, which yet may limit some of its plans.
    if any(point.score.is_link_bound for point in found):
        return asked.best(
            best.plan,
            best.score,
            Fraction(0),
            status=Status.FEASIBLE,
            proof=None,
            points=_undominated(found),
            note="the shared link limits plans of the front; others that load it less may be missing",
        )
    return asked.best(best.plan, best.score, Fraction(0), points=tuple(found), certificate=_certificate(asked, found))


def _points(asked: Inquiry) -> list[ParetoPoint]:
    found = []
    for _, _, mix, bottlenecks in objectives.pareto(asked.pipelines, asked.problem.tpus, single=asked.is_single):
        layouts = tuple(tuple((k, bottlenecks[k]) for k in sizes) for sizes in mix.layouts)
        plan, score = asked.preferred(layouts)
        found.append(ParetoPoint(plan=plan, score=score))
    return found


def _certificate(asked: Inquiry, points: list[ParetoPoint]) -> dict[str, Any] | None:
    document = asked.certificate(Fraction(0))
    listed = [[p.plan.tpus, p.score.latency_ns, [*p.score.rate.as_integer_ratio()]] for p in points]
    if document is None:
        return None
    return document | {"points": listed, "plans": [ways(asked.table, point.plan) for point in points]}


def _undominated(points: list[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Return the points that none before them, of no more devices, is as good as."""
    kept: list[ParetoPoint] = []
    for point in points:
        tpus, latency, rate = point.plan.tpus, point.score.latency_ns, point.score.rate
        if not any(p.plan.tpus <= tpus and p.score.latency_ns <= latency and p.score.rate >= rate for p in kept):
            kept.append(point)
    return tuple(kept)
