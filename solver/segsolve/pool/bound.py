"""The pattern bound: that no plan of shared TPUs has a period of P or less, shown by potentials.

Patterns are what one TPU can hold and do within P. If a plan of that period exists, the patterns of its TPUs make up a
path for every model, so that for any potentials pi

    sum over models of pi_m(end)  =  sum over TPUs of what their patterns are worth  <=  sum over kinds of n_c z_c(P)

with z_c the most that a pattern of the kind is worth. Potentials for which that fails prove that there is no such plan,
whoever found them. They come from the linear program over the patterns priced so far, a point between its answer and
the best potentials known (in-out separation); they do not fall along a model.

Where no potentials show it, the plans are split into two regions (`region`), each of which has potentials of its own:
in a region, patterns have allowed stages only. What all regions prove is proven of all plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.deadline import is_over
from segsolve.pool.exact import Exact, Found, Search
from segsolve.pool.model import PoolProblem
from segsolve.pool.patterns import Held, Pricer
from segsolve.pool.region import Region, Split, best_split, everything
from segsolve.pool.rooms import Bools
from segsolve.solvers.cpsat.potentials import Floats, Program

UNIT = 10**9
"""What potentials of all models together add up to, about: they are whole numbers, so that nothing is rounded."""

_NEAR = 0.2  # how far from the best potentials towards those of the program the next ones are, at first
_SEARCHES, _ROUNDS = 30, 250  # at one period: for patterns that are worth most, and of the linear program
_FIRST_ROUNDS = 40  # of that at the period of the best plan known, before there are good potentials
_FIRST_STEPS, _STEPS = 6, 4  # of bisection with what they are in the end, and whenever rounds did not do
_STEP, _ASCENT = 2e-4, 0.05  # what a ratio has to gain, of itself and of what the program leaves, to count as better
_CLOSE = 0.02  # between a ratio and the program: known patterns tell what is better, of less than 1
_NEARLY = 1e-3  # of a ratio: it is known so well
_TRIES = 10  # to know a ratio
_MEMORY_PRICES = (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0)  # of all of a TPU's memory, in periods
_LEVEL_BYTES = 64 * 1024
_TAIL = 0.0001  # where the linear program is so near to 1, nothing will come of it
_MOST_COLUMNS = 1600  # of the linear program; those that are far from tight are dropped beyond
_PARTS = 2**23, 2**27  # residents that are placed for one pricing of a kind: at first, at most
_MOST_LEARNT = 500  # patterns of a pricing that are kept to price with
_ENOUGH = 400  # patterns that show that potentials prove nothing
_CLIMBS, _CLIMBERS, _MOST_CLIMBED = 8, 40, 1000  # rounds; patterns that are changed; changes that are priced
_MOST_NEW = 24  # patterns of a kind that a pricing adds to the program
_WHOLE, _NOTHING = 0.999, 1e-6  # so much of a pattern is all of it, or none
_PART_OF_GAP = 0.5  # of what is left between the bound and the best plan, by which all regions are raised at once
_FAR = 0.006  # from 1: the linear program has not come to its end
_IDLE = 6  # attempts that prove nothing, one after the other: beyond, that does not count
_LAST_GAP = 0.002  # that is left where all of it is tried


@dataclass(frozen=True)
class Leaf:
    """Whole potentials per model that prove a region: no pattern of a kind is worth more than its `worths`."""

    potentials: tuple[tuple[int, ...], ...]
    worths: tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """That there is no plan of a period of `period_ns` or less.

    `nodes` are a tree of regions: a split, then what proves the plans that are cut there, then the others.
    """

    period_ns: int
    nodes: tuple[Split | Leaf, ...]

    @property
    def potentials(self) -> tuple[tuple[int, ...], ...]:
        """Potentials of one of the regions."""
        return next(node.potentials for node in self.nodes if isinstance(node, Leaf))


@dataclass(frozen=True, eq=False)
class _Point:
    """Potentials, in whole numbers that add up to about UNIT."""

    whole: list[Ints]

    @property
    def ends(self) -> int:
        """What all models are worth."""
        return sum(int(own[-1]) for own in self.whole)


@dataclass(eq=False)
class _Node:
    """A region, the best potentials known there, and the period that they prove; or a split into two."""

    region: Region
    point: _Point
    low: int = 0
    leaf: Leaf | None = None
    split: Split | None = None
    halves: tuple[_Node, ...] = ()

    def walk(self) -> Iterator[_Node]:
        """Yield this node and those below it, first halves first."""
        yield self
        for half in self.halves:
            yield from half.walk()


@dataclass(eq=False)
class _Mix:
    """What the linear program chose last: patterns by kind and stages, how much of each, and of all TPUs."""

    patterns: list[tuple[int, frozenset[Held]]] = field(default_factory=list)
    amounts: list[float] = field(default_factory=list)
    most: float = 0.0


class PatternBound:
    """Searches potentials for a problem, to prove periods below that of a plan.

    `tell` hears each proof; `offer` hears of patterns that may make a plan, and returns the period of the best known.
    """

    def __init__(
        self,
        problem: PoolProblem,
        pricer: Pricer,
        period: int,
        tell: Callable[[Proof], object],
        offer: Callable[[Sequence[tuple[int, frozenset[Held]]]], int],
    ) -> None:
        self._problem, self._tell, self._offer = problem, tell, offer
        weights = problem.workload.weights
        self._kinds: list[_Kind] = []
        for k in range(len(problem.pool.kinds)):
            steps = [row[k].steps.within(period // w) for row, w in zip(pricer.arcs, weights, strict=True)]
            capacity = min(row[k].capacity_bytes for row in problem.costs)
            self._kinds.append(_Kind(k, Exact(steps, weights, capacity), pricer, period))
        self._counts = problem.pool.counts
        self._sizes = [len(row[0]) for row in pricer.arcs]
        self._columns: dict[tuple[int, frozenset[Held]], int] = {}
        self._program = Program(self._sizes, self._counts)
        self._parts = _PARTS[0]
        self._high = period
        self._mix = _Mix()
        self.best: Proof | None = None
        self.rounds = self.searches = 0
        self._all = everything(self._sizes)
        self._root = self._start(self._all)

    @property
    def columns(self) -> list[tuple[int, frozenset[Held]]]:
        """The patterns of the linear program, by kind and stages."""
        return list(self._columns)

    def probe(self) -> None:
        """Look just below the best plan for a proof, or a better plan."""
        root, high = self._root, 0
        while high != self._high and not is_over():  # each time a better plan came up
            high = self._high
            self._attempt(root, high - 1, 0, _FIRST_ROUNDS)
        self._climb(root, root.low, self._high - 1, _FIRST_STEPS)

    def raise_to(self, period: int, *, splits: bool = True) -> None:
        """Prove a bound as near to a period as the time allows, where it helps by splitting the plans into regions.

        Without `splits`, it ends where potentials for all plans prove nothing more.
        """
        self._high = min(self._high, period)
        best, idle = 0, 0
        while (low := self._root_low) < self._high - 1 and not is_over():
            idle = idle + 1 if low <= best else 0
            best, gap = low, self._high - 1 - low
            period = low + (gap if gap < _LAST_GAP * self._high else int(gap * _PART_OF_GAP) + 1)
            left = [node for node in self._root.walk() if not node.halves and node.low < period]
            while left:
                node = left.pop()
                if is_over():  # so that not all regions are proven
                    return
                period = min(period, self._high - 1)
                if node.low >= period or self._attempt(node, period, _SEARCHES, _ROUNDS):
                    continue
                if period >= self._high:  # a better plan came up
                    left.append(node)
                    continue
                is_far = self._mix.most > 1 + _FAR and idle < _IDLE  # so that more rounds would prove it
                if is_far or node is self._root:
                    self._climb(node, node.low, period - 1, _STEPS)
                    self._keep_tree(self._root, self._root_low)
                if is_far:
                    break
                split = best_split([own for _, own in self._mix.patterns], self._mix.amounts, self._sizes)
                if is_over() or split is None or not splits:
                    return
                node.split, node.leaf = split, None
                node.halves = tuple(_Node(region, node.point, node.low) for region in node.region.halves(split))
                left += node.halves[::-1]
            else:
                self._keep_tree(self._root, period)

    @property
    def _root_low(self) -> int:
        return min(node.low for node in self._root.walk() if not node.halves)

    def _start(self, region: Region) -> _Node:
        """Return the region with potentials to start from, and the period that they prove by the grid alone."""
        self._enter(region)
        period = self._high
        points = [_point(own) for own in self._simple(period)]
        best = max(points, key=lambda point: point.ends / max(1, self._together(self._by_grid(point, period))))
        node, high = _Node(region, best), period
        while high - node.low > period // 100:
            middle = (node.low + high) // 2
            worths = self._by_grid(best, middle)
            if self._together(worths) < best.ends:
                self._keep(node, middle, best, worths)
            else:
                high = middle
        return node

    def _by_grid(self, point: _Point, period: int) -> list[int]:
        """Return what no pattern of a kind is worth more than, each by the grid alone."""
        return [kind.search(point.whole, period).most for kind in self._kinds]

    def _enter(self, region: Region) -> None:
        for kind in self._kinds:
            kind.enter(region)

    def _together(self, worths: Sequence[int]) -> int:
        """Return what all TPUs are worth."""
        return sum(n * worth for n, worth in zip(self._counts, worths, strict=True))

    def _climb(self, node: _Node, low: int, high: int, steps: int) -> None:
        """Look by bisection for the largest period that the potentials of a region prove, which is `low` at least."""
        for _ in range(steps):
            middle = (low + high + 1) // 2
            if high <= low or is_over():
                break
            self._climb_known(node.point, middle)
            if self._shown(node, node.point, middle, 1.0):
                low = middle
            else:
                high = middle

    def _attempt(self, node: _Node, period: int, searches: int, rounds: int) -> bool:
        """Look for potentials that prove that a region has no plan of a period; without searches, for a plan alone."""
        self._enter(node.region)
        best = point = node.point
        near, until = _NEAR, self.searches + searches
        ratio = self._ratio(node, point, period) if searches else 0.0
        for _ in range(rounds):
            if ratio > 1:
                return True
            if is_over() or (searches and self.searches >= until):
                break
            self.rounds += 1
            known = set(self._columns)
            self._add(point, period)
            near = _NEAR if self._columns.keys() - known else min(1.0, 2 * near)  # where nothing new is, go on
            most, potentials = self._master(node.region, period)
            if min(self._mix.amounts, default=0.0) > _WHOLE:
                self._high = min(self._high, self._offer(self._mix.patterns))
                if self._high <= period:
                    return False
            if most <= 1 + _TAIL:
                break
            point = self._between(potentials, best, ratio or self._hope(best, period), near)
            if searches and most - ratio > _CLOSE:
                ratio = max(ratio, self._ratio(node, point, period, ratio + max(_STEP, _ASCENT * (most - ratio))))
                best = node.point
                continue
            self._climb_known(point, period)
            best = max(best, point, key=lambda each: self._hope(each, period))
            if searches and self._hope(point, period) > 1:
                ratio = max(ratio, self._shown(node, point, period, 1.0))
        if searches and ratio <= 1 and best is not node.point:
            ratio = self._ratio(node, best, period, ratio)
        return ratio > 1

    def _ratio(self, node: _Node, point: _Point, period: int, least: float = 0.0) -> float:
        """Return the ratio of the ends to what all TPUs are worth, as far as it is proven; 0 if not above `least`.

        If it is, the potentials are the best ones known of a region.
        """
        self._climb_known(point, period)
        ratio = self._shown(node, point, period, least) if least else 0.0
        for _ in range(_TRIES if ratio or not least else 0):
            hope = self._hope(point, period)
            wanted = 1.0 if hope > 1 else hope * (1 - _NEARLY)
            if wanted <= ratio or is_over():
                break
            if shown := self._shown(node, point, period, wanted):
                return shown
        return ratio

    def _shown(self, node: _Node, point: _Point, period: int, least: float) -> float:
        """Return a proven ratio above `least`, 0 if there is none; of more than 1, the region has no plan."""
        worths = self._worths(point, period, least)
        if worths is None:
            return 0.0
        node.point, ratio = point, point.ends / max(1, self._together(worths))
        if ratio > 1:
            self._keep(node, period, point, worths)
        return ratio

    def _worths(self, point: _Point, period: int, ratio: float) -> list[int] | None:
        """Return what no pattern of a kind is worth more than, the ends being worth more than `ratio` times all TPUs.

        None if some pattern is; then patterns that show it are kept.
        """
        known = [kind.most(point.whole, period) for kind in self._kinds]
        spare = int((point.ends - 1) / ratio) - self._together(known)
        if spare < 0:
            return None
        is_all, worths = True, [most + spare // len(self._problem.pool.devices) for most in known]
        self.searches += 1
        for kind, worth in zip(self._kinds, worths, strict=True):
            if (search := kind.search(point.whole, period)).most > worth:
                found = search.some(worth + 1, self._parts, _ENOUGH)
                if not len(found) and not found.complete:
                    self._parts = min(_PARTS[1], 2 * self._parts)
                is_all = is_all and found.complete
                if len(found):
                    kind.learn(found)
                    kind.climb(point.whole, period)
        return worths if is_all else None

    def _climb_known(self, point: _Point, period: int) -> None:
        """Learn patterns that are worth more than those known, without a search."""
        for kind in self._kinds:
            kind.climb(point.whole, period)

    def _add(self, point: _Point, period: int) -> None:
        """Add patterns that are worth most to the linear program."""
        for kind in self._kinds:
            for stages, load in kind.best(point.whole, period, _MOST_NEW):
                self._columns[kind.number, stages] = load

    def _between(self, potentials: Sequence[Floats], best: _Point, hope: float, near: float) -> _Point:
        """Return potentials near the best ones, towards those of the program."""
        scale = hope * (1 - near) / max(1, best.ends)
        return _point([near * a + scale * b for a, b in zip(potentials, best.whole, strict=True)])

    def _hope(self, point: _Point, period: int) -> float:
        """Return the ratio of the ends to what all TPUs are worth as far as patterns are known."""
        return point.ends / max(1, self._together([kind.most(point.whole, period) for kind in self._kinds]))

    def _keep(self, node: _Node, period: int, point: _Point, worths: Sequence[int]) -> None:
        node.low, node.point = period, point
        node.leaf = Leaf(tuple(tuple(own.tolist()) for own in point.whole), tuple(worths))
        if node.region is self._all:
            self._keep_tree(node, period)

    def _keep_tree(self, root: _Node, period: int) -> None:
        if self.best is None or period > self.best.period_ns:
            nodes = (node.split or node.leaf for node in root.walk())
            self.best = Proof(period, tuple(node for node in nodes if node is not None))
            self._tell(self.best)

    def _master(self, region: Region, period: int) -> tuple[float, list[Floats]]:
        """Return the largest sum of ends under which no known pattern of a region is worth more than its kind."""
        usable = [key for key, load in self._columns.items() if load <= period and region.has(key[1])]
        most, potentials, slack, amounts = self._program.solve(usable)
        if len(usable) > _MOST_COLUMNS:
            for i in np.argsort(slack)[_MOST_COLUMNS * 3 // 4 :].tolist():
                del self._columns[usable[i]]
        chosen = np.flatnonzero(amounts > _NOTHING).tolist()
        self._mix = _Mix([usable[i] for i in chosen], [float(amounts[i]) for i in chosen], most)
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
        self._allowed: list[Bools] = []
        self._last: tuple[tuple[int, int, int], Search, Sequence[Ints], list[Bools]] | None = None

    def enter(self, region: Region) -> None:
        """Leave aside what a region does not allow from here on."""
        self._allowed = [own[steps.pairs] for own, steps in zip(region.allowed, self.exact.steps, strict=True)]

    def search(self, potentials: Sequence[Ints], period: int) -> Search:
        """Return the search for the dearest patterns; the last one is kept."""
        key = id(potentials), id(self._allowed), period
        if self._last is None or self._last[0] != key:
            search = self.exact.search(potentials, period, self._allowed)
            self._last = key, search, potentials, self._allowed  # which keeps their ids
        return self._last[1]

    def learn(self, found: Found) -> None:
        """Keep some of the patterns that a pricing found, the best."""
        best = np.argsort(-found.worth, kind="stable")[:_MOST_LEARNT]
        self._stages = np.concatenate((self._stages, found.stages[best]))
        self._loads = np.concatenate((self._loads, found.load[best]))

    def climb(self, potentials: Sequence[Ints], period: int) -> None:
        """Learn patterns that are worth more than any that is known, by exchanging one stage, until there is none."""
        gains = [
            np.where(allowed, own[steps.pairs[1]] - own[steps.pairs[0]], -UNIT)
            for own, steps, allowed in zip(potentials, self.exact.steps, self._allowed, strict=True)
        ]
        leasts = self.exact.tables[0]
        for _ in range(_CLIMBS):
            worths = self._worths(potentials, period)
            best = np.argsort(-worths, kind="stable")[:_CLIMBERS]
            best = best[worths[best] > 0]
            soonest = [np.append(own[: len(gain)], 0) for own, gain in zip(leasts, gains, strict=True)]
            busy = sum(own[stages] for own, stages in zip(soonest, self._stages[best].T, strict=True))
            is_better = False
            for m, gain in enumerate(gains):
                most = int(worths.max(initial=0))
                own = self._stages[best, m]
                without = worths[best] - np.append(gain, 0)[own]
                spare = period - busy + soonest[m][own]
                is_more = without[:, None] + gain[None, :] > most
                which, stage = np.nonzero(is_more & (soonest[m][None, :-1] <= spare[:, None]))
                if not len(which):
                    continue
                order = np.argsort(-(without[which] + gain[stage]), kind="stable")[:_MOST_CLIMBED]
                which, stage = which[order], stage[order]
                tried = self._stages[best[which]]
                tried[:, m] = stage
                loads = self.exact.loads(tried, period)
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
        worths, inside = np.zeros(len(self._loads), dtype=np.int64), self._loads <= period
        for m, (own, allowed) in enumerate(zip(potentials, self._allowed, strict=True)):
            first, last = self.exact.steps[m].pairs
            gain = np.append(own[last] - own[first], 0)
            worths += gain[self._stages[:, m]]
            inside &= np.append(allowed, True)[self._stages[:, m]]
        worths[~inside] = 0
        return worths


def _point(potentials: Sequence[Floats]) -> _Point:
    """Return potentials in whole numbers that add up to about UNIT and do not fall."""
    rising = [np.maximum.accumulate(np.maximum(own, 0.0)) for own in potentials]
    total = sum(float(own[-1] - own[0]) for own in rising) or 1.0
    return _Point([np.floor((own - own[0]) / total * UNIT).astype(np.int64) for own in rising])
