"""Lower bounds that need no search, and the windows of stages that they leave each group under an upper bound.

A set of groups that m stages hold does all its work there: what the accelerators compute, what streams because m
memories do not hold all weights, less what the CPU cores can take over at best (a fractional knapsack).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import OpCost
from segsolve.solvers.ladder.dag import Dag

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The first and the last stage that each group can be in, of `stages` in all; accelerators and cores together."""

    stages: int
    earliest: tuple[int, ...]
    latest: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether some group can be nowhere: then no plan keeps the upper bound."""
        return any(a > b for a, b in zip(self.earliest, self.latest, strict=True))


class Bounds:
    """The bounds of one DAG on at most so many accelerators beside its problem's cores."""

    def __init__(self, dag: Dag, tpus: int) -> None:
        self._dag, self._tpus = dag, tpus
        self.stages = tpus + dag.problem.cpus
        self._accelerated = np.array(dag.accelerated, dtype=np.bool_)
        self._compute = np.where(self._accelerated, np.array(dag.compute_ns, dtype=np.int64), 0)
        self._cpu = np.array([time or 0 for time in dag.cpu_ns], dtype=np.int64)
        self._weights = np.array(dag.weight_bytes, dtype=np.int64)
        self._onto_cpu = _knapsack(
            (g, int(self._compute[g]), int(self._cpu[g]))
            for g in range(len(dag))
            if dag.cpu_ns[g] is not None and self._compute[g]
        )
        extra = [(dag.group_of[i], op.streamed_ns - op.compute_ns, op.weight_bytes) for i, op in _cacheable(dag)]
        self._cached = _knapsack(extra)
        self._stream = np.zeros(len(dag), dtype=np.int64)
        for group, ns, _ in extra:
            self._stream[group] += ns

    def windows(self, upper_bound_ns: int) -> Windows:
        """Return where groups can be in plans of a bottleneck of at most the bound."""
        count, last = len(self._dag), self.stages - 1
        if self._dag.problem.measured:
            return Windows(stages=self.stages, earliest=(0,) * count, latest=(last,) * count)
        if self.least_stages(np.ones(count, dtype=np.bool_), upper_bound_ns) > self.stages:
            return Windows(stages=self.stages, earliest=(self.stages,) * count, latest=(-1,) * count)
        before = (self.least_stages(row, upper_bound_ns) for row in _matrix(self._dag.ancestors))
        after = (self.least_stages(row, upper_bound_ns) for row in _matrix(self._dag.descendants))
        return Windows(
            stages=self.stages,
            earliest=tuple(stages - 1 for stages in before),
            latest=tuple(self.stages - stages for stages in after),
        )

    def lower_bound(self) -> int:
        """Return a bound on the bottleneck in ns: the dearest group alone, or all work spread evenly."""
        dag = self._dag
        if dag.problem.measured:
            return 0
        everything = np.ones(len(dag), dtype=np.bool_)
        low = self._dearest()
        high = low + int(self._compute.sum() + self._cpu.sum() + self._stream.sum()) + dag.problem.overhead_ns
        while low < high:
            middle = (low + high) // 2
            if self.least_stages(everything, middle) > self.stages:
                low = middle + 1
            else:
                high = middle
        return low

    def least_stages(self, held: NDArray[np.bool_], bound_ns: int) -> int:
        """Return how many stages, cores included, sets of groups need; one more than there are if all are too few."""
        compute = int(self._compute[held].sum())
        only_cpu = int(self._cpu[held & ~self._accelerated].sum())
        best = self.stages + 1
        for cores in range(self._dag.problem.cpus + 1):
            budget = cores * bound_ns - only_cpu
            if budget >= 0:
                shifted = self._onto_cpu.most(held, budget) if cores else 0
                accelerators = self._least_accelerators(held, compute - shifted, bound_ns)
                if accelerators <= self._tpus:
                    best = min(best, max(1, cores + accelerators))
        return best

    def _least_accelerators(self, held: NDArray[np.bool_], compute: int, bound_ns: int) -> int:
        """Return how many accelerators `compute` ns and the memory need; one more than there are if all too few."""
        room = bound_ns - self._dag.problem.overhead_ns
        if compute and room <= 0:
            return self._tpus + 1
        count = -(-compute // room) if compute else 0
        while count <= self._tpus and not self._holds(held, count, count * room - compute):
            count += 1
        return count

    def _holds(self, held: NDArray[np.bool_], count: int, spare_ns: int) -> bool:
        """Whether the memories of `count` accelerators may hold the weights, or what is left over stream in time."""
        problem = self._dag.problem
        if self._dag.fits_anyway or problem.cpus:
            return True
        room = count * problem.capacity_bytes
        if problem.no_spill:
            return int(self._weights[held].sum()) <= room
        return int(self._stream[held].sum()) - self._cached.most(held, room) <= spare_ns

    def _dearest(self) -> int:
        """Return the ns of the group that is the dearest where it is cheapest."""
        dag, dearest = self._dag, 0
        for compute, cpu, accelerated in zip(dag.compute_ns, dag.cpu_ns, dag.accelerated, strict=True):
            choices = [compute + dag.problem.overhead_ns] if accelerated else []
            if dag.problem.cpus and cpu is not None:
                choices.append(cpu)
            dearest = max(dearest, min(choices, default=0))
        return dearest


def _cacheable(dag: Dag) -> Iterable[tuple[int, OpCost]]:
    return ((i, dag.problem.ops[i]) for i in dag.problem.cache_order)


@dataclass(frozen=True)
class _Knapsack:
    """Items of some groups, densest value first: how much value fits into a budget at most, fractions allowed."""

    group: Ints
    value: Ints
    size: Ints

    def most(self, held: NDArray[np.bool_], budget: int) -> int:
        """Return the value, rounded up, of the best items that belong to the held groups."""
        mine = held[self.group]
        value, size = self.value[mine], self.size[mine].cumsum()
        whole = int(np.searchsorted(size, budget, side="right"))
        total = int(value[:whole].sum())
        if whole < len(value):
            left = budget - (int(size[whole - 1]) if whole else 0)
            own = int(size[whole]) - (int(size[whole - 1]) if whole else 0)
            total += -(-int(value[whole]) * left // own)
        return total


def _knapsack(items: Iterable[tuple[int, int, int]]) -> _Knapsack:
    ordered = sorted(items, key=lambda item: (-item[1] / item[2] if item[2] else float("-inf"), item[0]))
    columns = np.array(ordered, dtype=np.int64).reshape(-1, 3).T
    return _Knapsack(group=columns[0], value=columns[1], size=columns[2])


def _matrix(sets: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bit sets as the rows of a matrix."""
    n = len(sets)
    raw = np.frombuffer(b"".join(bits.to_bytes((n + 7) // 8, "little") for bits in sets), dtype=np.uint8)
    return np.unpackbits(raw.reshape(n, -1), axis=1, count=n, bitorder="little").astype(np.bool_)
