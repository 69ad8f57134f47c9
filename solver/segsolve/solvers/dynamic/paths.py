"""Dynamic programs over states and devices: the exact answers for one pipeline of at most so many devices.

A stage of time T on r devices takes ceil(T / r) per inference, its share. A stage's number matters only where it is
pinned or the number of stages is limited; then the programs carry it along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check

Times = NDArray[np.int64]
Arc = tuple[int, int, int]  # state before, state after, devices
_Rows = list[Times]  # by number of devices
_Value = Callable[[Times, Times], Callable[[int], Times]]
"""What stages of some times and costs are worth, by their number of devices."""
_BLOCK = 2**18  # stages that are looked at together: what is made of them takes this much per number of devices


@dataclass(frozen=True, eq=False)
class Paths:
    """Pipelines through the stages of `time` [n, n], of at most `most` devices.

    `allowed_at(k)` says which stages [n, n] may be stage k, None for all of them. Without `replicate` every stage is
    one device. `cost` [n, n] is what a path adds up, in place of its time.
    """

    time: Times
    most: int
    replicate: bool = True
    max_stages: int | None = None
    allowed_at: Callable[[int], NDArray[np.bool_] | None] | None = None
    cost: Times | None = None

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """The smallest bottleneck in ns of at most k devices, k = 0..most; `IMPOSSIBLE` where there is no pipeline."""
        return _smallest(self._to_end(_share, np.maximum)[0])

    def bottlenecks_by_stages(self) -> list[tuple[int, ...]]:
        """Return the same for at most 1, 2, ... stages, as many as better it; where only their number may matter."""
        assert self.allowed_at is None
        found: list[tuple[int, ...]] = []
        for most in (self.most_stages // 2, self.most_stages):  # half as many are often enough
            if not found or found[-1] != self.bottlenecks:
                layers = replace(self, max_stages=most)._to_end(_share, np.maximum)
                found = [_smallest(rows) for rows in layers[-2::-1]]
        return found

    def best(self, devices: int, bound_ns: int) -> tuple[Arc, ...] | None:
        """Return the preferred pipeline of at most so many devices, no share above `bound_ns`; None if there is none.

        The smallest cost, which is the latency if no other is given, then the fewest devices, then the earliest cuts;
        each stage has as few replicas as keep the bound. It is unique.
        """
        return self._followed(self.least_costs(bound_ns), 0, devices, bound_ns)

    def trades_by_stages(self, load_ns: Callable[[int], int]) -> Iterator[tuple[Arc, ...]]:
        """Yield a pipeline for each undominated devices, stages, bottleneck and cost, where numbers alone matter.

        So many stages take `load_ns` of what is shared, so that a bottleneck below that is as good as that. The
        bottleneck is lowered bit by bit; one program finds the cheapest for all devices and stages together.
        """
        assert self.allowed_at is None
        paths, bound = replace(self, max_stages=self.most_stages), IMPOSSIBLE - 1
        while True:
            layers = paths.least_costs(bound)
            best: dict[tuple[int, int], tuple[int, tuple[Arc, ...]]] = {}
            for stages, devices in product(range(1, paths.most_stages + 1), range(1, self.most + 1)):
                first = paths.most_stages - stages
                cost = min(int(row[0]) for row in layers[first][: devices + 1])
                near = [best[at] for at in ((devices, stages - 1), (devices - 1, stages)) if at in best]
                same = next((one for one in near if one[0] == cost), None)
                if same is None and (arcs := paths._followed(layers, first, devices, bound)) is not None:
                    yield arcs
                    same = cost, arcs
                if same is not None:
                    best[devices, stages] = same
            slowest = ((self.bottleneck(arcs), load_ns(len(arcs))) for arcs in {arcs for _, arcs in best.values()})
            bound = max((ns for ns, load in slowest if ns > load), default=0) - 1
            if bound < 0:
                return

    def bottleneck(self, arcs: Iterable[Arc]) -> int:
        """Return the largest share of a pipeline's stages."""
        return max(-(-int(self.time[a, b]) // r) for a, b, r in arcs)

    def _followed(self, layers: list[_Rows], layer: int, devices: int, bound_ns: int) -> tuple[Arc, ...] | None:
        """Return the path that begins with a stage of some number; None if there is none."""
        left = int(np.argmin([int(row[0]) for row in layers[layer][: devices + 1]]))
        if layers[layer][left][0] >= IMPOSSIBLE:
            return None
        path: list[Arc] = []
        here, end = 0, len(self.time) - 1
        while here != end:
            there, r = self._step(layers, layer, left, here, bound_ns)
            path.append((here, there, r))
            here, left = there, left - r
            layer += self.is_layered
        return tuple(path)

    def fewest_devices(self, bound_ns: int) -> _Rows:
        """Return for each stage number the fewest devices [n] from each state to the end, no share above `bound_ns`.

        One entry stands for all stage numbers where they do not matter. Numbers above `most` mean that it takes more.
        """
        layers = [np.full(len(self.time), self.most + 1, dtype=np.int64) for _ in self._numbers]
        for row in layers:
            row[-1] = 0
        masks = self._allowed
        for first in self._blocks:
            check()
            block = (slice(first, first + self._block), slice(first, None))
            need = np.minimum(self.need_of(self.time[block], bound_ns), self.most + 1).astype(np.int32)
            if not self.is_layered:
                for state in range(min(first + self._block, len(self.time) - 1) - 1, first - 1, -1):
                    layers[0][state] = (need[state - first] + layers[0][first:]).min()
            for layer in range(len(layers) - 2, -1, -1):
                allowed = masks[layer]
                here = need if allowed is None else np.where(allowed[block], need, self.most + 1)
                row = (here + layers[layer + 1][first:].astype(np.int32)).min(axis=1)
                np.minimum(layers[layer][block[0]], row, out=layers[layer][block[0]])
        return [np.minimum(row, self.most + 1) for row in layers]

    def least_costs(self, bound_ns: int) -> list[_Rows]:
        """Return for each stage number the least cost [n] to the end with exactly 0..most devices, within a bound."""
        return _least_costs(self, bound_ns)

    def _step(self, layers: list[_Rows], layer: int, left: int, here: int, bound_ns: int) -> tuple[int, int]:
        """Return the first state that a least path goes to next, and with how many devices."""
        after = layers[min(layer + 1, len(layers) - 1)]
        allowed = self.allowed_at(layer) if self.allowed_at else None
        costs, need = self._costs[here], self.need_of(self.time[here], bound_ns)
        for there in map(int, np.flatnonzero(self.time[here] < IMPOSSIBLE)):
            r = int(need[there])
            fits = r <= left and (allowed is None or allowed[here, there])
            if fits and costs[there] + after[left - r][there] == layers[layer][left][here]:
                return there, r
        raise AssertionError("a least path has a next stage")

    @property
    def is_layered(self) -> bool:
        """Whether the number of a stage matters."""
        return self.allowed_at is not None or self.max_stages is not None

    @property
    def most_stages(self) -> int:
        """The most stages that a pipeline can have."""
        most = min(self.most, len(self.time) - 1)
        return most if self.max_stages is None else min(most, self.max_stages)

    @property
    def _numbers(self) -> range:
        """The numbers of the stage that begins, and of what comes after the last; one where they do not matter."""
        return range(self.most_stages + 1 if self.is_layered else 1)

    @property
    def _allowed(self) -> list[NDArray[np.bool_] | None]:
        """Which stages [n, n] may have each number, None for all."""
        return [self.allowed_at(number) if self.allowed_at else None for number in self._numbers]

    @property
    def _block(self) -> int:
        """How many states are looked at together."""
        return max(1, _BLOCK // len(self.time))

    @property
    def _blocks(self) -> range:
        """The first states of blocks, from the last to the first."""
        return range((len(self.time) - 1) // self._block * self._block, -1, -self._block)

    @property
    def _costs(self) -> Times:
        return self.time if self.cost is None else self.cost

    def need(self, bound_ns: int) -> NDArray[np.int64]:
        """Return the fewest devices that keep the bound, for every stage; too many where there is no stage."""
        check()
        return self.need_of(self.time, bound_ns)

    def need_of(self, times: Times, bound_ns: int) -> NDArray[np.int64]:
        """Return the fewest devices that keep the bound for stages of some times; too many where there is no stage."""
        shares = np.maximum(1, -(-times // max(1, bound_ns)))
        if bound_ns <= 0:
            shares = np.where(times <= bound_ns, 1, self.most + 1)  # no number of devices makes time vanish
        need = np.where(times < IMPOSSIBLE, shares, self.most + 1)
        return need if self.replicate else np.where(need > 1, self.most + 1, need)

    def _to_end(self, value: _Value, combine: np.ufunc) -> list[_Rows]:
        """Return for each stage number and number of devices the best value [n] of a path from each state to the end.

        One entry stands for all stage numbers where they do not matter. Stages lead to later states, so that blocks of
        states from the last to the first find what they need.
        """
        none = np.iinfo(kind := self._kind(combine)).max // 4
        layers = [_done(len(self.time), self.most, none, kind) for _ in self._numbers]
        steps = list(enumerate(pairwise(layers)))[::-1] if self.is_layered else [(0, (layers[0], layers[0]))]
        masks = self._allowed
        for first in self._blocks:
            block = (slice(first, first + self._block), slice(first, None))
            values = self._values(value, block, none, kind)
            for layer, (here, after) in steps:
                allowed = masks[layer]
                some = values if allowed is None else {r: np.where(allowed[block], v, none) for r, v in values.items()}
                for left in range(1, self.most + 1):
                    best = _improve(some, [row[first:] for row in after[: left + 1]], left, combine, none)
                    if best is not None:
                        np.minimum(here[left][block[0]], best, out=here[left][block[0]])
        return [[np.where(row < none, row.astype(np.int64), IMPOSSIBLE) for row in rows] for rows in layers]

    def _kind(self, combine: np.ufunc) -> type[np.signedinteger[Any]]:
        """Return the smallest integers that hold what a path is worth, up to a quarter of what they can: they are as
        many times faster as they are smaller."""
        possible = self.time < IMPOSSIBLE
        amount = int(np.max(self.time if combine is np.maximum else self._costs, where=possible, initial=0))
        most = amount if combine is np.maximum else amount * self.most
        return np.int32 if most < np.iinfo(np.int32).max // 4 else np.int64

    def _values(
        self, value: _Value, block: tuple[slice, slice], none: int, kind: type[np.signedinteger[Any]]
    ) -> dict[int, NDArray[Any]]:
        """Return what a block of stages is worth by its number of devices; many a count no stage needs."""
        times, values = self.time[block], {}
        worth, possible = value(times, self._costs[block]), times < IMPOSSIBLE
        for r in range(1, self.most + 1 if self.replicate else 2):
            check()
            made = np.where(possible, worth(r), IMPOSSIBLE)
            if (made < IMPOSSIBLE).any():
                values[r] = np.minimum(made, none).astype(kind)
        return values


def _share(times: Times, _: Times) -> Callable[[int], Times]:
    return lambda devices: -(-times // devices)


def _smallest(rows: _Rows) -> tuple[int, ...]:
    """Return the smallest value from the start with at most 0, 1, ... devices."""
    smallest = np.minimum.accumulate([int(row[0]) for row in rows])
    return tuple(int(ns) if ns < IMPOSSIBLE else IMPOSSIBLE for ns in smallest)


@lru_cache(maxsize=4)
def _least_costs(paths: Paths, bound_ns: int) -> list[_Rows]:
    def value(times: Times, costs: Times) -> Callable[[int], Times]:
        need = paths.need_of(times, bound_ns)
        return lambda devices: np.where(need == devices, costs, IMPOSSIBLE)

    return paths._to_end(value, np.add)


def _done(states: int, most: int, none: int, kind: type[np.signedinteger[Any]]) -> list[NDArray[Any]]:
    """Return the values of having nothing left to do: 0 at the end without devices, else none."""
    rows = [np.full(states, none, dtype=kind) for _ in range(most + 1)]
    rows[0][-1] = 0
    return rows


def _improve(
    values: dict[int, NDArray[Any]], after: list[NDArray[Any]], left: int, combine: np.ufunc, none: int
) -> NDArray[Any] | None:
    best: NDArray[Any] | None = None
    for r, value in values.items():
        if r <= left:
            check()
            reachable = np.flatnonzero(after[left - r] < none)
            if len(reachable):
                is_most = len(reachable) * 2 > value.shape[1]
                sub, row = (value, after[left - r]) if is_most else (value[:, reachable], after[left - r][reachable])
                found = np.minimum(combine(sub, row[None, :]).min(axis=1), none)
                best = found if best is None else np.minimum(best, found)
    return best
