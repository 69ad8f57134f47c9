"""Every pattern that one TPU can hold and do within a period and that is worth enough, exactly as it is priced.

Residents are placed one after the other as the device caches them, by first fit, in every order. Those that are worth
nothing are placed too: they leave less room to the next, which may be faster then, as first fit is not monotone. What
the models that are still to come can add is bounded by a grid of memory and time, on which amounts are rounded down:

    F_m[j, t] = most worth of one stage of model m in memory j and time t
    H_S[j, t] = largest sum of F_m[j_m, t_m] over m in S   with sum j_m <= j, sum t_m <= t
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.pool.patterns import Held
from segsolve.pool.steps import Steps

Bools = NDArray[np.bool_]
_FINE_BYTES, _FINE_TIMES = 16 * 1024, 640  # levels of the grid for one model
_COARSER = {1: 1, 2: 2, 3: 6}  # by the number of models: so many of them are one of the grid for several
_COARSEST = 8
_CLASSES = 3  # of stages by their scratch memory, for the grid
_MOST_AT_ONCE = 2**20  # residents placed at a time


@dataclass(frozen=True, eq=False)
class Found:
    """Patterns: the number of each model's stage, -1 for none, [n, models]; their loads and worths [n].

    `complete` says that there are no others. Loads are exact then.
    """

    stages: Ints
    load: Ints
    worth: Ints
    complete: bool

    def __len__(self) -> int:
        return len(self.load)


class Exact:
    """The patterns of one kind. `steps[m]` are the stages of model m there, `weights[m]` their runs per period."""

    def __init__(self, steps: Sequence[Steps], weights: Sequence[int], capacity: int) -> None:
        self.steps, self.weights, self.capacity = steps, weights, capacity
        self.coarser = _COARSER.get(len(steps), _COARSEST)
        self.scratch = np.unique(np.concatenate([own.scratch for own in steps]))
        parts = np.array_split(self.scratch, max(1, min(_CLASSES, len(self.scratch))))
        self.tops = [int(part[-1]) for part in parts if len(part)]
        self.levels = capacity // _FINE_BYTES + 1
        self.least = [own.least_by_level(_FINE_BYTES, self.levels) for own in steps]
        self._period = -1
        self.placed: list[tuple[Ints, Ints, Ints]] = []

    @cached_property
    def holders(self) -> list[tuple[int, int]]:
        """The amounts of scratch memory that a TPU may need, and for each the models that have such a stage."""
        return [(top, m) for m, own in enumerate(self.steps) for top in np.unique(own.scratch).tolist()]

    def held(self, stages: Sequence[int]) -> frozenset[Held]:
        """Return the stages of a pattern by their states."""
        pairs = [own.pairs for own in self.steps]
        return frozenset((m, int(pairs[m][0][i]), int(pairs[m][1][i])) for m, i in enumerate(stages) if i >= 0)

    def loads(self, stages: Ints) -> Ints:
        """Return the least load [n] of patterns [n, models] in any order of their residents."""
        count, models = stages.shape
        needs = [np.append(steps.scratch, 0)[own] for own, steps in zip(stages.T, self.steps, strict=True)]
        room = np.maximum(0, self.capacity - np.maximum.reduce(needs))
        best = np.full(count, IMPOSSIBLE, dtype=np.int64)
        for order in permutations(range(models)):
            free, load = room.copy(), np.zeros(count, dtype=np.int64)
            for m in order:
                at = np.flatnonzero(stages[:, m] >= 0)
                time, used = self.steps[m].at(stages[at, m], free[at])
                load[at] += np.minimum(time, IMPOSSIBLE // 2**24) * self.weights[m]
                free[at] -= used
            np.minimum(best, load, out=best)
        return best

    def search(self, potentials: Sequence[Ints], period: int) -> Search:
        """Return the search under potentials."""
        self._place(period)
        return Search(self, potentials, period)

    def _place(self, period: int) -> None:
        """Put all stages on the grid of a period: stage, level of memory, level of time; what is undominated."""
        if period == self._period:
            return
        self._period, self.placed = period, []
        for least, weight in zip(self.least, self.weights, strict=True):
            within = least <= period // weight
            level = np.where(
                within, np.where(within, least, 0) * weight * _FINE_TIMES // max(1, period), _FINE_TIMES + 1
            )
            before = np.full_like(level, _FINE_TIMES + 1)
            before[:, 1:] = level[:, :-1]
            stages, memory = np.nonzero((level < before) & within)
            self.placed.append((stages, memory, level[stages, memory]))


class Search:
    """One kind, one period, one set of potentials."""

    def __init__(self, exact: Exact, potentials: Sequence[Ints], period: int) -> None:
        self.exact, self.period = exact, period
        self._models = len(exact.steps)
        self.gain = [
            own[steps.pairs[1]] - own[steps.pairs[0]] for own, steps in zip(potentials, exact.steps, strict=True)
        ]
        self._order = [np.argsort(-gain, kind="stable") for gain in self.gain]
        self._classes = [_Grids(self, top) for top in exact.tops]
        roots = (self._root(scratch, holder) for scratch, holder in exact.holders)
        self._roots = sorted((root for root in roots if root is not None), key=lambda root: -root.most)
        self.most = max((root.most for root in self._roots), default=0)

    def patterns(self, least: int, most_parts: int, enough: int | None = None) -> Found:
        """Return the patterns that are worth at least so much, each once.

        They are some of them if `enough` were found, or if residents were placed `most_parts` times.
        """
        self._left, self._least_worth, self._enough = most_parts, least, enough
        self._done: list[tuple[Ints, Ints, Ints]] = []
        for root in self._roots:
            if root.most >= least and self._left >= 0:
                none = np.full((1, self._models), -1, dtype=np.int64)
                zero = np.zeros(1, dtype=np.int64)
                room = zero + max(0, self.exact.capacity - root.scratch)
                self._extend(root, (1 << self._models) - 1, none, room, zero, zero)
        return self._once()

    def _root(self, scratch: int, holder: int) -> _Root | None:
        """Return what may live on a TPU that needs some scratch memory, `holder` being the first model that does."""
        chosen = []
        for m, (order, own) in enumerate(zip(self._order, self.exact.steps, strict=True)):
            needs = own.scratch[order]
            keep = needs == scratch if m == holder else needs < scratch if m < holder else needs <= scratch
            chosen.append(order[keep])
        if not len(chosen[holder]):
            return None
        grids = next(each for each in self._classes if each.top >= scratch)
        return _Root(self, scratch, holder, chosen, grids)

    def _extend(self, root: _Root, rest: int, stages: Ints, room: Ints, load: Ints, worth: Ints) -> None:
        """Add each model of a set to lists of residents that were placed."""
        for m in range(self._models):
            if not rest >> m & 1 or not len(room):
                continue
            after = rest & ~(1 << m)
            steps, weight, order = self.exact.steps[m], self.exact.weights[m], root.stages[m]
            need = self._least_worth - worth - root.bound(after, room, load)
            counts = np.searchsorted(root.falling[m], -np.maximum(need, 0), "right")
            for first, last in _chunks(counts):
                check()
                part = counts[first:last]
                self._left -= int(part.sum())
                if self._left < 0:
                    return
                e = np.repeat(np.arange(first, last), part)
                stage = order[np.arange(len(e)) - np.repeat(np.cumsum(part) - part, part)]
                soonest = load[e] + steps.least_ns[stage] * weight
                keep = soonest <= self.period
                if after:  # what is left of the room is not known yet
                    more = root.bound(after, room[e], np.minimum(soonest, self.period))
                    keep &= worth[e] + self.gain[m][stage] + more >= self._least_worth
                e, stage = e[keep], stage[keep]
                time, used = steps.at(stage, room[e])
                new_load = load[e] + np.minimum(time, self.period + 1) * weight
                keep = new_load <= self.period
                e, stage, used, new_load = e[keep], stage[keep], used[keep], new_load[keep]
                new_worth = worth[e] + self.gain[m][stage]
                if not after >> root.holder & 1:
                    good = np.flatnonzero(new_worth >= self._least_worth)
                    if len(good):
                        own = stages[e[good]]
                        own[:, m] = stage[good]
                        self._done.append((own, new_load[good], new_worth[good]))
                        if self._enough is not None and sum(len(each[1]) for each in self._done) >= self._enough:
                            self._left = -1
                            return
                if after:
                    new_room = room[e] - used
                    more = root.bound(after, new_room, new_load)
                    keep = np.flatnonzero(new_worth + more >= self._least_worth)
                    own = stages[e[keep]]
                    own[:, m] = stage[keep]
                    self._extend(root, after, own, new_room[keep], new_load[keep], new_worth[keep])

    def _once(self) -> Found:
        if not self._done:
            none = np.zeros(0, dtype=np.int64)
            return Found(np.zeros((0, self._models), dtype=np.int64), none, none, self._left >= 0)
        stages, load, worth = (np.concatenate(part) for part in zip(*self._done, strict=True))
        order = np.lexsort((load, *stages.T))
        stages, load, worth = stages[order], load[order], worth[order]
        first = np.ones(len(load), dtype=bool)
        first[1:] = (stages[1:] != stages[:-1]).any(axis=1)
        return Found(stages[first], load[first], worth[first], self._left >= 0)

    def grid_of(self, model: int, keep: Bools, coarser: int) -> Ints:
        """Return F of some stages of a model, on the fine grid or a coarser one."""
        stages, memory, time = self.exact.placed[model]
        gain = self.gain[model][stages]
        inside = keep[stages] & (gain > 0)
        shape = ((self.exact.levels - 1) // coarser + 1, _FINE_TIMES // coarser + 1)
        grid = np.zeros(shape, dtype=np.int64)
        np.maximum.at(grid, (memory[inside] // coarser, time[inside] // coarser), gain[inside])
        return _rise(grid)


class _Grids:
    """F of all models, and H of all sets of models but of all together, of stages of at most some scratch memory."""

    def __init__(self, search: Search, top: int) -> None:
        self.top = top
        exact = search.exact
        keeps = [own.scratch <= top for own in exact.steps]
        self.fine = [search.grid_of(m, keep, 1) for m, keep in enumerate(keeps)]
        self.joint = {1 << m: search.grid_of(m, keep, exact.coarser) for m, keep in enumerate(keeps)}
        for size in range(2, len(keeps)):
            for chosen in combinations(range(len(keeps)), size):
                bits = sum(1 << m for m in chosen)
                last = 1 << min(chosen, key=lambda m: len(_corners(self.joint[1 << m])[0]))
                self.joint[bits] = _joined(self.joint[bits & ~last], self.joint[last])


class _Root:
    """TPUs that need some scratch memory, `holder` being the first model that does.

    `stages` are those of each model that may live there, by falling worth; `most` is what none of them is worth more
    than, by the grid.
    """

    def __init__(self, search: Search, scratch: int, holder: int, stages: list[Ints], grids: _Grids) -> None:
        self.scratch, self.holder, self.stages = scratch, holder, stages
        self._search, self._grids = search, grids
        self._coarser = search.exact.coarser
        self._keep = np.zeros(len(search.gain[holder]), dtype=bool)
        self._keep[stages[holder]] = True
        self._joint: dict[int, Ints] = {1 << holder: search.grid_of(holder, self._keep, self._coarser)}
        own = self._joint[1 << holder]
        own = own[: max(0, search.exact.capacity - scratch) // (_FINE_BYTES * self._coarser) + 1]
        if others := ((1 << len(stages)) - 1) & ~(1 << holder):
            own = own + grids.joint[others][: len(own)][::-1, ::-1]
        self.most = int(own.max())

    @cached_property
    def falling(self) -> list[Ints]:
        """The worths of the stages, negative: they rise."""
        return [-self._search.gain[m][own] for m, own in enumerate(self.stages)]

    def bound(self, rest: int, room: Ints, load: Ints) -> Ints:
        """Return the most that models of a set can add in some rooms, after some loads."""
        if not rest:
            return np.zeros(len(room), dtype=np.int64)
        period = self._search.period
        level, time = room // _FINE_BYTES, (period - load) * _FINE_TIMES // max(1, period)
        if rest == 1 << self.holder:
            return np.asarray(self._fine[level, time])
        if rest.bit_count() == 1:
            return np.asarray(self._grids.fine[rest.bit_length() - 1][level, time])
        return np.asarray(self._of(rest)[level // self._coarser, time // self._coarser])

    @cached_property
    def _fine(self) -> Ints:
        return self._search.grid_of(self.holder, self._keep, 1)

    def _of(self, rest: int) -> Ints:
        """Return H of a set of models, in which the holder has to be if it is one of them."""
        if not rest >> self.holder & 1:
            return self._grids.joint[rest]
        if rest not in self._joint:
            own = 1 << self.holder
            self._joint[rest] = _joined(self._grids.joint[rest & ~own], self._joint[own])
        return self._joint[rest]


def _chunks(counts: Ints) -> Iterator[tuple[int, int]]:
    """Yield ranges whose counts add up to about _MOST_AT_ONCE."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts) and ends[-1] > (ends[first - 1] if first else 0):
        base = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + _MOST_AT_ONCE, "right")))
        yield first, last
        first = last


def _joined(one: Ints, other: Ints) -> Ints:
    """Return the most that both are worth in each amount of memory and time: a max-plus convolution."""
    result = np.maximum(one, other)
    for j, t, more in zip(*(part.tolist() for part in _corners(other)), strict=True):
        into = result[j:, t:]
        np.maximum(into, one[: into.shape[0], : into.shape[1]] + more, out=into)
    return result


def _rise(worth: Ints) -> Ints:
    """Let more memory or time never be worth less."""
    np.maximum.accumulate(worth, axis=0, out=worth)
    np.maximum.accumulate(worth, axis=1, out=worth)
    return worth


def _corners(worth: Ints) -> tuple[Ints, Ints, Ints]:
    below, left = np.zeros_like(worth), np.zeros_like(worth)
    below[1:], left[:, 1:] = worth[:-1], worth[:, :-1]
    memory, time = np.nonzero(worth > np.maximum(below, left))
    return memory, time, worth[memory, time]
