"""Local search for plans of shared TPUs: one pipeline per model, several stages on a TPU.

It starts from all models' operations as one long chain that is cut into a piece per TPU, and then moves cuts and
stages (`annealing`). Its effort is a number of moves, not a time, so that the same question gives the same plan.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, permutations

import numpy as np

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import is_over
from segsolve.pool.annealing import Tables, anneal
from segsolve.pool.model import LATE_NS, UNKEPT_NS, Goal, PoolProblem
from segsolve.pool.patterns import Held, Pattern, Pricer

_MOST_STARTS = 24  # orders of models and kinds that are tried to start from
_WARM, _COLD = 0.03, 0.001  # parts by which a move may make things worse once in e times: at first, in the end
_CHUNK = 2**15  # moves between two looks at the clock


@dataclass(frozen=True)
class Placed:
    """What each device holds. The value is ns: a period, or for the goal of latency the worst latency."""

    patterns: tuple[Pattern, ...]
    value: Fraction


class LocalSearch:
    """Plans of a problem by their patterns; what was priced stays with the pricer."""

    def __init__(self, problem: PoolProblem, pricer: Pricer, devices: Sequence[int] | None = None) -> None:
        """`devices` are the kinds of those that are used; None: all of the pool."""
        self._problem, self._pricer = problem, pricer
        pool = problem.pool
        self._kinds = pool.devices if devices is None else tuple(devices)
        self._links = [(link.ns_per_mib, [kind.link == name for kind in pool.kinds]) for name, link in pool.links]
        self._limit = _wanted_period(problem)
        kept = [demand.kept for demand in problem.workload.demands]
        self._is_limited = any(own.most_latency_ns is not None or own.most_stages is not None for own in kept)

    def value(self, patterns: Sequence[Pattern]) -> Fraction:
        """Return what is made smallest: the period, or the worst latency if loads keep the rates that are wanted."""
        period = self.period(patterns)
        if self._is_limited and (broken := self._broken(patterns)):
            return UNKEPT_NS + broken + period
        if self._problem.workload.goal is Goal.RATES or self._limit is None:
            return period
        latency = Fraction(self.latency(patterns))
        return latency if period <= self._limit else latency + LATE_NS + period

    def _broken(self, patterns: Sequence[Pattern]) -> int:
        """Return by how much worst latencies (ns) and stages (a ms each) are above what is kept."""
        over = 0
        for m, demand in enumerate(self._problem.workload.demands):
            own = [p.busy_ns for p in patterns if any(held[0] == m for held in p.stages)]
            latency, stages = demand.kept.most_latency_ns, demand.kept.most_stages
            over += max(0, sum(own) - latency) if latency is not None else 0
            over += 10**6 * max(0, len(own) - stages) if stages is not None else 0
        return over

    def period(self, patterns: Sequence[Pattern]) -> Fraction:
        """Return the period of a plan."""
        return max(Fraction(max(p.load_ns for p in patterns)), *self._shared_loads(patterns), Fraction(0))

    def latency(self, patterns: Sequence[Pattern]) -> int:
        """Return the largest worst latency of a model."""
        worst = [0] * self._problem.models
        for pattern in patterns:
            for m, _, _ in pattern.stages:
                worst[m] += pattern.busy_ns
        return max(worst)

    def start(self) -> Placed | None:
        """Return the best plan that cuts all models, one after the other, into a piece per TPU."""
        best: Placed | None = None
        for models, devices in self._orders():
            found = self._chain(models, devices)
            if found is not None and (best is None or found.value < best.value):
                best = found
            if best is not None and is_over():
                break
        return best or self._apart()

    def improve(self, placed: Placed, moves: int, seed: int, remembered: int = 0) -> Placed:
        """Return a plan that is no worse, after a number of moves; so many patterns that were seen are priced, too."""
        tables, models = self._tables, self._problem.models
        first = np.full((len(self._kinds), models), -1, dtype=np.int64)
        last = first.copy()
        for d, pattern in enumerate(placed.patterns):
            for m, a, b in pattern.stages:
                first[d, m], last[d, m] = a, b
        best_first, best_last, best = first.copy(), last.copy(), float(placed.value)
        seen = np.empty((max(1, remembered), 1 + 2 * models), dtype=np.int64)
        chunks = -(-moves // _CHUNK)
        heats = np.geomspace(_WARM, _COLD, chunks + 1).tolist()
        for chunk, heat in enumerate(pairwise(heats)):
            if is_over():
                break
            number = (seed * chunks + chunk) % 2**32
            held = first, last, best_first, best_last
            best, count = anneal(tables, *held, best, min(moves, _CHUNK), heat, number, seen)
            for kind, *row in np.unique(seen[: min(count, remembered)], axis=0).tolist():
                self._pricer.price(kind, _held(row[:models], row[models:]))
        found = [_held(*rows) for rows in zip(best_first.tolist(), best_last.tolist(), strict=True)]
        patterns = tuple(self._pricer.price(kind, own) for kind, own in zip(self._kinds, found, strict=True))
        return min(placed, Placed(patterns, self.value(patterns)), key=lambda each: each.value)

    @cached_property
    def _tables(self) -> Tables:
        demands = self._problem.workload.demands
        names = [name for name, _ in self._problem.pool.links]
        links = [names.index(kind.link) if kind.link else -1 for kind in self._problem.pool.kinds]
        kept = [(demand.kept.most_latency_ns, demand.kept.most_stages) for demand in demands]
        limits = np.array([[-1 if most is None else most for most in own] for own in kept], dtype=np.int64)
        is_timed = self._problem.workload.goal is Goal.LATENCY and self._limit is not None
        return self._pricer.tables._replace(
            kinds=np.array(self._kinds, dtype=np.int64),
            link=np.array([links[kind] for kind in self._kinds], dtype=np.int64),
            most_latency=limits[:, 0].copy(),
            most_stages=limits[:, 1].copy(),
            wanted=float(self._limit or 0) if is_timed else 0.0,
        )

    def polished(self, placed: Placed) -> Placed:
        """Return a plan with its residents in the orders that are best where a link limits: those that stream least.

        Where latencies are kept, it is in those in which it keeps them.
        """
        if not self._links and not self._is_limited:
            return placed
        best = placed
        for d, pattern in enumerate(placed.patterns):
            for other in self._pricer.orders(pattern):
                patterns = (*best.patterns[:d], other, *best.patterns[d + 1 :])
                if (value := self.value(patterns)) < best.value:
                    best = Placed(patterns, value)
        return best

    def _shared_loads(self, patterns: Sequence[Pattern]) -> Iterator[Fraction]:
        for rate, is_on in self._links:
            moved = sum(p.moved_bytes for p in patterns if is_on[p.kind])
            yield Fraction(moved * rate, 2**20)
        if cores := self._problem.host_cores:
            yield Fraction(sum(p.host_ns for p in patterns))
            yield Fraction(sum(p.cores_ns for p in patterns), cores)

    def _orders(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        kinds = sorted(set(self._kinds))
        count = 0
        for models in permutations(range(self._problem.models)):
            for order in permutations(kinds):
                yield models, tuple(d for k in order for d in range(len(self._kinds)) if self._kinds[d] == k)
                count += 1
                if count == _MOST_STARTS:
                    return

    def _chain(self, models: tuple[int, ...], devices: tuple[int, ...]) -> Placed | None:
        """Cut models, one after the other, into a piece per device, so that no load is above the least one possible."""
        whole = self._pricer.price(self._kinds[devices[0]], [(m, 0, self._end(m)) for m in models])
        low, high = 0, min(whole.load_ns, IMPOSSIBLE - 1)
        best = self._fill(models, devices, high)
        if best is None:
            return None
        while high - low > max(1, high // 200):
            middle = (low + high) // 2
            found = self._fill(models, devices, middle)
            if found is None:
                low = middle
            else:
                high, best = middle, found
        patterns = tuple(best)
        return Placed(patterns, self.value(patterns))

    def _apart(self) -> Placed | None:
        """Give each model as few stages as constraints leave it, on devices in turn; None where these are too few."""
        held: list[list[Held]] = [[] for _ in self._kinds]
        for m in range(self._problem.models):
            at, end = 0, self._end(m)
            for step in range(len(held)):
                d = (m + step) % len(held)
                possible = self._pricer.arcs[m][self._kinds[d]].resident_ns[at, at + 1 :] < IMPOSSIBLE
                if at < end and possible.any():
                    to = at + 1 + int(possible.nonzero()[0][-1])
                    held[d].append((m, at, to))
                    at = to
            if at < end:
                return None
        patterns = tuple(self._pricer.price(kind, own) for kind, own in zip(self._kinds, held, strict=True))
        return Placed(patterns, self.value(patterns))

    def _fill(self, models: tuple[int, ...], devices: tuple[int, ...], most: int) -> list[Pattern] | None:
        """Give each device as much of the chain as it does within a load; None if something is left."""
        ends = [self._end(m) for m in models]
        marks = [0]
        for end in ends:
            marks.append(marks[-1] + end)
        at, patterns = 0, [self._pricer.price(kind, ()) for kind in self._kinds]
        for d in devices:
            if at == marks[-1]:
                break
            kind = self._kinds[d]
            reach = range(at + 1, marks[-1] + 1)
            fits = bisect_left(
                reach, True, key=lambda to: self._pricer.price(kind, _span(models, marks, at, to)).load_ns > most
            )
            if self._pricer.price(kind, _span(models, marks, at, marks[-1])).load_ns <= most:
                fits = len(reach)  # first fit is not monotone: all of it may do where less does not
            if fits:
                patterns[d] = self._pricer.price(kind, _span(models, marks, at, at + fits))
                at += fits
        return patterns if at == marks[-1] else None

    def _end(self, model: int) -> int:
        return self._pricer.arcs[model][0].end


def _wanted_period(problem: PoolProblem) -> Fraction | None:
    scale = problem.workload.scale_fps
    return None if scale is None else 10**9 / scale


def _span(models: tuple[int, ...], marks: list[int], first: int, end: int) -> list[Held]:
    """Return the stages between two positions of the chain of all models."""
    return [
        (m, max(first, low) - low, min(end, high) - low)
        for m, low, high in zip(models, marks, marks[1:], strict=False)
        if max(first, low) < min(end, high)
    ]


def _held(first: Sequence[int], last: Sequence[int]) -> list[Held]:
    return [(m, a, b) for m, (a, b) in enumerate(zip(first, last, strict=True)) if a >= 0]
