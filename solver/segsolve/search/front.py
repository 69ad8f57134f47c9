"""The points of a Pareto front: which to show, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

from segsolve.errors import UsageError
from segsolve.search.answer import Answer, ParetoPoint


def picked(answer: Answer, number: int) -> Answer:
    """Return the answer with the plan of a point of its front, counted from 1, in place of the fastest.

    Raises:
        UsageError: the front has no such point.
    """
    if not 1 <= number <= len(answer.points):
        last = f"the front has {len(answer.points)}, from 1 on"
        raise UsageError(f"--pick is {number}", last if answer.points else "give --objective pareto")
    point = answer.points[number - 1]
    return replace(answer, plan=point.plan, score=point.score, point=number)


def spread(points: Sequence[ParetoPoint], most: int, chosen: Sequence[int] = ()) -> list[int]:
    """Return the positions of `most` points that lie far apart, `chosen` and the ends of the front among them.

    Distance is that of the logarithms of devices, rate and latency, each over the front's own range.
    """
    places = [(log(p.plan.tpus), log(p.score.rate), log(max(1, p.score.latency_ns))) for p in points]
    lows, highs = ([end(place[k] for place in places) for k in range(3)] for end in (min, max))
    scaled = [
        tuple((x - low) / (high - low) if high > low else 0.0 for x, low, high in zip(place, lows, highs, strict=True))
        for place in places
    ]
    fastest = max(range(len(points)), key=lambda k: (points[k].score.rate, -points[k].score.latency_ns))
    quickest = min(range(len(points)), key=lambda k: (points[k].score.latency_ns, points[k].plan.tpus))
    kept = list(dict.fromkeys((*chosen, fastest, quickest, 0)))[: max(most, 1)]
    away = [min(_apart(one, scaled[k]) for k in kept) for one in scaled]
    while len(kept) < min(most, len(points)):
        farthest = max(range(len(points)), key=lambda k: (away[k], -k))
        kept.append(farthest)
        away = [min(known, _apart(one, scaled[farthest])) for known, one in zip(away, scaled, strict=True)]
        away = [-1.0 if k in kept else known for k, known in enumerate(away)]
    return sorted(kept)


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
