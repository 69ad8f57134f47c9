"""The states between the stages of a pipeline: which operations are done when some stage ends.

An ideal is a set of operations that holds the makers of whatever its members read. The stages of a pipeline are the
differences of a growing sequence of ideals, so cutting a DAG is finding a path through their lattice. The prefixes of
an execution order are ideals of any graph, and all of them in a chain; a network of parallel branches has more, and a
wide irregular graph too many to list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsolve.deadline import check
from segsolve.problem import Problem

MOST_IDEALS = 3000  # a table of stages has this number squared entries of 8 bytes, 72 MB

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class States(Protocol):
    """States, ascending from nothing done to everything done."""

    @property
    def members(self) -> Flags:
        """Which operations [states, operations] are done in each state."""
        ...

    def __len__(self) -> int: ...

    def sums(self, amounts: Ints) -> Ints:
        """Return for each state [states] the sum of amounts [operations] over what is done."""
        ...

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from state `a` to state `b`, ascending."""
        ...


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The prefixes of an order of operations that end at some positions, ascending from 0 to all.

    `order` [n] are the operations, each after all that it reads from; without, as they are numbered.
    """

    positions: Ints
    order: Ints | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def members(self) -> Flags:
        """Which operations [states, n] are done in each state."""
        done = np.arange(self.positions[-1])[None, :] < self.positions[:, None]
        return np.asarray(done if self.order is None else done[:, self.rank(np.arange(len(self.order)))])

    def rank(self, ops: Ints) -> Ints:
        """Return the positions of operations in the order; of -1, the host, -1."""
        return ops if self.order is None else self._ranks[ops]

    @cached_property
    def _ranks(self) -> Ints:
        assert self.order is not None
        ranks = np.full(len(self.order) + 1, -1, dtype=np.int64)  # the last entry is that of -1
        ranks[self.order] = np.arange(len(self.order))
        return ranks

    def after(self, ops: Ints) -> Ints:
        """Return the first state in which each operation is done; of -1, the host, state 0."""
        return np.asarray(np.searchsorted(self.positions, self.rank(ops), side="right"), dtype=np.int64)

    def sums(self, amounts: Ints) -> Ints:
        """Return for each state [states] the sum of amounts [n] over what is done."""
        ordered = amounts if self.order is None else amounts[self.order]
        return np.concatenate(([0], np.cumsum(ordered, dtype=np.int64)))[self.positions]

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from state `a` to state `b`, ascending."""
        first, end = int(self.positions[a]), int(self.positions[b])
        return tuple(range(first, end)) if self.order is None else tuple(sorted(self.order[first:end].tolist()))


@dataclass(frozen=True, eq=False)
class Ideals:
    """Any ideals, as rows of `members` [states, n], parts before the whole."""

    members: Flags

    def __len__(self) -> int:
        return len(self.members)

    def sums(self, amounts: Ints) -> Ints:
        """Return for each state [states] the sum of amounts [n] over what is done."""
        return np.asarray(self.members @ amounts, dtype=np.int64)

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from state `a` to state `b`, ascending."""
        return tuple(np.flatnonzero(self.members[b] & ~self.members[a]).tolist())

    def within(self, first: int, end: int, columns: slice) -> Flags:
        """Return whether states from `first` to `end` (exclusive) are proper parts [rows, columns] of others."""
        outside = ~self._words[:, columns]
        inside = np.ones((end - first, outside.shape[1]), dtype=np.bool_)
        for rows, others in zip(self._words[:, first:end], outside, strict=True):
            inside &= rows[:, None] & others[None, :] == 0
        return inside & (self._sizes[first:end, None] < self._sizes[None, columns])

    @cached_property
    def _words(self) -> NDArray[np.uint64]:
        """What tells the states apart, 64 bits at a time [words, states]: one bit for what is always done together."""
        varying = self.members[:, self.members.any(axis=0) & ~self.members.all(axis=0)]
        packed = np.unique(np.packbits(varying, axis=0), axis=1)
        bits = np.unpackbits(packed, axis=0, count=len(self))
        padded = np.zeros((len(self), -(-bits.shape[1] // 64) * 64), dtype=np.uint8)
        padded[:, : bits.shape[1]] = bits
        return np.ascontiguousarray(np.packbits(padded, axis=1).view(np.uint64).T)

    @cached_property
    def _sizes(self) -> Ints:
        return np.asarray(self.members.sum(axis=1), dtype=np.int64)


def prefixes(problem: Problem) -> Prefixes:
    """Return the states between the stages that the execution order can be cut into."""
    return Prefixes(np.array([0, *problem.cuts, len(problem.ops)], dtype=np.int64))


def prefixes_of(groups: Sequence[Sequence[int]]) -> Prefixes:
    """Return the prefixes of an order of groups of operations, which stay together."""
    positions = np.cumsum([0, *map(len, groups)], dtype=np.int64)
    return Prefixes(positions, np.array([op for group in groups for op in group], dtype=np.int64))


def ideals(problem: Problem, most: int = MOST_IDEALS) -> Ideals | None:
    """Return the ideals of a problem's graph.

    None if there are more than `most`. Operations between two neighbouring legal cuts stay together. The order of
    ideals is unique.
    """
    starts = [0, *problem.cuts]
    needs = _needs(problem, starts)
    found = _grow(needs, most)
    if found is None:
        return None
    members = np.zeros((len(found), len(problem.ops)), dtype=np.bool_)
    ends = [*starts[1:], len(problem.ops)]
    for row, ideal in enumerate(found):
        for atom, (first, end) in enumerate(zip(starts, ends, strict=True)):
            members[row, first:end] = bool(ideal >> atom & 1)
    return Ideals(members)


def _needs(problem: Problem, starts: list[int]) -> list[int]:
    """Return for each atom, a run of operations that stay together, the atoms it reads from, as bits."""
    needs = [0] * len(starts)
    for transfer in problem.transfers:
        if transfer.producer >= 0:
            maker = bisect_right(starts, transfer.producer) - 1
            for consumer in transfer.consumers:
                reader = bisect_right(starts, consumer) - 1
                if reader != maker:
                    needs[reader] |= 1 << maker
    return needs


def _grow(needs: list[int], most: int) -> list[int] | None:
    """Return all ideals as bits, level by level of their size."""
    level, found = {0: 0}, [0]  # each ideal with the first atom that it does not hold
    for _ in needs:
        check()
        grown: dict[int, int] = {}
        for ideal, first in level.items():
            for atom in range(first, len(needs)):
                if not ideal >> atom & 1 and needs[atom] & ~ideal == 0:
                    bigger = ideal | 1 << atom
                    grown[bigger] = _first_missing(bigger, first)
        # The prefix of the execution order comes first among equals, so that plans prefer contiguous stages.
        level = dict(sorted(grown.items()))
        found += level
        if len(found) > most:
            return None
    return found


def _first_missing(ideal: int, start: int) -> int:
    while ideal >> start & 1:
        start += 1
    return start
