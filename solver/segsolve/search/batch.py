"""The least time of a batch: what the runtime's schedule makes of a plan, and the plans that may make it least.

A pipeline that is given m inferences at once ends them at C(m), by the schedule alone. However the inferences are
given out, a plan takes at least the least t with sum over its pipelines of (most m with C(m) <= t) >= the batch; the
schedule, which gives each inference to the pipeline that can begin it first, may take longer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice, permutations
from math import ceil

import numpy as np

from segsolve.cost.plan import PlanScore, score_pipeline
from segsolve.cost.table import IMPOSSIBLE
from segsolve.plan.model import Pipeline, Plan
from segsolve.solvers.base import Confirmation
from segsolve.solvers.dynamic.paths import Arc
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve_runtime.flow.makespan import Progress
from segsolve_runtime.flow.schedule import QUEUE_SIZE, courses_of

MOST_WORK = 60_000
"""Followed inferences times pipelines that are all looked at; of more, those that trade bottleneck for latency best."""
MOST_TRIALS = 300_000
"""Followed inferences times plans whose schedules are made before the search ends with what it has."""
FOLLOWED = 200
"""Inferences of a batch that are followed, more or less, until what its pipelines do repeats."""
MOST_ORDERED = 4
"""Pipelines whose orders are all tried."""
MOST_SEARCHED = 16
"""TPUs for which sets of pipelines are tried one by one."""
MOST_CLOSE = 8
"""TPUs for which the fronts of few stages are searched, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """The best plan for a batch and its time in ns; no plan is below the bound, `shown` says why where they meet.

    `claimed_ns` is the bound as far as claims about single pipelines prove it: by what their bottlenecks and latencies
    allow, or `by_rate`, by what link and host do.
    """

    plan: Plan
    time_ns: int
    bound_ns: int
    shown: Confirmation | None
    claimed_ns: int
    by_rate: tuple[Fraction, str] | None


def best_batch(
    pipelines: Pipelines,
    inferences: int,
    tpus: int,
    *,
    single: bool,
    most_rate: Callable[[], tuple[Fraction, str] | None] = lambda: None,
) -> BatchPlan | None:
    """Return the plan that ends a batch first, None if no pipeline keeps the constraints.

    `most_rate` returns the inferences per ns that no plan exceeds, and what is shared that says so, if anything is.
    """
    start = time.perf_counter()
    everything = _all_pipelines(pipelines, MOST_WORK // min(inferences, FOLLOWED))
    chosen = everything if everything is not None else _front_pipelines(pipelines)
    candidates = [_Candidate(pipelines, pipeline, inferences) for pipeline in chosen]
    limit = pipelines.constraints.most_latency_ns
    candidates = [c for c in candidates if limit is None or c.score.latency_ns <= limit]
    if not candidates:
        return None
    search = _Search(candidates, inferences, tpus, single=single)
    best = search.best()
    claimed = min(best.time_ns, _least_ns(_fronts(pipelines), inferences, tpus, single=single))
    by_rate = most_rate() if claimed < best.time_ns else None
    if by_rate and (fed := _least_fed_ns(pipelines, inferences, by_rate[0])) > claimed:
        claimed = min(best.time_ns, fed)
    else:
        by_rate = None
    bound = claimed
    if claimed < best.time_ns and everything is None and tpus <= MOST_CLOSE and pipelines.replicate:
        close = _least_ns(_close_fronts(pipelines), inferences, tpus, single=single)
        bound = max(bound, min(best.time_ns, close))
    if everything is not None:
        bound = best.time_ns if search.is_complete else max(claimed, search.least_ns)
    claim = "no plan ends the batch earlier, however its inferences are given out"
    if everything is None and bound > claimed:
        claim = "no bottleneck and latency of pipelines of so many stages allow an earlier end"
    elif best.time_ns > max(claimed, search.least_ns):
        claim = "the schedules of all sets of pipelines that might end the batch earlier end it no earlier"
    shown = Confirmation(by="schedules", claim=claim, strength="exact", seconds=time.perf_counter() - start)
    return BatchPlan(
        plan=best.plan,
        time_ns=best.time_ns,
        bound_ns=bound,
        shown=shown if bound == best.time_ns else None,
        claimed_ns=claimed,
        by_rate=by_rate,
    )


@dataclass(frozen=True, slots=True)
class _Made:
    plan: Plan
    time_ns: int


class _Candidate:
    """A pipeline, and when it ends the inferences if they are all given to it."""

    def __init__(self, pipelines: Pipelines, pipeline: Pipeline, inferences: int) -> None:
        self.pipeline, self.devices = pipeline, pipeline.tpus
        self.score = score_pipeline(pipelines.table.problem, pipeline)
        (course,) = courses_of([self.score.lane], QUEUE_SIZE)
        self._inferences, self._progress = inferences, Progress(course)
        self.end_ns = self._progress.end_ns(inferences)

    def ended(self, time_ns: int) -> int:
        """Return how many inferences end within a time."""
        return self._progress.ended(time_ns, self._inferences)


class _Search:
    """Tries sets of pipelines, in every order, whose least time is below that of the best plan so far."""

    def __init__(self, candidates: Sequence[_Candidate], inferences: int, tpus: int, *, single: bool) -> None:
        self._all = sorted(candidates, key=lambda c: (c.end_ns, c.devices, len(c.pipeline.stages)))
        self._inferences, self._tpus, self._single = inferences, tpus, single
        self._trials = 0
        self.is_complete = True

    @cached_property
    def least_ns(self) -> int:
        """The least time that some set of the pipelines might have, however the inferences are given out."""
        low, high = 0, self._all[0].end_ns
        while low < high:
            middle = (low + high) // 2
            if self._most(middle)[-1] >= self._inferences:
                high = middle
            else:
                low = middle + 1
        return low

    def best(self) -> _Made:
        best = min(
            (made for chosen in ((self._all[0],), self._set(self.least_ns)) if (made := self._tried(chosen, None))),
            key=lambda made: made.time_ns,
        )
        if self._tpus > MOST_SEARCHED:
            self.is_complete = False
            return best
        while best.time_ns > self.least_ns:
            better = next(self._better(best.time_ns), None)
            if better is None:
                break
            best = better
        return best

    def _set(self, time_ns: int) -> tuple[_Candidate, ...]:
        """Return a set of pipelines that may end the batch within a time, at least the least."""
        own = self._own(time_ns)
        most, chosen, left = self._most(time_ns), [], self._tpus
        while left and most[left]:
            if most[left] == most[left - 1]:
                left -= 1
                continue
            size, candidate = next(
                (k, c)
                for k, (count, c) in own.items()
                if k <= left and count + (0 if self._single else most[left - k]) == most[left]
            )
            chosen.append(candidate)
            left = 0 if self._single else left - size
        return tuple(chosen)

    def _better(self, than_ns: int) -> Iterator[_Made]:
        """Yield a plan that takes less, if one is found."""
        target = max(self.least_ns, than_ns - 1)
        # The closer the target to the bound, the fewer sets are left: halve the distance first.
        for aim in sorted({self.least_ns, (self.least_ns + target) // 2, target}):
            most = self._most(aim)
            if most[-1] < self._inferences:
                continue
            counted = [(c, n) for c in self._all if (n := c.ended(aim))]
            for chosen in self._sets(counted, 0, self._tpus, self._inferences, most):
                made = self._tried(chosen, than_ns)
                if made is not None:
                    yield made
                    return
                if self._trials * min(self._inferences, FOLLOWED) > MOST_TRIALS:
                    self.is_complete = False
                    return

    def _sets(
        self, counted: Sequence[tuple[_Candidate, int]], first: int, left: int, missing: int, most: Sequence[int]
    ) -> Iterator[tuple[_Candidate, ...]]:
        """Yield the sets of pipelines that together may end as many inferences as are missing."""
        for index in range(first, len(counted)):
            candidate, count = counted[index]
            if candidate.devices > left or (self._single and left != self._tpus):
                continue
            if count >= missing:
                yield (candidate,)
            elif not self._single and count + most[left - candidate.devices] >= missing:
                for others in self._sets(counted, index, left - candidate.devices, missing - count, most):
                    yield (candidate, *others)

    def _tried(self, chosen: tuple[_Candidate, ...], below_ns: int | None) -> _Made | None:
        """Return the best order of some pipelines if it takes less than a time."""
        best: _Made | None = None
        for order in self._orders(chosen):
            self._trials += 1
            score = PlanScore(pipelines=tuple(candidate.score for candidate in order))
            time_ns = score.batch_ns(self._inferences)
            limit = below_ns if best is None else best.time_ns
            if limit is None or time_ns < limit:
                best = _Made(Plan(pipelines=tuple(candidate.pipeline for candidate in order)), time_ns)
        return best

    def _orders(self, chosen: tuple[_Candidate, ...]) -> Iterator[tuple[_Candidate, ...]]:
        """Yield the orders of some pipelines, of many only those in which equal ones are neighbours."""
        if len(chosen) <= MOST_ORDERED:
            yield from dict.fromkeys(permutations(chosen))
            return
        kinds = Counter(chosen)
        self.is_complete = self.is_complete and len(kinds) == 1
        for order in islice(permutations(kinds), 24):
            yield tuple(candidate for candidate in order for _ in range(kinds[candidate]))

    def _own(self, time_ns: int) -> dict[int, tuple[int, _Candidate]]:
        """Return for each number of devices the most that one pipeline ends within a time, and that pipeline."""
        own: dict[int, tuple[int, _Candidate]] = {}
        for candidate in self._all:
            count = candidate.ended(time_ns)
            if count > own.get(candidate.devices, (0, candidate))[0]:
                own[candidate.devices] = (count, candidate)
        return own

    def _most(self, time_ns: int) -> list[int]:
        """Return for each number of devices how many inferences a set of pipelines may end within a time."""
        best, own = [0] * (self._tpus + 1), self._own(time_ns)
        for total in range(1, self._tpus + 1):
            options = (count + (0 if self._single else best[total - k]) for k, (count, _) in own.items() if k <= total)
            best[total] = max(best[total - 1], max(options, default=0))
        return best


def _all_pipelines(pipelines: Pipelines, most: int) -> tuple[Pipeline, ...] | None:
    """Return every pipeline that the constraints leave; None if there are more than so many."""
    paths = pipelines.paths(pipelines.tpus)
    found: list[Pipeline] = []
    end = len(paths.time) - 1
    nexts = [np.flatnonzero(row < IMPOSSIBLE).tolist() for row in paths.time]
    stack: list[tuple[int, int, tuple[Arc, ...]]] = [(0, paths.most, ())]
    steps = 0
    while stack:
        here, left, arcs = stack.pop()
        steps += 1
        if steps > 20 * most or len(found) > most:
            return None
        if here == end:
            found.append(pipelines.made(arcs))
            continue
        if paths.is_layered and len(arcs) >= paths.most_stages:
            continue
        allowed = paths.allowed_at(len(arcs)) if paths.allowed_at else None
        for there in nexts[here]:
            if allowed is None or allowed[here, there]:
                for r in range(1, (left if paths.replicate else min(left, 1)) + 1):
                    stack.append((there, left - r, (*arcs, (here, there, r))))
    return tuple(found)


def _front_pipelines(pipelines: Pipelines) -> tuple[Pipeline, ...]:
    """Return the pipelines of each number of devices that trade bottleneck for latency best."""
    made = (pipelines.pipeline(k, point.bottleneck_ns) for k, front in pipelines.fronts.items() for point in front)
    return tuple(dict.fromkeys(made))


def _least_ns(fronts: _Fronts, inferences: int, tpus: int, *, single: bool) -> int:
    """Return a time that no plan is below, from what bottleneck and latency of single pipelines allow.

    A stage of r devices whose share is at least B takes more than r (B - 1), and ends r inferences at most in that. And
    inference m waits at each stage for the one that is as many before it as the stage has devices: along
    (m - 1) // k such turns at every stage of k devices in all, each of which costs the latency once more.
    """

    def ended(k: int, time_ns: int) -> int:
        counts = (
            min(
                k * (time_ns // max(1, latency)),
                r * (1 + (time_ns - latency) // max(1, bottleneck if r == 1 else r * (bottleneck - 1) + 1)),
            )
            for r, front in fronts.get(k, {}).items()
            for bottleneck, latency in front
            if latency <= time_ns
        )
        return max(counts, default=0)

    def most(time_ns: int) -> int:
        own = [0, *(ended(k, time_ns) for k in range(1, tpus + 1))]
        if single:
            return own[tpus]
        best = [0]
        for total in range(1, tpus + 1):
            best.append(max(own[k] + best[total - k] for k in range(1, total + 1)))
        return best[tpus]

    points = (point for by_replicas in fronts.values() for front in by_replicas.values() for point in front)
    low, high = 0, max((ns + (inferences - 1) * max(1, b) for b, ns in points), default=0)
    while low < high:
        middle = (low + high) // 2
        if most(middle) >= inferences:
            high = middle
        else:
            low = middle + 1
    return low


def _least_fed_ns(pipelines: Pipelines, inferences: int, rate: Fraction) -> int:
    """Return a time that no plan is below, since none has a rate of more inferences per ns.

    The first results come after a latency at least, one from each device at most. From then on a plan makes no more
    than its rate; only where r replicas share a time of which ceil(time / r) counts it may be faster, by as much as
    that rounds.
    """
    tpus, least_ns = pipelines.tpus, pipelines.bottlenecks[-1]
    if least_ns < 1:
        return 0
    first, factor = 1, Fraction(1)
    if pipelines.replicate:
        first, factor = tpus, least_ns / (least_ns - 1 + Fraction(1, tpus))
    latency_ns = pipelines.front(tpus)[0].cost
    return latency_ns + max(0, ceil((inferences - first) / (rate * factor)))


_Fronts = dict[int, dict[int, list[tuple[int, int]]]]
"""The undominated (bottleneck, latency in ns) of pipelines, by devices and by the replicas of their slowest stage."""


def _fronts(pipelines: Pipelines) -> _Fronts:
    """Return those of all pipelines, whatever the replicas, as claims and certificates speak of them."""
    fronts = {k: [(p.bottleneck_ns, p.cost) for p in front] for k, front in pipelines.fronts.items()}
    return {k: dict.fromkeys(range(1, k + 1 if pipelines.replicate else 2), front) for k, front in fronts.items()}


def _close_fronts(pipelines: Pipelines) -> _Fronts:
    """Return them closer: where r of k devices share the slowest stage there are k - r + 1 stages at most."""
    fronts = _fronts(pipelines)
    for k, by_replicas in fronts.items():
        for r in list(by_replicas)[1:]:
            by_replicas[r] = [(p.bottleneck_ns, p.cost) for p in pipelines.of_stages(k - r + 1).front(k)]
    return fronts
