"""The pattern bound: that no plan of shared TPUs has a period of P or less, shown by potentials.

Patterns are what one TPU can hold and do within P. If a plan of that period exists, the patterns of its TPUs make up a
path for every model, so that for any potentials pi

    sum over models of pi_m(end)  =  sum over TPUs of what their patterns are worth  <=  sum over kinds of n_c z_c(P)

with z_c the most that a pattern of the kind is worth. Potentials for which that fails prove that there is no such plan,
whoever found them. They come from the linear program over the patterns priced so far, a point half way between its
answer and the best potentials known (in-out separation); they do not fall along a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.deadline import is_over
from segsolve.pool.model import PoolProblem
from segsolve.pool.patterns import Held, Pricer
from segsolve.pool.pricing import UNIT, Grid, Pricing
from segsolve.pool.relaxed import Relaxed
from segsolve.solvers.potentials import Floats, most_worth

GRIDS = ((Grid(8, 200), (0.04, 0.015)), (Grid(4, 400), (0.02, 0.006)), (Grid(2, 600), (0.006,)))
"""From coarse to fine: levels of memory of 64, 32 and 16 KiB; and by how much a bound is raised at once on each."""

_NEAR = 0.08  # how far from the best potentials towards those of the program the next ones are
_ROUNDS = 150  # of pricing at one period
_MEMORY_PRICES = (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0)  # of all of a TPU's memory, in periods
_TAIL = 0.1  # of a step: where the linear program is so near to 1, nothing will come of it
_MOST_COLUMNS = 400  # of the linear program; those that are far from tight are dropped beyond


@dataclass(frozen=True)
class Proof:
    """That there is no plan of a period of `period_ns` or less, by whole potentials per model and a grid.

    `scratch_classes` are for each kind the largest scratch memory of the stages that were priced together.
    """

    period_ns: int
    potentials: tuple[tuple[int, ...], ...]
    grid: Grid
    scratch_classes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class _Point:
    """Potentials as fractions of 1, and the ratio of their ends to what all TPUs are worth: above 1, they prove."""

    potentials: list[Floats]
    ratio: float
    whole: list[Ints]


class PatternBound:
    """Searches potentials for a problem; `tell` hears each proof, and `found` each pattern."""

    def __init__(
        self,
        problem: PoolProblem,
        pricer: Pricer,
        tell: Callable[[Proof], object],
        grids: Sequence[tuple[Grid, tuple[float, ...]]] = GRIDS,
    ) -> None:
        self._problem, self._pricer, self._tell = problem, pricer, tell
        self._grids = tuple(grids)
        self._sizes = [len(row[0]) for row in pricer.arcs]
        self._columns: dict[tuple[int, frozenset[Held]], int] = {}
        self.best: Proof | None = None
        self.rounds = 0

    def raise_to(self, period: int) -> Proof | None:
        """Prove a bound as near to the period of a plan as the effort allows."""
        point: _Point | None = None
        for grid, steps in self._grids:
            relaxed = [[Relaxed(arcs, grid.coarse) for arcs in row] for row in self._pricer.arcs]
            pricing = Pricing(self._problem, relaxed, grid)
            self._forget()
            if point is None:
                starts = (self._priced(pricing, period - 1, own) for own in self._simple(relaxed, period))
                point = max(starts, key=lambda p: p.ratio)
                point = self._climb(pricing, point, 0, period - 1, 10)
            for step in steps:
                while not is_over():
                    low = self.best.period_ns if self.best else 0
                    attempt = min(period - 1, int(low * (1 + step)) if low else period // 2)
                    if attempt <= low:
                        return self.best
                    found = self._attempt(pricing, attempt, point, step)
                    if found.ratio <= 1:
                        point = found
                        break
                    point = self._climb(pricing, found, attempt, min(period - 1, int(attempt * (1 + step))), 3)
        return self.best

    def _forget(self) -> None:
        """Keep of the patterns those that TPUs can really do: others may be none on a finer grid."""
        self._columns = {
            (kind, held): period
            for (kind, held), period in self._columns.items()
            if self._pricer.price(kind, held).load_ns <= period
        }

    def _climb(self, pricing: Pricing, point: _Point, low: int, high: int, steps: int) -> _Point:
        """Prove the largest period that some potentials prove, which is `low` at least, by bisection."""
        for _ in range(steps):
            middle = (low + high + 1) // 2
            found = self._priced(pricing, middle, point.potentials)
            if found.ratio > 1:
                low, point = middle, found
            else:
                high = middle
            if high <= low or is_over():
                break
        if point.ratio > 1 and (self.best is None or low > self.best.period_ns):
            self._keep(pricing, low, point)
        return point

    def _attempt(self, pricing: Pricing, period: int, point: _Point, step: float) -> _Point:
        """Look for potentials that prove that there is no plan of a period."""
        best = self._priced(pricing, period, point.potentials)
        for _ in range(_ROUNDS):
            if best.ratio > 1:
                self._keep(pricing, period, best)
                break
            most, potentials = self._master(period)
            if is_over() or most <= 1 + step * _TAIL:
                break
            near = [_NEAR * a + (1 - _NEAR) * b for a, b in zip(potentials, best.potentials, strict=True)]
            found = self._priced(pricing, period, near)
            if found.ratio > best.ratio:
                best = found
        return best

    def _priced(self, pricing: Pricing, period: int, potentials: list[Floats]) -> _Point:
        """Return potentials with their ratio, scaled so that all TPUs are worth 1; keep the patterns found."""
        self.rounds += 1
        total = sum(float(own[-1]) for own in potentials) or 1.0
        whole = [_whole(own / total) for own in potentials]
        worths, patterns = pricing.worths(whole, period)
        counts = self._problem.pool.counts
        for kind, held in patterns:
            self._columns.setdefault((kind, held), period)
            self._columns[kind, held] = min(self._columns[kind, held], period)
            self._pricer.price(kind, held)
        available = sum(n * z for n, z in zip(counts, worths, strict=True))
        ends = sum(int(own[-1]) for own in whole)
        scale = max(1, available)
        return _Point([own / scale for own in whole], ends / scale if available else float("inf"), whole)

    def _keep(self, pricing: Pricing, period: int, point: _Point) -> None:
        self.best = Proof(
            period, tuple(tuple(own.tolist()) for own in point.whole), pricing.grid, pricing.scratch_classes
        )
        self._tell(self.best)

    def _master(self, period: int) -> tuple[float, list[Floats]]:
        """Return the largest sum of ends under which no known pattern of a period is worth more than its kind."""
        usable = [key for key, least in self._columns.items() if least <= period]
        most, potentials, slack = most_worth(self._sizes, self._problem.pool.counts, usable)
        if len(usable) > _MOST_COLUMNS:
            for i in np.argsort(slack)[_MOST_COLUMNS * 3 // 4 :].tolist():
                del self._columns[usable[i]]
        return most, potentials

    def _simple(self, relaxed: Sequence[Sequence[Relaxed]], period: int) -> list[list[Floats]]:
        """Return shortest paths to all states, where a stage costs its time and the memory that it takes, at a price.

        No pattern costs more than a period and all memory, so these are Lagrangian bounds, and what begins well.
        """
        found = []
        for price in _MEMORY_PRICES:
            own = []
            for row, weight in zip(relaxed, self._problem.workload.weights, strict=True):
                cost = np.full((len(row[0].arcs),) * 2, np.inf)
                for each in row:
                    memory = price * period / each.levels * np.arange(each.levels)
                    least = (np.minimum(each.time, 10**15) * float(weight) + memory).min(axis=1)
                    cost[each.pairs] = np.minimum(cost[each.pairs], least)
                shortest = np.zeros(len(cost))
                for b in range(1, len(cost)):
                    shortest[b] = (shortest[:b] + cost[:b, b]).min()
                own.append(np.minimum.accumulate(shortest[::-1])[::-1])
            found.append(own)
        return found


def _whole(potentials: Floats) -> Ints:
    rising = np.maximum.accumulate(np.maximum(potentials, 0.0))
    whole: Ints = np.floor(rising * UNIT).astype(np.int64)
    whole -= whole[0]
    return whole
