"""The resource bound: a period that no plan is below, however many copies of a model share whatever TPUs.

The TPUs of a kind have so much time in a period and so much memory, a link and the host have time. With a price for
each of these, what a model does costs at least its cheapest way through its states, where a stage, on the kind and with
the weights on chip that make it cheapest, costs its time and its weights' memory. A pipeline that does a part of its
model's inferences takes that part of the time, and all of the memory: so that for any prices

    sum over models of the cheapest way  <=  what all there is in a period P costs

which bounds P. It is a Lagrangian bound; prices are found by cutting planes, and what they prove is whole arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import OutOfTime, is_over
from segsolve.jit import compiled
from segsolve.pool.arcs import Arcs
from segsolve.pool.model import PoolProblem
from segsolve.solvers.prices import Floats, dearest

_ROUNDS, _NEAR = 60, 0.001  # of cutting planes; the best prices known are so near to what any can prove
_TOWARDS = 0.4  # of the way from the best prices known to the program's, where the next ones are tried
_BITS = 60  # of what all models cost
_MOST_PRODUCT = 2.0**61  # of bytes and ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Whole prices: of each kind's time and memory, of each link's time, of the host's and of its cores'.

    Where latencies are bounded (`pool.latency`), `latency` are those of each model's, and `turns` those of what the
    residents of a device take, one inference each, by kind.
    """

    time: tuple[int, ...]
    memory: tuple[int, ...]
    links: tuple[int, ...]
    host: int
    cores: int
    latency: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        """All of them, one after the other."""
        return (*self.time, *self.memory, *self.links, self.host, self.cores, *self.latency, *self.turns)


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways of a model to do its stages [n]: from a state to a state, and what each takes of all resources [n, r]."""

    states: int
    first: Ints
    last: Ints
    takes: Ints
    always: Ints

    @cached_property
    def _near(self) -> Floats:
        return self.takes.astype(np.float64)

    def cheapest(self, prices: Floats | Ints) -> tuple[float, Ints]:
        """Return the least cost of all inferences in a period, and what that takes [r]."""
        cost = (self.takes if prices.dtype.kind == "i" else self._near) @ prices
        best = np.full(self.states, np.inf if prices.dtype.kind == "f" else 2**62, dtype=prices.dtype)
        best[0] = 0
        chosen = np.zeros(self.states, dtype=np.int64)
        ends = np.searchsorted(self.last, np.arange(self.states + 1))
        for state in range(1, self.states):
            own = slice(ends[state], ends[state + 1])
            through = best[self.first[own]] + cost[own]
            if len(through):
                chosen[state] = ends[state] + int(through.argmin())
                best[state] = through.min()
        taken, state = self.always.copy(), self.states - 1
        if not best[state] < (np.inf if prices.dtype.kind == "f" else 2**62):
            raise ArithmeticError("a model has no way")
        while state:
            taken += self.takes[chosen[state]]
            state = int(self.first[chosen[state]])
        return best[-1] + self.always @ prices, taken


class ResourceBound:
    """The bound of a problem; `raised` looks for prices."""

    def __init__(self, problem: PoolProblem, arcs: Sequence[Sequence[Arcs]]) -> None:
        self._problem = problem
        pool = problem.pool
        zeros, ones = (0,) * len(pool.kinds), (1,) * len(pool.links)
        capacity = [min(row[k].capacity_bytes for row in problem.costs) for k in range(len(pool.kinds))]
        stock = [n * nbytes for n, nbytes in zip(pool.counts, capacity, strict=True)]
        self._per_ns = np.array([*pool.counts, *zeros, *ones, 1, problem.host_cores], dtype=np.int64)
        self._stock = np.array([*zeros, *stock, *(0 for _ in ones), 0, 0], dtype=np.int64)
        self._ways = [self._of_model(m, row) for m, row in enumerate(arcs)]
        self._dearest = 1.0 + sum(
            weight * max((float(cost) / int(n) for n, cost in zip(*each.layers[1:3], strict=True) if n), default=0.0)
            for row, weight in zip(arcs, problem.workload.weights, strict=True)
            for each in row
        )

    def raised(self) -> tuple[Prices, Fraction] | None:
        """Return good prices and the period that they prove; None if there was no time, or no plan."""
        try:
            best = self._searched()
        except (OutOfTime, ArithmeticError):
            return None
        most = sum(float((ways.takes @ best).max()) * ways.states for ways in self._ways) + 1.0
        scale = 2.0 ** min(30, int(_BITS - np.log2(max(1.0, most))))
        whole = np.floor(best * scale).astype(np.int64)
        kinds, links = len(self._problem.pool.kinds), len(self._problem.pool.links)
        parts = whole.tolist()
        prices = Prices(
            time=tuple(parts[:kinds]),
            memory=tuple(parts[kinds : 2 * kinds]),
            links=tuple(parts[2 * kinds : 2 * kinds + links]),
            host=parts[2 * kinds + links],
            cores=parts[2 * kinds + links + 1],
            latency=tuple(parts[2 * kinds + links + 2 :][: self._problem.models]),
            turns=tuple(parts[2 * kinds + links + 2 :][self._problem.models :]),
        )
        return prices, self.proven(prices)

    def proven(self, prices: Prices) -> Fraction:
        """Return the period, in ns, that no plan is below by these prices."""
        whole = np.array(prices.all, dtype=np.int64)
        costs = sum(int(ways.cheapest(whole)[0]) for ways in self._ways)
        stock = sum(int(a) * int(b) for a, b in zip(self._stock, whole, strict=True))
        per_ns = sum(int(a) * int(b) for a, b in zip(self._per_ns, whole, strict=True))
        return max(Fraction(0), Fraction(costs - stock, per_ns)) if per_ns else Fraction(0)

    def _searched(self) -> Floats:
        """Return prices of which all there is in a ns costs 1."""
        best = self._first()
        value, cut = self._value(best)
        cuts = [cut]
        for _ in range(_ROUNDS):
            most, found = dearest(np.array(cuts, dtype=np.float64), self._per_ns.astype(np.float64), self._dearest)
            if is_over() or most - value <= _NEAR * max(1.0, abs(value)):
                break
            point = best + _TOWARDS * (found - best)
            near, cut = self._value(point)
            cuts.append(cut)
            if near > value:
                best, value = point, near
            elif near <= float(cut @ found) - _NEAR * abs(value):
                continue
            else:
                cuts.append(self._value(found)[1])
        return best

    def _first(self) -> Floats:
        """Return prices to begin with: all of time the same."""
        time = np.where(self._stock == 0, self._per_ns, 0)
        time[len(self._problem.pool.kinds) * 2 :] = 0
        return np.asarray((time > 0) / float(time.sum()))

    def _value(self, prices: Floats) -> tuple[float, Floats]:
        """Return what prices prove, and the plane that no prices prove more than."""
        found = [ways.cheapest(prices) for ways in self._ways]
        plane = sum((taken for _, taken in found), -self._stock).astype(np.float64)
        return sum(cost for cost, _ in found) - float(self._stock @ prices), plane

    def _of_model(self, m: int, row: Sequence[Arcs]) -> _Ways:
        pool, weight = self._problem.pool, self._problem.workload.weights[m]
        kinds = len(pool.kinds)
        names = [name for name, _ in pool.links]
        first, last, takes = [], [], []
        for k, arcs in enumerate(row):
            steps = arcs.steps
            stage, used, time, moved = steps.takes
            possible = time < IMPOSSIBLE
            stage, used, time, moved = stage[possible], used[possible], time[possible], moved[possible]
            if pool.kinds[k].link is None and float(used.max(initial=1)) * float(time.max(initial=1)) < _MOST_PRODUCT:
                hull = _hull(stage, used, time)
                stage, used, time, moved = stage[hull], used[hull], time[hull], moved[hull]
            own = np.zeros((len(stage), len(self._per_ns)), dtype=np.int64)
            own[:, k], own[:, kinds + k] = weight * time, used
            if (link := pool.kinds[k].link) is not None:
                number = names.index(link)
                own[:, 2 * kinds + number] = weight * (moved * pool.links[number][1].ns_per_mib >> 20)
            if (host := arcs.problem.host) is not None and self._problem.host_cores:
                own[:, -2:] = weight * host.serial_ns
            first.append(steps.pairs[0][stage])
            last.append(steps.pairs[1][stage])
            takes.append(own)
        always = np.zeros(len(self._per_ns), dtype=np.int64)
        if self._problem.host_cores:
            of_host = [self._problem.host_ns(m, k)[1:] for k in range(kinds)]
            always[-2:] = weight * np.array(of_host, dtype=np.int64).min(axis=0)
        ends = np.concatenate(last)
        order = np.argsort(ends, kind="stable")
        return _Ways(len(row[0]), np.concatenate(first)[order], ends[order], np.concatenate(takes)[order], always)


@compiled()
def _hull(stage: Ints, used: Ints, time: Ints) -> Ints:
    """Return the steps of each stage, listed by the bytes that they use, of which some prices make one the cheapest."""
    kept = np.empty(len(stage), dtype=np.int64)
    count = begin = 0
    for i in range(len(stage)):
        if i and stage[i] != stage[i - 1]:
            begin = count
        if count > begin and time[i] >= time[kept[count - 1]]:
            continue
        while count > begin + 1:
            a, b = kept[count - 2], kept[count - 1]
            if (time[a] - time[b]) * (used[i] - used[b]) > (time[b] - time[i]) * (used[b] - used[a]):
                break
            count -= 1
        kept[count] = i
        count += 1
    return kept[:count].copy()
