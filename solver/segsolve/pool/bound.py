"""The pattern bound: that no plan of shared TPUs has a period of P or less, shown by potentials.

Patterns are what one TPU can hold and do within P. If a plan of that period exists, the patterns of its TPUs make up a
path for every model, so that for any potentials pi

    sum over models of pi_m(end)  =  sum over TPUs of what their patterns are worth  <=  sum over kinds of n_c z_c(P)

with z_c the most that a pattern of the kind is worth. Potentials for which that fails prove that there is no such plan,
whoever found them. They come from the linear program over the patterns priced so far, a point between its answer and
the best potentials known (in-out separation); they do not fall along a model.

Where that fails for no potentials, they still say which patterns a plan of period P can have: those that are worth no
less than what is missing if all other TPUs are worth the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.deadline import is_over
from segsolve.pool.exact import Exact, Found
from segsolve.pool.model import PoolProblem
from segsolve.pool.patterns import Held, Pricer
from segsolve.pool.steps import Steps
from segsolve.solvers.potentials import Floats, most_worth

UNIT = 10**9
"""What potentials of all models together add up to, about: they are whole numbers, so that nothing is rounded."""

_RAISES = (0.04, 0.015, 0.005, 0.0015)  # by how much a bound is raised at once
_NEAR = 0.15  # how far from the best potentials towards those of the program the next ones are
_ROUNDS = 200  # of pricing at one period
_MEMORY_PRICES = (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0)  # of all of a TPU's memory, in periods
_LEVEL_BYTES = 64 * 1024
_TAIL = 0.05  # of a raise: where the linear program is so near to 1, nothing will come of it
_MOST_COLUMNS = 1500  # of the linear program; those that are far from tight are dropped beyond
_PARTS = 2**23, 2**27  # residents that are placed for one pricing of a kind: at first, at most
_MOST_LEARNT = 500  # patterns of a pricing that are kept to price with
_SETTLED = 0.0003  # potentials for a list of patterns are so near to the best
_ENOUGH = 400  # patterns that show that potentials prove nothing
_CLIMBS, _CLIMBERS, _MOST_CLIMBED = 8, 40, 4000  # rounds; patterns that are changed; changes that are priced
_MOST_NEW = 12  # patterns of a kind that a pricing adds to the program


@dataclass(frozen=True)
class Proof:
    """That there is no plan of a period of `period_ns` or less: whole potentials per model.

    No pattern of a kind is worth more than that kind's of `worths`.
    """

    period_ns: int
    potentials: tuple[tuple[int, ...], ...]
    worths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Point:
    """Potentials, in whole numbers that add up to about UNIT."""

    whole: list[Ints]

    @property
    def ends(self) -> int:
        """What all models are worth."""
        return sum(int(own[-1]) for own in self.whole)


class PatternBound:
    """Searches potentials for a problem, to prove periods below that of a plan; `tell` hears each proof."""

    def __init__(self, problem: PoolProblem, pricer: Pricer, period: int, tell: Callable[[Proof], object]) -> None:
        self._problem, self._tell = problem, tell
        weights = problem.workload.weights
        self._kinds: list[_Kind] = []
        for k in range(len(problem.pool.kinds)):
            steps = [Steps(row[k], period // w) for row, w in zip(pricer.arcs, weights, strict=True)]
            capacity = min(row[k].capacity_bytes for row in problem.costs)
            self._kinds.append(_Kind(k, Exact(steps, weights, capacity), pricer, period))
        self._counts = problem.pool.counts
        self._sizes = [len(row[0]) for row in pricer.arcs]
        self._columns: dict[tuple[int, frozenset[Held]], int] = {}
        self._parts = _PARTS[0]
        self._low: int | None = None
        self.best: Proof | None = None
        self.rounds = 0

    def raise_to(self, period: int) -> Proof | None:
        """Prove a bound as near to the period of a plan as the effort allows."""
        if self._low is None:
            self._last, self._low = self._start(period)
        point, low = self._last, self._low
        for step in _RAISES:
            while low < period - 1 and not is_over():
                attempt = min(period - 1, int(low * (1 + step)) + 1)
                found = self._attempt(attempt, point, step)
                if found is None:
                    break
                self._last = point = found
                self._low = low = self._climb(point, attempt, min(period - 1, int(attempt * (1 + step))), 3)
        return self.best

    def listed(self, period: int, most: int) -> list[tuple[int, frozenset[Held]]] | None:
        """Return all patterns that a plan of a period or less can have; None if there are more, or it takes too long.

        A plan's pattern is worth no less than the ends less what all other TPUs are worth at most.
        """
        settled = self._settled(period)
        if settled is None:
            return None
        point, worths = settled
        available = self._together(worths)
        found: list[tuple[int, frozenset[Held]]] = []
        for kind, worth in zip(self._kinds, worths, strict=True):
            least = point.ends - (available - worth)
            if least <= 0:
                return None
            patterns = kind.exact.search(point.whole, period).patterns(least, _PARTS[1], most + 1)
            if not patterns.complete or len(patterns) + len(found) > most:
                return None
            found += [(kind.number, kind.exact.held(own)) for own in patterns.stages.tolist()]
        return found

    def _settled(self, period: int) -> tuple[_Point, list[int]] | None:
        """Return potentials that are nearly the program's best for a period, and what kinds are worth at most."""
        best = self._last
        for _ in range(_ROUNDS):
            self.rounds += 1
            for kind in self._kinds:
                self._add(kind, kind.best(best.whole, period, _MOST_NEW))
            most, potentials = self._master(period)
            hope = self._hope(best, period)
            if hope >= most * (1 - _SETTLED):
                worths = [self._ceiling(kind, best, period) for kind in self._kinds]
                if None not in worths:
                    return best, [worth for worth in worths if worth is not None]
                continue
            point = self._between(potentials, best, hope)
            for kind in self._kinds:
                self._add(kind, kind.best(point.whole, period, _MOST_NEW))
            if self._hope(point, period) > self._hope(best, period):
                best = point
            if is_over():
                return None
        return None

    def _ceiling(self, kind: _Kind, point: _Point, period: int) -> int | None:
        """Return what a kind is worth at most, as good as known; None, with new patterns, if that is more."""
        worth = kind.most(point.whole, period)
        found = kind.exact.search(point.whole, period).patterns(worth + 1, _PARTS[1], _ENOUGH)
        kind.learn(found)
        return worth if found.complete and not len(found) else None

    def _start(self, period: int) -> tuple[_Point, int]:
        """Return potentials to start from, and the period that they prove by the grid alone."""
        points = [_point(own) for own in self._simple(period)]
        best = max(points, key=lambda point: point.ends / max(1, self._together(self._by_grid(point, period))))
        low, high = 0, period
        while high - low > period // 100:
            middle = (low + high) // 2
            worths = self._by_grid(best, middle)
            if self._together(worths) < best.ends:
                low = middle
                self._keep(low, best, worths)
            else:
                high = middle
        return best, low

    def _by_grid(self, point: _Point, period: int) -> list[int]:
        """Return what no pattern of a kind is worth more than, each by the grid alone."""
        return [kind.exact.search(point.whole, period).most for kind in self._kinds]

    def _together(self, worths: Sequence[int]) -> int:
        """Return what all TPUs are worth."""
        return sum(n * worth for n, worth in zip(self._counts, worths, strict=True))

    def _climb(self, point: _Point, low: int, high: int, steps: int) -> int:
        """Return the largest period that some potentials prove, which is `low` at least, by bisection."""
        for _ in range(steps):
            middle = (low + high + 1) // 2
            if high <= low or is_over():
                break
            if self._proves(point, middle):
                low = middle
            else:
                high = middle
        return low

    def _attempt(self, period: int, best: _Point, step: float) -> _Point | None:
        """Look for potentials that prove that there is no plan of a period."""
        point = best
        for _ in range(_ROUNDS):
            if is_over():
                return None
            self.rounds += 1
            if self._proves(point, period):
                return point
            if point is not best and self._hope(point, period) > self._hope(best, period):
                best = point
            most, potentials = self._master(period)
            if most <= 1 + step * _TAIL:
                self._last = best
                return None
            point = self._between(potentials, best, self._hope(best, period))
        return None

    def _between(self, potentials: Sequence[Floats], best: _Point, hope: float) -> _Point:
        """Return potentials near the best ones, towards those of the program."""
        scale = hope * (1 - _NEAR) / max(1, best.ends)
        return _point([_NEAR * a + scale * b for a, b in zip(potentials, best.whole, strict=True)])

    def _hope(self, point: _Point, period: int) -> float:
        """Return the ratio of the ends to what all TPUs are worth as far as patterns are known."""
        return point.ends / max(1, self._together([kind.most(point.whole, period) for kind in self._kinds]))

    def _proves(self, point: _Point, period: int) -> bool:
        """Whether potentials prove that there is no plan of a period; if not, patterns that show it are kept."""
        for kind in self._kinds:
            kind.climb(point.whole, period)
        known = [kind.most(point.whole, period) for kind in self._kinds]
        spare = point.ends - 1 - self._together(known)
        if spare < 0:
            for kind in self._kinds:
                self._add(kind, kind.best(point.whole, period, _MOST_NEW))
            return False
        is_proof, worths = True, []
        for kind, most in zip(self._kinds, known, strict=True):
            worth = most + spare // len(self._problem.pool.devices)
            worths.append(worth)
            search = kind.exact.search(point.whole, period)
            if search.most <= worth:
                continue
            found = search.patterns(worth + 1, self._parts, _ENOUGH)
            if not len(found) and not found.complete:
                self._parts = min(_PARTS[1], 2 * self._parts)
            if len(found) or not found.complete:
                is_proof = False
            kind.learn(found)
            self._add(kind, kind.best(point.whole, period, _MOST_NEW))
        if is_proof:
            self._keep(period, point, worths)
        return is_proof

    def _add(self, kind: _Kind, patterns: list[tuple[frozenset[Held], int]]) -> None:
        for stages, load in patterns:
            self._columns[kind.number, stages] = load

    def _keep(self, period: int, point: _Point, worths: Sequence[int]) -> None:
        if self.best is None or period > self.best.period_ns:
            self.best = Proof(period, tuple(tuple(own.tolist()) for own in point.whole), tuple(worths))
            self._tell(self.best)

    def _master(self, period: int) -> tuple[float, list[Floats]]:
        """Return the largest sum of ends under which no known pattern of a period is worth more than its kind."""
        usable = [key for key, load in self._columns.items() if load <= period]
        most, potentials, slack = most_worth(self._sizes, self._counts, usable)
        if len(usable) > _MOST_COLUMNS:
            for i in np.argsort(slack)[_MOST_COLUMNS * 3 // 4 :].tolist():
                del self._columns[usable[i]]
        return most, potentials

    def _simple(self, period: int) -> list[list[Floats]]:
        """Return shortest paths to all states, where a stage costs its time and the memory that it takes, at a price.

        No pattern costs more than a period and all memory, so these are Lagrangian bounds, and what begins well.
        """
        found = []
        for price in _MEMORY_PRICES:
            own = []
            for m, weight in enumerate(self._problem.workload.weights):
                cost = np.full((self._sizes[m],) * 2, np.inf)
                for kind in self._kinds:
                    time, pairs = kind.least[m], kind.exact.steps[m].pairs
                    memory = price * period / time.shape[1] * np.arange(time.shape[1])
                    least = (np.minimum(time, 10**15) * float(weight) + memory).min(axis=1)
                    cost[pairs] = np.minimum(cost[pairs], least)
                shortest = np.zeros(len(cost))
                for b in range(1, len(cost)):
                    shortest[b] = min(1e18, (shortest[:b] + cost[:b, b]).min())
                own.append(np.minimum.accumulate(shortest[::-1])[::-1])
            found.append(own)
        return found


class _Kind:
    """The patterns of a kind that are known: what the local search saw, and what pricing found."""

    def __init__(self, number: int, exact: Exact, pricer: Pricer, period: int) -> None:
        self.number, self.exact = number, exact
        levels = exact.capacity // _LEVEL_BYTES + 1
        self.least = [own.least_by_level(_LEVEL_BYTES, levels) for own in exact.steps]
        numbers = []
        for own in exact.steps:
            table = np.full((len(own.arcs),) * 2, -1, dtype=np.int64)
            table[own.pairs] = np.arange(len(own.pairs[0]))
            numbers.append(table)
        rows, loads = [], []
        for pattern in pricer.known.values():
            if pattern.kind == number and pattern.stages and pattern.load_ns <= period:
                row = [-1] * len(numbers)
                for m, a, b in pattern.stages:
                    row[m] = int(numbers[m][a, b])
                rows.append(row)
                loads.append(pattern.load_ns)
        self._stages = np.array(rows, dtype=np.int64).reshape(-1, len(numbers))
        self._loads = np.array(loads, dtype=np.int64)

    def learn(self, found: Found) -> None:
        """Keep some of the patterns that a pricing found, the best."""
        best = np.argsort(-found.worth, kind="stable")[:_MOST_LEARNT]
        self._stages = np.concatenate((self._stages, found.stages[best]))
        self._loads = np.concatenate((self._loads, found.load[best]))

    def climb(self, potentials: Sequence[Ints], period: int) -> None:
        """Learn patterns that are worth more than any that is known, by exchanging one stage, until there is none."""
        gains = [
            own[steps.pairs[1]] - own[steps.pairs[0]] for own, steps in zip(potentials, self.exact.steps, strict=True)
        ]
        for _ in range(_CLIMBS):
            worths = self._worths(potentials, period)
            best = np.argsort(-worths, kind="stable")[:_CLIMBERS]
            is_better = False
            for m, gain in enumerate(gains):
                most = int(worths.max(initial=0))
                own = self._stages[best, m]
                without = worths[best] - np.append(gain, 0)[own]
                which, stage = np.nonzero(without[:, None] + gain[None, :] > most)
                if not len(which):
                    continue
                order = np.argsort(-(without[which] + gain[stage]), kind="stable")[:_MOST_CLIMBED]
                which, stage = which[order], stage[order]
                tried = self._stages[best[which]]
                tried[:, m] = stage
                loads = self.exact.loads(tried)
                inside = np.flatnonzero(loads <= period)
                if len(inside):
                    is_better = True
                    self.learn(Found(tried[inside], loads[inside], (without[which] + gain[stage])[inside], False))
            if not is_better:
                return

    def most(self, potentials: Sequence[Ints], period: int) -> int:
        """Return what the best known pattern of a period is worth."""
        return int(self._worths(potentials, period).max(initial=0))

    def best(self, potentials: Sequence[Ints], period: int, most: int) -> list[tuple[frozenset[Held], int]]:
        """Return the known patterns that are worth most, with their loads; so many of each model's different stages."""
        worths = self._worths(potentials, period)
        order = np.argsort(-worths, kind="stable")[: 40 * most]
        order = order[worths[order] > 0]
        chosen = [order[np.sort(np.unique(own, return_index=True)[1])[:most]] for own in self._stages[order].T]
        best = np.unique(np.concatenate(chosen))
        held = [self.exact.held(own) for own in self._stages[best].tolist()]
        return list(zip(held, self._loads[best].tolist(), strict=True))

    def _worths(self, potentials: Sequence[Ints], period: int) -> Ints:
        worths = np.zeros(len(self._loads), dtype=np.int64)
        for m, own in enumerate(potentials):
            first, last = self.exact.steps[m].pairs
            gain = np.append(own[last] - own[first], 0)
            worths += gain[self._stages[:, m]]
        worths[self._loads > period] = 0
        return worths


def _point(potentials: Sequence[Floats]) -> _Point:
    """Return potentials in whole numbers that add up to about UNIT and do not fall."""
    rising = [np.maximum.accumulate(np.maximum(own, 0.0)) for own in potentials]
    total = sum(float(own[-1] - own[0]) for own in rising) or 1.0
    return _Point([np.floor((own - own[0]) / total * UNIT).astype(np.int64) for own in rising])
