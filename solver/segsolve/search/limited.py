"""The best plan where what all pipelines share, a link or the host, is less than they could use.

Rates are exact for one shared thing at a time (`solvers.dynamic.shared`), over the undominated (bottleneck, cost) of
pipelines: the bytes that they move, or the number of their stages. Where both limit, no plan is faster than either
allows; a plan that is as fast as the tighter of the two is the best, and of another one the gap is said. Where latency
matters as well, pipelines are undominated in all of these ways; they are listed where that is possible, which it always
is where the host alone is shared, and else a plan is made of what is best without sharing and what is best with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.deadline import OutOfTime, deadline, left_s
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.search.answer import IF_NOT_SHARED, Answer, ParetoPoint
from segsolve.search.claims import BY_STAGES
from segsolve.search.inquiry import Inquiry
from segsolve.search.objectives.base import Aim
from segsolve.solvers.base import Confirmation
from segsolve.solvers.dynamic.corners import Corner, corners, corners_by_stages
from segsolve.solvers.dynamic.shared import Choice, best_sharing
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.flow.shared import rates

_COSTS = {"link": "bytes", "host": "stages"}
_WORDS = {"link": "the shared link", "host": "the host"}


@dataclass(frozen=True, slots=True)
class _Found:
    """A plan, and the largest rate that any could have."""

    plan: Plan
    score: PlanScore
    most: Fraction
    cost: str

    @property
    def is_best(self) -> bool:
        return self.score.rate == self.most


def shared_names(names: Iterable[str]) -> str:
    """Return shared things in words."""
    return " and ".join(_WORDS[name] for name in _COSTS if name in names)


def answer_sharing(asked: Inquiry, otherwise: Plan, free: PlanScore) -> Answer:
    """Return the best plan for throughput, latency or devices; `otherwise` is best if nothing was shared."""
    names = free.limited_by
    needs = " and ".join(f"{percent(float(free.needed[name]))} of it" for name in names)
    verb = "limits" if len(names) == 1 else "limit"
    note = f"{shared_names(names)} {verb} the rate: {IF_NOT_SHARED} {needs}"
    limit, aim = asked.constraints.most_latency_ns, asked.aim
    if limit is None and not aim.is_latency:
        return _by_rate(asked, names, note)
    listed = _Listed.of(asked, names)
    if listed is None:
        return _unlisted(asked, otherwise, free, note)
    least, found = listed.best(aim, limit)
    more = {} if found is None else {*found.score.limited_by} - {*names}
    if found is not None and more and (again := _Listed.of(asked, {*names, *more})) is not None:
        listed, (least, found) = again, again.best(aim, limit)
    return _answer(asked, least, found, note, listed)


def _answer(
    asked: Inquiry, least: Fraction | None, found: _Found | None, note: str, listed: _Listed | None = None
) -> Answer:
    """Return what was found; no plan is below `least`, None if none can keep the constraints."""
    shown, sharing = (listed.shown(), listed.trade) if listed else (None, found.cost if found else None)
    if least is None:
        return asked.nothing(is_claimed=False)
    if found is None:
        return asked.unknown(least, f"no plan was found that is fast enough: {note}")
    found = _quickest(asked, found)
    value = asked.value_of(found.plan, found.score)
    return asked.best(
        found.plan,
        found.score,
        value,
        bound=least,
        is_claimed=sharing is not None,
        sharing=sharing,
        note=note,
        shown=(shown,) if shown and value == least else (),
    )


def front_sharing(
    asked: Inquiry, names: Iterable[str]
) -> tuple[list[ParetoPoint], Confirmation | None, str | None] | None:
    """Return all undominated plans by devices, latency and rate; None if pipelines are too many to list.

    Without a confirmation others may be missing; with it, what single pipelines trade, if claims about that prove that
    none is.
    """
    listed = _Listed.of(asked, names)
    if listed is None:
        return None
    kept: list[_Found] = []
    best: dict[int, Fraction] = {}  # by latency, of as many devices as were looked at
    for count in range(1, asked.problem.tpus + 1):
        most = Fraction(0)
        for latency in listed.latencies(asked.constraints.most_latency_ns, count):
            most = max([most, *(rate for ns, rate in best.items() if ns <= latency)])
            found = listed.fastest(count, latency, above=most)
            if found is not None:
                kept.append(found)
                most = best[latency] = max(most, found.score.rate)
    if more := {name for found in kept for name in found.score.limited_by} - set(listed.names):
        return front_sharing(asked, {*listed.names, *more})
    points = undominated(
        ParetoPoint(plan=f.plan, score=f.score) for f in kept if asked.constraints.allow_rate(f.score.rate)
    )
    return points, listed.shown() if all(found.is_best for found in kept) else None, listed.trade


def undominated(points: Iterable[ParetoPoint]) -> list[ParetoPoint]:
    """Return the points that no other is as good as, by devices and then by latency."""
    kept: list[ParetoPoint] = []
    for point in sorted(points, key=lambda p: (p.plan.tpus, p.score.latency_ns, -p.score.rate)):
        tpus, latency, rate = point.plan.tpus, point.score.latency_ns, point.score.rate
        if not any(p.plan.tpus <= tpus and p.score.latency_ns <= latency and p.score.rate >= rate for p in kept):
            kept.append(point)
    return kept


def most_rate(asked: Inquiry) -> tuple[Fraction, str] | None:
    """Return inferences per ns that no plan exceeds, and the cost by which link or host say so; None without either."""
    names = tuple(name for name in _COSTS if getattr(asked.problem, name) is not None)
    if not names or asked.pipelines.tpus < asked.problem.tpus:
        return None
    found = _fastest(asked, names, asked.pipelines.tpus)
    return None if found is None else (found.most, found.cost)


def _by_rate(asked: Inquiry, names: Iterable[str], note: str) -> Answer:
    """Return the plan of the largest rate, or of the fewest devices that are fast enough."""
    ordered = tuple(names)
    if not asked.aim.counts_ns:
        counts = range(1, asked.pipelines.tpus + 1)
        tries = ((Fraction(count), partial(_fastest, asked, ordered, count)) for count in counts)
        return _answer(asked, *_first(asked, tries), note)
    return _answer(asked, *_throughput(asked, _fastest(asked, ordered, asked.pipelines.tpus)), note)


def _fastest(asked: Inquiry, names: tuple[str, ...], count: int) -> _Found | None:
    """Return the fastest plan that is found on so many devices, whatever its latency; None if there is none."""
    pipelines, single = asked.pipelines, asked.is_single
    found = []
    for name in names:
        cost = _COSTS[name]
        sizes = {k: f for k, f in pipelines.shared_fronts(cost).items() if k == count or (k < count and not single)}
        fronts = {k: [(point.bottleneck_ns, point.cost) for point in front] for k, front in sizes.items()}
        rate, choices = best_sharing(fronts, asked.problem.shared.takes(cost), count)
        if not rate:
            return None
        found.append((name, rate, asked.plan(choices, partial(pipelines.frugal_pipeline, cost))))
    best = _best(asked.problem, found)
    more = tuple(name for name in best.score.limited_by if name not in names)
    return _fastest(asked, (*names, *more), count) if more else best


def _quickest(asked: Inquiry, found: _Found) -> _Found:
    """Return, where the host alone limits, a plan of equal rate and the smallest latency that its devices allow.

    What the host takes of an inference depends on the number of stages alone. So a pipeline may be any of as many, and
    one that is left less than it could do may have a slower bottleneck.
    """
    loads = [pipeline.lane.load for pipeline in found.score.pipelines]
    if found.score.limited_by != ("host",) or not all(left := rates(loads)):
        return found
    pipelines, kinds = asked.pipelines, [*zip(found.plan.pipelines, left, strict=True)]
    quick = {
        (pipeline, rate): pipelines.of_stages(len(pipeline.stages)).pipeline(pipeline.tpus, int(1 / rate))
        for pipeline, rate in dict.fromkeys(kinds)
    }
    plan, score = asked.checked(Plan(pipelines=tuple(quick[kind] for kind in kinds)))
    is_quicker = score.rate == found.score.rate and score.latency_ns < found.score.latency_ns
    return replace(found, plan=plan, score=score) if is_quicker else found


def _best(problem: Problem, found: Iterable[tuple[str, Fraction, Plan]]) -> _Found:
    """Return the fastest of plans that are each the best if one thing alone was shared, at so large a rate."""
    listed = list(found)
    most, name = min((rate, name) for name, rate, _ in listed)
    plan, score = max(((plan, score_plan(problem, plan)) for _, _, plan in listed), key=lambda one: one[1].rate)
    return _Found(plan, score, most, _COSTS[name])


def _may_do(asked: Inquiry, rate: Fraction) -> bool:
    """Whether a rate is as large as was asked for."""
    return asked.constraints.allow_rate(rate)


def _throughput(asked: Inquiry, found: _Found | None) -> tuple[Fraction | None, _Found | None]:
    """Return the least time per inference and the plan, if there can be one that is fast enough."""
    if found is None or not _may_do(asked, found.most):
        return None, None
    return 1 / found.most, found if _may_do(asked, found.score.rate) else None


def _first(
    asked: Inquiry, tries: Iterable[tuple[Fraction, Callable[[], _Found | None]]]
) -> tuple[Fraction | None, _Found | None]:
    """Return the first value at which a plan could be fast enough, and the first plan that is."""
    least: Fraction | None = None
    for value, attempt in tries:
        found = attempt()
        if found is None or not _may_do(asked, found.most):
            continue
        least = value if least is None else least
        if _may_do(asked, found.score.rate):
            return least, found
    return least, None


class _Listed:
    """The undominated (devices, bottleneck, latency, costs) of single pipelines, and the best plans made of them."""

    def __init__(self, asked: Inquiry, names: tuple[str, ...], listed: tuple[Corner, ...], seconds: float) -> None:
        self.names = names
        self._asked, self._listed, self._seconds = asked, listed, seconds

    @classmethod
    def of(cls, asked: Inquiry, names: Iterable[str]) -> _Listed | None:
        """Return them, with the costs of some shared things; None if they are too many to list in the time."""
        wanted = {*names}
        start, pipelines = time.perf_counter(), asked.pipelines
        ordered = tuple(name for name in _COSTS if name in wanted)
        listed: tuple[Corner, ...] | None = None
        with suppress(OutOfTime), deadline(left_s() / 2):  # the other half is for a plan of what is at hand
            if ordered == ("host",) and pipelines.counts_alone:
                listed = corners_by_stages(pipelines)
            else:
                paths = pipelines.paths(pipelines.tpus)
                listed = corners(paths, (paths.time, *(pipelines.costs(_COSTS[name]) for name in ordered)))
        return None if listed is None else cls(asked, ordered, listed, time.perf_counter() - start)

    def best(self, aim: Aim, limit: int | None) -> tuple[Fraction | None, _Found | None]:
        """Return a value that no plan is below, None if no plan can keep the constraints, and the best plan found."""
        tpus = self._asked.problem.tpus
        if aim.is_rate:
            return _throughput(self._asked, self.fastest(tpus, limit))
        if not aim.counts_ns:
            tries = ((Fraction(count), partial(self.fastest, count, limit)) for count in range(1, tpus + 1))
            return _first(self._asked, tries)
        known = self.latencies(limit, tpus)
        return _first(self._asked, ((Fraction(ns), partial(self.fastest, tpus, ns)) for ns in known))

    @property
    def trade(self) -> str | None:
        """What claims about single pipelines can prove the best plan by; none can of several costs of a pipeline."""
        return BY_STAGES if self.names == ("host",) and self._asked.pipelines.counts_alone else None

    def shown(self) -> Confirmation:
        """Return what listing the pipelines shows."""
        where = " and ".join(f"on the {name}" for name in self.names)
        claim = f"no plan of the {len(self._listed)} undominated pipelines is better {where}"
        return Confirmation(by="enumeration", claim=claim, strength="exact", seconds=self._seconds)

    def latencies(self, limit: int | None, count: int) -> list[int]:
        """Return the latencies that pipelines of so many devices can have, up to a limit."""
        within = (c.costs[0] for c in self._listed if c.devices <= count)
        return sorted({ns for ns in within if limit is None or ns <= limit})

    def fastest(self, count: int, limit: int | None, *, above: Fraction = Fraction(0)) -> _Found | None:
        """Return the fastest plan that is found on so many devices, within a latency.

        None if there is none, or if none is above a rate.
        """
        within = [c for c in self._listed if c.devices <= count and (limit is None or c.costs[0] <= limit)]
        found = [(name, *self._choices(name, k, within, count)) for k, name in enumerate(self.names, 1)]
        if min(rate for _, rate, _ in found) <= above:
            return None
        return _best(self._asked.problem, ((name, rate, self._plan(chosen)) for name, rate, chosen in found))

    def _plan(self, chosen: Iterable[Corner]) -> Plan:
        made = self._asked.pipelines.made
        return self._asked.checked(Plan(pipelines=tuple(made(corner.stages) for corner in chosen)))[0]

    def _choices(self, name: str, k: int, within: Iterable[Corner], count: int) -> tuple[Fraction, list[Corner]]:
        """Return the best layout if nothing but one thing was shared, whose cost is the k-th of the corners."""
        asked = self._asked
        frugal: dict[Choice, Corner] = {}
        for corner in within:
            # One pipeline may as well have all devices; a stage that costs nothing counts as 1 ns.
            choice = (count if asked.is_single else corner.devices, max(1, corner.bottleneck_ns))
            frugal[choice] = min(frugal.get(choice, corner), corner, key=lambda c: (c.costs[k], c.key))
        fronts: dict[int, list[tuple[int, int]]] = {}
        for (size, bottleneck), corner in frugal.items():
            fronts.setdefault(size, []).append((bottleneck, corner.costs[k]))
        rate, choices = best_sharing(fronts, asked.problem.shared.takes(_COSTS[name]), count)
        return rate, [frugal[choice] for choice in choices]


def _unlisted(asked: Inquiry, otherwise: Plan, free: PlanScore, note: str) -> Answer:
    """Return a plan that keeps the constraints, if one of the two that are at hand does, and its bound."""
    kept, aim = asked.constraints, asked.aim
    frugal = _fastest(asked, free.limited_by, asked.pipelines.tpus)
    assert frugal is not None
    candidates = [(otherwise, free), (frugal.plan, frugal.score)]
    allowed = [
        (plan, score)
        for plan, score in candidates
        if kept.allow_rate(score.rate) and kept.allow_latency(score.latency_ns)
    ]
    if not _may_do(asked, frugal.most):
        return asked.nothing(is_claimed=False)
    bound = max(1 / free.full_rate, 1 / frugal.most) if aim.is_rate else asked.value_of(otherwise, free)
    if not allowed:
        return asked.unknown(bound, f"no plan was found that keeps the latency and is fast enough: {note}")
    plan, score = min(allowed, key=lambda one: asked.value_of(*one))
    return asked.best(plan, score, asked.value_of(plan, score), bound=bound, is_claimed=False, note=note)
