"""All plans that no other betters in TPUs, throughput and latency at once."""

from __future__ import annotations

from fractions import Fraction

from segsolve.search import objectives
from segsolve.search.answer import Answer, ParetoPoint
from segsolve.search.inquiry import Inquiry
from segsolve.search.limited import front_on_link, undominated
from segsolve.solvers.base import Confirmation


def front(asked: Inquiry) -> Answer:
    """Return all undominated plans; the plan of the answer is the one of the most throughput."""
    found = _points(asked)
    if not any(point.score.is_link_bound for point in found):
        fast = [point for point in found if asked.constraints.allow_rate(point.score.rate)]
        return _answer(asked, fast) if fast else asked.nothing(is_claimed=not asked.has_pipelines)
    # The front was found as if there was no shared link, which yet limits some of its plans.
    linked = front_on_link(asked)
    if linked is not None:
        points, shown = linked
        return _answer(asked, points, is_claimed=False, shown=(shown,)) if points else asked.nothing(is_claimed=False)
    fast = undominated(point for point in found if asked.constraints.allow_rate(point.score.rate))
    note = "the shared link limits plans of the front; others that load it less may be missing"
    return (
        _answer(asked, fast, is_claimed=False, note=note, bound=Fraction(-1))
        if fast
        else asked.unknown(Fraction(0), note)
    )


def _answer(
    asked: Inquiry,
    points: list[ParetoPoint],
    *,
    is_claimed: bool = True,
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
        note=note,
        bound=bound,
        shown=shown,
    )


def _points(asked: Inquiry) -> list[ParetoPoint]:
    found = []
    for _, _, mix, bottlenecks in objectives.pareto(asked.pipelines, asked.problem.tpus, single=asked.is_single):
        layouts = tuple(tuple((k, bottlenecks[k]) for k in sizes) for sizes in mix.layouts)
        plan, score = asked.preferred(layouts)
        found.append(ParetoPoint(plan=plan, score=score))
    return found
