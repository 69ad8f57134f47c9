"""Local search for plans of shared TPUs: one pipeline per model, several stages on a TPU.

It starts from all models' operations as one long chain that is cut into a piece per TPU, and then moves cuts and
stages. Its effort is a number of moves, not a time, so that the same question gives the same plan.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import is_over
from segsolve.pool.model import Goal, PoolProblem
from segsolve.pool.patterns import Held, Pattern, Pricer

_POWER = 12  # of the norm of loads that is made smaller: near enough to their maximum to follow it
_MOST_STARTS = 24  # orders of models and kinds that are tried to start from
_WARM, _COLD = (0.05, 0.3, 0.12), 0.0005  # a move may make things worse by so much: at first, by seed; in the end


@dataclass(frozen=True)
class Placed:
    """What each device holds. The value is ns: a period, or for the goal of latency the worst latency."""

    patterns: tuple[Pattern, ...]
    value: Fraction


class LocalSearch:
    """Plans of a problem by their patterns; what was priced stays with the pricer."""

    def __init__(self, problem: PoolProblem, pricer: Pricer) -> None:
        self._problem, self._pricer = problem, pricer
        pool = problem.pool
        self._kinds = pool.devices
        self._links = [(link.ns_per_mib, [kind.link == name for kind in pool.kinds]) for name, link in pool.links]
        self._limit = _wanted_period(problem)
        kept = [demand.kept for demand in problem.workload.demands]
        self._is_limited = any(own.most_latency_ns is not None or own.most_stages is not None for own in kept)

    def value(self, patterns: Sequence[Pattern]) -> Fraction:
        """Return what is made smallest: the period, or the worst latency if loads keep the rates that are wanted."""
        period = self.period(patterns)
        if self._is_limited and (broken := self._broken(patterns)):
            return 10**13 + broken + period
        if self._problem.workload.goal is Goal.RATES or self._limit is None:
            return period
        latency = Fraction(self.latency(patterns))
        return latency if period <= self._limit else latency + 10**12 + period

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

    def improve(self, placed: Placed, moves: int, seed: int) -> Placed:
        """Return a plan that is no worse, after a number of moves."""
        rng, warm = random.Random(seed), _WARM[seed % len(_WARM)]
        patterns = list(placed.patterns)
        best, soft = placed, self._soft(patterns)
        for move in range(moves):
            if move % 256 == 0 and is_over():
                break
            heat = warm * (_COLD / warm) ** (move / moves)
            changed = self._move(rng, patterns)
            if changed is None:
                continue
            old = {d: patterns[d] for d in changed}
            for d, held in changed.items():
                patterns[d] = self._pricer.price(self._kinds[d], held)
            new = self._soft(patterns)
            if new > soft * (1 + heat):
                for d, pattern in old.items():
                    patterns[d] = pattern
                continue
            soft = new
            if (value := self.value(patterns)) < best.value:
                best = Placed(tuple(patterns), value)
        return best

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

    def _soft(self, patterns: Sequence[Pattern]) -> float:
        """A smooth stand-in for the value, which also tells plans of the same maximum apart."""
        loads = [float(p.load_ns) for p in patterns] + [float(load) for load in self._shared_loads(patterns)]
        if self._is_limited:
            broken = 1.0 + self._broken(patterns) / max(loads)
            loads = [load * broken for load in loads]
        if self._problem.workload.goal is Goal.LATENCY and self._limit is not None:
            worst = [0.0] * self._problem.models
            for pattern in patterns:
                for m, _, _ in pattern.stages:
                    worst[m] += pattern.busy_ns
            over = max(loads) / float(self._limit)
            return _norm(worst) * max(1.0, over) ** 4
        return _norm(loads)

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

    def _move(self, rng: random.Random, patterns: list[Pattern]) -> dict[int, list[Held]] | None:
        """Return what some devices hold after a random move; None if it cannot be made."""
        d = self._device(rng, patterns)
        if not patterns[d].stages:
            return None
        held = rng.choice(patterns[d].stages)
        kind = rng.random()
        if kind < 0.45:
            return self._shift(rng, patterns, d, held)
        if kind < 0.6:
            return self._give(rng, patterns, d, held)
        if kind < 0.75:
            return self._split(rng, patterns, d, held)
        if kind < 0.85:
            return self._merge(rng, patterns, d, held)
        return self._swap(rng, patterns, d, held)

    def _device(self, rng: random.Random, patterns: list[Pattern]) -> int:
        if rng.random() < 0.5:
            return max(range(len(patterns)), key=lambda d: patterns[d].load_ns)
        return rng.randrange(len(patterns))

    def _shift(self, rng: random.Random, patterns: list[Pattern], d: int, held: Held) -> dict[int, list[Held]] | None:
        """Move a border of a stage."""
        m, a, b = held
        other = self._neighbour(patterns, held, after=rng.random() < 0.5)
        if other is None:
            return None
        e, (_, c, f) = other
        low, middle, high = (a, b, f) if c == b else (c, a, b)
        far = rng.random() < 0.25
        to = rng.randint(low + 1, high - 1) if far and high - low > 2 else middle + rng.choice((-3, -2, -1, 1, 2, 3))
        if not low < to < high or to == middle:
            return None
        first, second = (d, e) if c == b else (e, d)
        return self._changed(patterns, {first: (m, low, to), second: (m, to, high)})

    def _give(self, rng: random.Random, patterns: list[Pattern], d: int, held: Held) -> dict[int, list[Held]] | None:
        """Give a stage to a device without one of its model."""
        e = self._other(rng, patterns, held[0])
        if e is None:
            return None
        return {d: _without(patterns[d], held[0]), e: [*patterns[e].stages, held]}

    def _split(self, rng: random.Random, patterns: list[Pattern], d: int, held: Held) -> dict[int, list[Held]] | None:
        """Give a part of a stage to a device without one of its model."""
        m, a, b = held
        e = self._other(rng, patterns, m)
        if e is None or b - a < 2:
            return None
        to = rng.randint(a + 1, b - 1)
        mine, theirs = ((m, a, to), (m, to, b)) if rng.random() < 0.5 else ((m, to, b), (m, a, to))
        return self._changed(patterns, {d: mine, e: theirs})

    def _merge(self, rng: random.Random, patterns: list[Pattern], d: int, held: Held) -> dict[int, list[Held]] | None:
        """Join a stage with the next or the last one, on either device."""
        m, a, b = held
        other = self._neighbour(patterns, held, after=rng.random() < 0.5)
        if other is None:
            return None
        e, (_, c, f) = other
        whole = (m, min(a, c), max(b, f))
        keeps, loses = (d, e) if rng.random() < 0.5 else (e, d)
        return {keeps: [*_without(patterns[keeps], m), whole], loses: _without(patterns[loses], m)}

    def _swap(self, rng: random.Random, patterns: list[Pattern], d: int, held: Held) -> dict[int, list[Held]] | None:
        """Exchange stages of two devices: one for one of the same model, or for one of another."""
        e = rng.randrange(len(patterns))
        if e == d or not patterns[e].stages:
            return None
        theirs = next((other for other in patterns[e].stages if other[0] == held[0]), None)
        if theirs is None:
            theirs = rng.choice(patterns[e].stages)
            if any(other[0] == theirs[0] for other in patterns[d].stages):
                return None
        return {
            d: [*_without(patterns[d], held[0]), theirs],
            e: [*_without(patterns[e], theirs[0]), held],
        }

    def _changed(self, patterns: list[Pattern], stages: dict[int, Held]) -> dict[int, list[Held]]:
        return {d: [*_without(patterns[d], held[0]), held] for d, held in stages.items()}

    def _neighbour(self, patterns: list[Pattern], held: Held, *, after: bool) -> tuple[int, Held] | None:
        m, a, b = held
        for e, pattern in enumerate(patterns):
            for other in pattern.stages:
                if other[0] == m and (other[1] == b if after else other[2] == a):
                    return e, other
        return None

    def _other(self, rng: random.Random, patterns: list[Pattern], model: int) -> int | None:
        open_ = [e for e, pattern in enumerate(patterns) if all(m != model for m, _, _ in pattern.stages)]
        return rng.choice(open_) if open_ else None


def _wanted_period(problem: PoolProblem) -> Fraction | None:
    scale = problem.workload.scale_fps
    return None if scale is None else 10**9 / scale


def _norm(amounts: Sequence[float]) -> float:
    top = max(amounts)
    return top * sum((x / top) ** _POWER for x in amounts) ** (1 / _POWER) if top else 0.0


def _span(models: tuple[int, ...], marks: list[int], first: int, end: int) -> list[Held]:
    """Return the stages between two positions of the chain of all models."""
    return [
        (m, max(first, low) - low, min(end, high) - low)
        for m, low, high in zip(models, marks, marks[1:], strict=False)
        if max(first, low) < min(end, high)
    ]


def _without(pattern: Pattern, model: int) -> list[Held]:
    return [held for held in pattern.stages if held[0] != model]
