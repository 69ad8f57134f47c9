"""Better cuts of graphs whose ideals are too many to list: some of them at a time, near those of the best plan so far.

First the prefixes of some orders, which are ideals of any graph; then what lies around the cuts of the best plan, a
group of operations more or less at a time, for as long as the plan improves. Each time the search answers the question
over these ideals, whatever its objective and constraints are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count

import numpy as np

from segsolve.cost.states import Ideals
from segsolve.cost.table import StageTable
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.ladder.start import by_wish, depth_first
from segsolve.solvers.ladder.dag import dag_of

_STARTS, _ORDERS = 3, 2
_PATIENCE = 2
"""Looks in a row without a better plan, after which it is time for another start."""


def nearby(
    problem: Problem,
    known: Answer,
    look: Callable[[StageTable], Answer],
    *,
    few: int,
    many: int,
    seed: int,
    is_endless: bool,
) -> Iterator[Answer]:
    """Yield better and better answers than a known one; `look` gives the best plan over the stages of a table.

    From some starts plans are bettered among a `few` ideals at a time; then the best of them among more and more, up to
    `many`, until that does not help; then it ends, or starts anew. The known answer may have no plan. The answers
    repeat for a seed.
    """
    space, rng, best = _Space(problem), random.Random(seed), known
    for start in count(1):
        for found in _descent(space, look, few, few, rng, None):
            if _is_better(found, best):
                yield (best := found)
        if start % _STARTS == 0:
            for found in _descent(space, look, few, many, rng, best.plan):
                if _is_better(found, best):
                    yield (best := found)
            if not is_endless:
                return


def _descent(
    space: _Space, look: Callable[[StageTable], Answer], size: int, most: int, rng: random.Random, plan: Plan | None
) -> Iterator[Answer]:
    """Yield better and better answers, from those near a plan on, or from any order."""
    best: Answer | None = None
    idle = 0
    while idle < _PATIENCE:
        found = look(space.table(space.around(plan, size, rng) if plan else space.prefixes(size, rng)))
        if best is None or _is_better(found, best):
            best, idle = found, 0
            yield best
        else:
            idle += size >= most
            size = min(most, 2 * size)
        plan = best.plan


def _is_better(found: Answer, known: Answer) -> bool:
    return found.value is not None and (known.value is None or found.value < known.value)


class _Space:
    """Sets of the groups of a problem's DAG that hold what their members read from, as bits."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._dag = problem, dag_of(problem)
        self._all = (1 << len(self._dag)) - 1
        self._group = np.array([self._dag.group_of[op] for op in range(len(problem.ops))])

    def table(self, ideals: Iterable[int]) -> StageTable:
        """Return the stages between some ideals."""
        ordered = sorted(ideals, key=lambda ideal: (ideal.bit_count(), ideal))
        width = -(-len(self._dag) // 8)
        rows = np.frombuffer(b"".join(ideal.to_bytes(width, "little") for ideal in ordered), dtype=np.uint8)
        groups = np.unpackbits(rows.reshape(len(ordered), width), axis=1, bitorder="little").astype(np.bool_)
        return StageTable(self._problem, Ideals(groups[:, self._group]))

    def prefixes(self, most: int, rng: random.Random) -> set[int]:
        """Return the prefixes of the execution order and of some that follow one branch before the next, thinned."""
        depth, height = self._longest(self._dag.predecessors), self._longest(self._dag.successors, backwards=True)
        orders = [list(range(len(self._dag))), *(depth_first(self._dag, rng) for _ in range(_ORDERS))]
        orders += [by_wish(self._dag, wish) for wish in (depth, {g: -h for g, h in height.items()})]
        step = max(1, len(orders) * len(self._dag) // most)
        found = {0, self._all}
        for order in orders:
            done = 0
            for size, group in enumerate(order, start=1):
                done |= 1 << group
                if size % step == 0:
                    found.add(done)
        return found

    def around(self, plan: Plan, size: int, rng: random.Random) -> set[int]:
        """Return so many ideals near those between the stages of a plan, the nearest first."""
        cuts = self._cuts(plan)
        found = {0, self._all, *cuts}
        for number, cut in enumerate(cuts):
            share = max(1, (size - len(found)) // (len(cuts) - number))
            ring, mine = [cut], set[int]()
            while ring and len(mine) < share:
                reached = [near for ideal in ring for near in self._neighbours(ideal)]
                rng.shuffle(reached)
                ring = [near for near in dict.fromkeys(reached) if near not in found and near not in mine]
                mine.update(ring[: share - len(mine)])
            found |= mine
        return found

    def _longest(self, before: Sequence[Sequence[int]], *, backwards: bool = False) -> dict[int, float]:
        """Return the number of groups on the longest way to each."""
        longest: dict[int, float] = {}
        for group in sorted(range(len(before)), reverse=backwards):
            longest[group] = 1 + max((longest[other] for other in before[group]), default=0)
        return longest

    def _cuts(self, plan: Plan) -> list[int]:
        """Return the ideals between a plan's stages, once each."""
        cuts = dict[int, None]()
        for pipeline in plan.pipelines:
            done = 0
            for stage in pipeline.stages[:-1]:
                for op in stage.ops:
                    done |= 1 << self._dag.group_of[op]
                cuts[done] = None
        return list(cuts)

    def _neighbours(self, ideal: int) -> Iterator[int]:
        """Yield the ideals of a group more or less."""
        for group, (before, after) in enumerate(self._edges):
            bit = 1 << group
            if not ideal & bit and not before & ~ideal:
                yield ideal | bit
            elif ideal & bit and not after & ideal:
                yield ideal ^ bit

    @cached_property
    def _edges(self) -> list[tuple[int, int]]:
        """For each group those that it reads from, and those that read from it."""
        pairs = zip(self._dag.predecessors, self._dag.successors, strict=True)
        return [(sum(1 << g for g in before), sum(1 << g for g in after)) for before, after in pairs]
