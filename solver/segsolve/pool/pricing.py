"""The dearest pattern under potentials: how much of all models one TPU can do within a period.

Potentials give each state of each model a value, which does not fall along the way; a stage is worth what it adds. The
worth of the best pattern of a kind is found on a grid of memory and time. Amounts are rounded down wherever stages
are put on it, so that the worth found is never below the true one: it is the bound's only duty.

    F_m[j, t] = most worth of one stage of model m in memory j and time t
    worth     = largest sum of F_m[j_m, t_m]   with sum j_m <= capacity, sum t_m <= period
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Ints
from segsolve.deadline import check
from segsolve.pool.model import PoolProblem
from segsolve.pool.patterns import Held
from segsolve.pool.relaxed import FINE_BYTES, Relaxed

Worths = NDArray[np.int64]
UNIT = 10**9
"""What potentials of all models together add up to, about: they are whole numbers, so that nothing is rounded."""

_MOST_PAIRS = 2**20  # of corners at a time
_MOST_FOUND = 5  # patterns that a pricing returns for each kind and class


@dataclass(frozen=True)
class Grid:
    """How fine the pricing is: levels of memory of `coarse` x FINE_BYTES, and levels of the period."""

    coarse: int
    times: int


@dataclass(frozen=True)
class Class:
    """Stages of at most some scratch memory, and the levels of memory that are left where one has so much."""

    most_scratch: int
    levels: int


@dataclass(frozen=True, eq=False)
class _Placed:
    """The stages of a model on the grid of a period: arc, level of memory, level of time; only what is undominated."""

    arcs: Ints
    memory: Ints
    time: Ints


class Pricing:
    """Prices potentials for a problem on a grid; one for each grid."""

    def __init__(self, problem: PoolProblem, relaxed: Sequence[Sequence[Relaxed]], grid: Grid) -> None:
        self.grid = grid
        self._problem, self._relaxed = problem, relaxed
        self._classes = [self._of_kind(k) for k in range(len(problem.pool.kinds))]
        self._period = -1
        self._placed: list[list[_Placed]] = []

    @property
    def scratch_classes(self) -> tuple[tuple[int, ...], ...]:
        """For each kind, the largest scratch memory of each of its classes."""
        return tuple(tuple(each.most_scratch for each in classes) for classes in self._classes)

    def worths(self, potentials: Sequence[Ints], period: int) -> tuple[list[int], list[tuple[int, frozenset[Held]]]]:
        """Return the most that a pattern of each kind is worth within a period, and patterns that are worth much."""
        self._place(period)
        worths, found = [], []
        for kind, classes in enumerate(self._classes):
            best = 0
            for each in classes:
                check()
                search = _Search(self, kind, each, potentials)
                best = max(best, search.best)
                found += [(kind, held) for held in search.patterns()]
            worths.append(best)
        return worths, found

    def _place(self, period: int) -> None:
        """Put all stages on the grid of a period."""
        if period == self._period:
            return
        self._period, self._placed = period, []
        for row, weight in zip(self._relaxed, self._problem.workload.weights, strict=True):
            placed = []
            for relaxed in row:
                check()
                within = relaxed.time <= period // weight
                level = np.where(within, relaxed.time, 0) * weight * self.grid.times // max(1, period)
                level[~within] = self.grid.times + 1
                before = np.full_like(level, self.grid.times + 1)
                before[:, 1:] = level[:, :-1]
                arcs, memory = np.nonzero((level < before) & (level <= self.grid.times))
                placed.append(_Placed(arcs, memory, level[arcs, memory]))
            self._placed.append(placed)

    def _of_kind(self, kind: int) -> list[Class]:
        """Return classes of stages by their scratch memory, and what each leaves of the capacity."""
        capacity = min(row[kind].capacity_bytes for row in self._problem.costs)
        scratch = np.unique(np.concatenate([row[kind].scratch for row in self._relaxed]))
        parts = np.array_split(scratch, min(MOST_CLASSES, len(scratch)))
        size = FINE_BYTES * self.grid.coarse
        return [Class(int(part[-1]), max(0, capacity - int(part[0])) // size + 1) for part in parts]


MOST_CLASSES = 3
"""Of stages by their scratch memory; each is priced by itself."""


class _Search:
    """One kind, one class of scratch memory: the worths on the grid, and the way back to patterns."""

    def __init__(self, pricing: Pricing, kind: int, each: Class, potentials: Sequence[Ints]) -> None:
        self._shape = (each.levels, pricing.grid.times + 1)
        self._parts = [
            _Part(m, pricing._relaxed[m][kind], pricing._placed[m][kind], each, own, self._shape)
            for m, own in enumerate(potentials)
        ]
        order = sorted(range(len(self._parts)), key=lambda m: len(self._parts[m].corners[0]))
        half = len(order) - 1 if len(order) <= 3 else (len(order) + 1) // 2
        self._left = _joined([self._parts[m] for m in order[:half]], self._shape)
        self._right = _joined([self._parts[m] for m in order[half:]], self._shape)
        self._sums = self._left.worth + self._right.worth[::-1, ::-1]
        self.best = int(self._sums.max())

    def patterns(self) -> list[frozenset[Held]]:
        """Return some patterns, the best among them."""
        flat = self._sums.ravel()
        some = min(len(flat) - 1, 40 * _MOST_FOUND)
        cells = np.argpartition(-flat, some)[:some]
        cells = cells[np.argsort(-flat[cells], kind="stable")]
        found: dict[frozenset[Held], None] = {}
        seen: set[tuple[int, int]] = set()
        for cell in cells.tolist():
            j, t = divmod(cell, self._shape[1])
            opposite = (self._shape[0] - 1 - j, self._shape[1] - 1 - t)
            worths = (int(self._left.worth[j, t]), int(self._right.worth[opposite]))
            if worths in seen or not sum(worths):
                continue
            seen.add(worths)
            found[frozenset((*self._left.stages(j, t), *self._right.stages(*opposite)))] = None
            if len(found) == _MOST_FOUND:
                break
        return list(found)


class _Part:
    """What one stage of a model is worth in each amount of memory and time."""

    def __init__(
        self, model: int, relaxed: Relaxed, placed: _Placed, each: Class, potentials: Ints, shape: tuple[int, int]
    ) -> None:
        self._model, self._relaxed = model, relaxed
        first, last = relaxed.pairs
        gain = potentials[last] - potentials[first]
        keep = (
            (placed.memory < shape[0]) & (relaxed.scratch[placed.arcs] <= each.most_scratch) & (gain[placed.arcs] > 0)
        )
        self._arcs, self._memory, self._time = placed.arcs[keep], placed.memory[keep], placed.time[keep]
        self._gain = gain[self._arcs]
        self.worth: Worths = np.zeros(shape, dtype=np.int64)
        np.maximum.at(self.worth, (self._memory, self._time), self._gain)
        _rise(self.worth)

    @property
    def corners(self) -> tuple[Ints, Ints, Ints]:
        """Where the worth rises: memory, time, worth."""
        return _corners(self.worth)

    def stages(self, j: int, t: int) -> tuple[Held, ...]:
        """Return the stage that is worth as much as can be in some memory and time."""
        worth = self.worth[j, t]
        if not worth:
            return ()
        arc = self._arcs[np.flatnonzero((self._gain == worth) & (self._memory <= j) & (self._time <= t))[0]]
        first, last = self._relaxed.pairs
        return ((self._model, int(first[arc]), int(last[arc])),)


class _Joined:
    """What stages of two groups of models are worth together: a max-plus convolution."""

    def __init__(self, one: _Part | _Joined, other: _Part | _Joined) -> None:
        self._one, self._other = one, other
        self._rises = _corners(other.worth)
        self.worth: Worths = np.maximum(one.worth, other.worth)
        memory, time, worth = _corners(one.worth)
        rows = max(1, _MOST_PAIRS // max(1, len(worth)))
        for first in range(0, len(self._rises[0]), rows):
            j, t, more = (part[first : first + rows, None] for part in self._rises)
            together, later = memory + j, time + t
            inside = (together < self.worth.shape[0]) & (later < self.worth.shape[1])
            np.maximum.at(self.worth, (together[inside], later[inside]), (worth + more)[inside])
        _rise(self.worth)

    def stages(self, j: int, t: int) -> tuple[Held, ...]:
        """Return the stages that are worth as much as can be in some memory and time."""
        worth = self.worth[j, t]
        if self._one.worth[j, t] == worth:
            return self._one.stages(j, t)
        memory, time, gain = self._rises
        near = np.flatnonzero((memory <= j) & (time <= t))
        equal = self._one.worth[j - memory[near], t - time[near]] + gain[near] == worth
        at = near[np.flatnonzero(equal)[0]]
        jj, tt = int(memory[at]), int(time[at])
        return (*self._one.stages(j - jj, t - tt), *self._other.stages(jj, tt))


class _Nothing:
    """No model at all."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.worth: Worths = np.zeros(shape, dtype=np.int64)

    def stages(self, j: int, t: int) -> tuple[Held, ...]:
        """Return no stage."""
        return ()


def _joined(parts: Sequence[_Part], shape: tuple[int, int]) -> _Part | _Joined | _Nothing:
    found: _Part | _Joined | _Nothing = _Nothing(shape)
    for part in parts:
        found = part if isinstance(found, _Nothing) else _Joined(part, found)
    return found


def _rise(worth: Worths) -> None:
    """Let more memory or time never be worth less."""
    np.maximum.accumulate(worth, axis=0, out=worth)
    np.maximum.accumulate(worth, axis=1, out=worth)


def _corners(worth: Worths) -> tuple[Ints, Ints, Ints]:
    below, left = np.zeros_like(worth), np.zeros_like(worth)
    below[1:], left[:, 1:] = worth[:-1], worth[:, :-1]
    memory, time = np.nonzero(worth > np.maximum(below, left))
    return memory, time, worth[memory, time]
