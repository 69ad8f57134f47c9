"""The best plan in which every TPU serves one stage: exact, over all pipelines, copies and replicas on any kinds.

With k a vector of counts by kind, e_c the unit vector of kind c, and T_c(a,b) the time of a stage on that kind,

    f_m(b, k) = min over kind c, r replicas, state a of  max(f_m(a, k - r e_c), ceil(T_c(a,b) / r))
    R_m(k)    = largest sum of 1 / f_m(end, k_i) over pipelines with sum k_i <= k
    lambda    = largest min over m of R_m(k_m) / w_m   with sum k_m <= the pool

Comparisons of rates are made in whole numbers (their ranks among all fractions), so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import check
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage

Counts = tuple[int, ...]
Placement = tuple[tuple[int, ...], int, int]
"""A stage: operations, kind of device, replicas."""
_ENDLESS = Fraction(2**60)  # inferences per ns of a pipeline that takes no time
_NEAR = 1e-9  # rates that may be equal, and are compared as fractions


@dataclass(frozen=True, kw_only=True)
class Exclusive:
    """The best plan without shared TPUs: its rate is periods per ns, the largest there is, links left aside."""

    plan: PoolPlan
    rate: Fraction

    @property
    def period(self) -> Fraction:
        """What no period is below, in ns; nothing where stages take no time."""
        return 1 / self.rate if self.rate < 1 else Fraction(0)


@dataclass(frozen=True, slots=True)
class _Step:
    """The last stage of a pipeline: the state that it begins at, its kind of device and its replicas."""

    begin: int
    kind: int
    replicas: int


def best_exclusive(problem: PoolProblem, tables: Sequence[Sequence[StageTable]]) -> Exclusive | None:
    """Return the best plan in which each TPU has one stage at most; None if there is none.

    `tables[m][k]` are the stages of model m on kind k, with the same states for all kinds.
    """
    vectors = Vectors(problem.pool.counts)
    curves = [_Curve(row, vectors) for row in tables]
    scaled, given = _divided(problem, [curve.rates for curve in curves], vectors)
    least = min(scaled[m][vectors.index(k)] for m, k in enumerate(given))
    if not least:
        return None
    free = [list(_numbers(problem, kind)) for kind in range(len(problem.pool.kinds))]
    pipelines = []
    for m, k in enumerate(given):
        enough = _fewest(scaled[m], vectors, k, least)
        for part in curves[m].parts(enough):
            pipelines.append(PoolPipeline(model=m, stages=take_devices(curves[m].pipeline(part), free)))
    return Exclusive(plan=by_first_stage(tuple(pipelines), len(problem.pool.devices)), rate=least)


def best_split(problem: PoolProblem, rate: Callable[[int, Counts], Fraction]) -> tuple[Fraction, list[Counts]]:
    """Return the most periods per ns if each model has TPUs of its own, given its rate on each vector, and which."""
    vectors = Vectors(problem.pool.counts)
    scaled, given = _divided(problem, [[rate(m, k) for k in vectors.all] for m in range(problem.models)], vectors)
    return min(scaled[m][vectors.index(k)] for m, k in enumerate(given)), given


def _divided(
    problem: PoolProblem, rates: Sequence[Sequence[Fraction]], vectors: Vectors
) -> tuple[list[list[Fraction]], list[Counts]]:
    """Return the periods per ns of each model and vector, and the vectors that make the least of them the largest."""
    scaled = [[rate / w for rate in own] for own, w in zip(rates, problem.workload.weights, strict=True)]
    values = sorted({value for row in scaled for value in row})
    rank = {value: i for i, value in enumerate(values)}
    return scaled, _split([np.array([rank[value] for value in row], dtype=np.int64) for row in scaled], vectors)


class _Curve:
    """What one model can do with each vector of devices."""

    def __init__(self, tables: Sequence[StageTable], vectors: Vectors) -> None:
        self.tables, self._vectors = tables, vectors
        self._end = tables[0].end
        self._bottleneck: list[Ints] = []
        self._steps: list[list[_Step | None]] = []
        self._fill()

    def _fill(self) -> None:
        """Find f_m(., k) for all vectors k, smaller ones first."""
        states = self._end + 1
        shares: dict[tuple[int, int], Ints] = {}
        for k in self._vectors.all:
            check()
            best = np.full(states, IMPOSSIBLE, dtype=np.int64)
            best[0] = 0
            begin = np.zeros(states, dtype=np.int64)
            last = np.zeros((states, 2), dtype=np.int64)
            for kind, most in enumerate(k):
                for r in range(1, most + 1):
                    if (kind, r) not in shares:
                        time = self.tables[kind].time
                        shares[kind, r] = np.where(time < IMPOSSIBLE, -(-time // r), IMPOSSIBLE)
                    before = self._bottleneck[self._vectors.index(less(k, kind, r))]
                    found = np.maximum(before[:, None], shares[kind, r])
                    states_before = found.argmin(axis=0)
                    value = found[states_before, np.arange(states)]
                    better = value < best
                    best = np.where(better, value, best)
                    begin = np.where(better, states_before, begin)
                    last[better] = kind, r
            self._bottleneck.append(best)
            steps = zip(begin.tolist(), last.tolist(), strict=True)
            self._steps.append([_Step(a, kind, r) if r else None for a, (kind, r) in steps])

    def bottleneck(self, k: Counts) -> int:
        """Return the least bottleneck of one pipeline of at most k devices, or IMPOSSIBLE."""
        return int(self._bottleneck[self._vectors.index(k)][self._end])

    @cached_property
    def rates(self) -> list[Fraction]:
        """R_m by vector, in inferences per ns."""
        return self._knapsack[0]

    def parts(self, k: Counts) -> list[Counts]:
        """Return the vectors of the pipelines that make the rate of k."""
        found = []
        while (part := self._knapsack[1][self._vectors.index(k)]) is not None:
            found.append(part)
            k = tuple(a - b for a, b in zip(k, part, strict=True))
        return found

    def pipeline(self, k: Counts) -> list[Placement]:
        """Return the stages of the best pipeline of at most k devices."""
        stages, state = [], self._end
        while state:
            step = self._steps[self._vectors.index(k)][state]
            assert step is not None, "a pipeline that was found has its steps"
            stages.append((self.tables[0].ops(step.begin, state), step.kind, step.replicas))
            state, k = step.begin, less(k, step.kind, step.replicas)
        return stages[::-1]

    @cached_property
    def _knapsack(self) -> tuple[list[Fraction], list[Counts | None]]:
        vectors = self._vectors
        useful = self._undominated()
        rates: list[Fraction] = []
        near: list[float] = []
        chosen: list[Counts | None] = []
        for k in vectors.all:
            best, part, close = Fraction(0), None, 0.0
            for j, own, own_near in useful:
                rest = vectors.index_less(k, j)
                if rest is None:
                    continue
                about = near[rest] + own_near
                if about < close * (1 - _NEAR):
                    continue
                exact = rates[rest] + own
                if exact > best:
                    best, part, close = exact, j, about
            rates.append(best)
            near.append(float(best))
            chosen.append(part)
        return rates, chosen

    def _undominated(self) -> list[tuple[Counts, Fraction, float]]:
        """The vectors whose pipeline is faster than that of any smaller vector."""
        found: list[tuple[Counts, int]] = []
        for k in self._vectors.all:
            own = self.bottleneck(k)
            if own >= IMPOSSIBLE or any(b <= own and _within(j, k) for j, b in found):
                continue
            found.append((k, own))
        rates = [(k, Fraction(1, b) if b else _ENDLESS) for k, b in found]
        return [(k, rate, float(rate)) for k, rate in rates]


class Vectors:
    """All vectors of counts up to that of the pool, smaller ones first, and their numbers."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.all: list[Counts] = list(product(*(range(n + 1) for n in counts)))
        self._strides = tuple(int(np.prod([n + 1 for n in counts[i + 1 :]])) for i in range(len(counts)))

    def index(self, k: Counts) -> int:
        """Return the number of a vector."""
        return sum(a * s for a, s in zip(k, self._strides, strict=True))

    def index_less(self, k: Counts, part: Counts) -> int | None:
        """Return the number of a vector less another; None if that is not part of it."""
        number = 0
        for a, b, s in zip(k, part, self._strides, strict=True):
            if a < b:
                return None
            number += (a - b) * s
        return number


def _split(ranks: Sequence[Ints], vectors: Vectors) -> list[Counts]:
    """Give each model a vector so that the least of their ranks is the largest there is."""
    shape = tuple(n + 1 for n in vectors.counts)
    best = ranks[0].reshape(shape)
    chosen: list[Ints] = []
    for own in ranks[1:]:
        values = own.reshape(shape)
        joint = np.full(shape, -1, dtype=np.int64)
        choice = np.zeros(shape, dtype=np.int64)
        for number, k in enumerate(vectors.all):
            into = tuple(slice(a, None) for a in k)
            rest = tuple(slice(0, n - a) for a, n in zip(k, shape, strict=True))
            found = np.minimum(best[rest], values[k])
            better = found > joint[into]
            joint[into] = np.where(better, found, joint[into])
            choice[into] = np.where(better, number, choice[into])
        best = joint
        chosen.append(choice)
    given, left = [], vectors.counts
    for choice in reversed(chosen):
        own_vector = vectors.all[int(choice[left])]
        given.append(own_vector)
        left = tuple(a - b for a, b in zip(left, own_vector, strict=True))
    return [left, *given[::-1]]


def _fewest(rates: list[Fraction], vectors: Vectors, within: Counts, least: Fraction) -> Counts:
    """Return the smallest vector within another that makes a rate."""
    enough = (k for k in vectors.all if _within(k, within) and rates[vectors.index(k)] >= least)
    return min(enough, key=lambda k: (sum(k), k))


def take_devices(stages: Iterable[Placement], free: list[list[int]]) -> tuple[PoolStage, ...]:
    """Give stages devices of their kinds, which are then no longer free."""
    return tuple(
        PoolStage(ops=ops, devices=tuple(free[kind].pop(0) for _ in range(replicas))) for ops, kind, replicas in stages
    )


def _numbers(problem: PoolProblem, kind: int) -> Iterator[int]:
    yield from (d for d, k in enumerate(problem.pool.devices) if k == kind)


def less(k: Counts, kind: int, count: int) -> Counts:
    """Return a vector with fewer devices of a kind."""
    return (*k[:kind], k[kind] - count, *k[kind + 1 :])


def _within(k: Counts, other: Counts) -> bool:
    return all(a <= b for a, b in zip(k, other, strict=True))
