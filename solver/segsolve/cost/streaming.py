"""What streams where the weights of a stage do not all fit, for blocks of stages at once.

Stages that hold all their weights anyway are left out; for the others, layers are tried in caching order, each on all
stages that hold it together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Arrays, Flags, Ints
from segsolve.cost.states import Ideals, Prefixes
from segsolve.problem import Transfer

_TOGETHER = 2**12  # stages that do not hold all their weights, on which layers are tried together


class Streaming(Protocol):
    """Sums of `amounts` [n] over the cacheable weights that stages stream."""

    def block(self, first: int, end: int, columns: slice, stages: Flags) -> tuple[Ints, Flags]:
        """Return the sums [rows, columns] of the `stages` of a block, and which of them spill; 0 for the others."""
        ...


@dataclass(frozen=True, eq=False)
class PrefixStreaming:
    """On prefixes the stages that hold a layer are a rectangle."""

    arrays: Arrays
    states: Prefixes
    amounts: Ints

    def block(self, first: int, end: int, columns: slice, stages: Flags) -> tuple[Ints, Flags]:
        """Return the sums [rows, columns] of the `stages` of a block, and which of them spill; 0 for the others."""
        added, spills = np.zeros(stages.shape, dtype=np.int64), np.zeros(stages.shape, dtype=np.bool_)
        weights = self._weights[None, columns] - self._weights[first:end, None]
        if not (stages & (weights > self.arrays.least_capacity)).any():
            return added, spills
        free = self._capacity(first, end, columns)
        crowded = np.asarray((stages & (weights > free)).any(axis=0), dtype=np.bool_)
        if not crowded.any():
            return added, spills
        begin = columns.start + int(np.argmax(crowded))
        stop = columns.stop - int(np.argmax(crowded[::-1]))
        layers = self._layers[:, (first < self._layers[2]) & (self._layers[2] < stop)]
        for weight, amount, after in layers.T.tolist():
            here = (slice(0, min(after, end) - first), slice(max(after, begin) - columns.start, stop - columns.start))
            fits = free[here] >= weight
            if fits.all():
                free[here] -= weight
                continue
            free[here] -= fits * weight
            np.logical_not(fits, out=fits)
            added[here] += fits * amount
            spills[here] |= fits
        return added, spills

    def _capacity(self, first: int, end: int, columns: slice) -> Ints:
        """Return for each stage of a block the bytes that its activations leave for weights."""
        largest = np.zeros((end - first, columns.stop - columns.start), dtype=np.int64)
        for row in range(first, end):
            begin = max(row + 1, columns.start)
            reached = np.maximum.accumulate(self._scratch[row : columns.stop - 1])
            largest[row - first, begin - columns.start :] = reached[begin - row - 1 :]
        for scratch, begin, after in self._entering:
            rows = slice(max(begin - first, 0), max(min(after, end) - first, 0))
            here = (rows, slice(max(after - columns.start, 0), None))
            largest[here] = np.maximum(largest[here], scratch)
        return np.asarray(np.maximum(0, self.arrays.problem.capacity_bytes - largest), dtype=np.int64)

    @cached_property
    def _weights(self) -> Ints:
        return self.states.sums(self.arrays.weight_bytes)

    @cached_property
    def _layers(self) -> Ints:
        """The layers in caching order [3, layers]: bytes, amount, and the first state in which they are done."""
        order = np.array(self.arrays.problem.cache_order, dtype=np.int64)
        return np.stack((self.arrays.weight_bytes[order], self.amounts[order], self.states.after(order)))

    @cached_property
    def _scratch(self) -> Ints:
        """The largest scratch memory [states - 1] of the operations between each two neighbouring states."""
        scratch, order = self.arrays.scratch_bytes, self.states.order
        return np.maximum.reduceat(scratch if order is None else scratch[order], self.states.positions[:-1])

    @cached_property
    def _entering(self) -> list[tuple[int, int, int]]:
        """The large tensors: bytes, and of the stages that bring them in the rows from and to, and the first column."""
        found = []
        for t in self.arrays.problem.large_inputs:
            begin = int(self.states.after(np.array([t.producer]))[0])
            for after in sorted(self.states.after(np.array(t.consumers, dtype=np.int64)).tolist()):
                found.append((t.scratch_bytes, begin, after))
                begin = max(begin, after)
        return found


@dataclass(frozen=True, eq=False)
class IdealStreaming:
    """On ideals the stages of each row that do not hold all weights are gathered."""

    arrays: Arrays
    states: Ideals
    amounts: Ints

    def block(self, first: int, end: int, columns: slice, stages: Flags) -> tuple[Ints, Flags]:
        """Return the sums [rows, columns] of the `stages` of a block, and which of them spill; 0 for the others."""
        added, spills = np.zeros(stages.shape, dtype=np.int64), np.zeros(stages.shape, dtype=np.bool_)
        weights = self._weights[None, columns] - self._weights[first:end, None]
        crowded = stages & (weights > self.arrays.least_capacity)
        short, count = list[tuple[Ints, Ints, Ints]](), 0
        for row in np.flatnonzero(crowded.any(axis=1)).tolist():
            chosen = np.flatnonzero(crowded[row])
            free = self._capacity(first + row, chosen + columns.start)
            which = np.flatnonzero(weights[row, chosen] > free)
            short.append((np.full(len(which), row), chosen[which], free[which]))
            count += len(which)
            if count >= _TOGETHER:
                self._fill_all(first, columns.start, short, added, spills)
                short, count = [], 0
        if count:
            self._fill_all(first, columns.start, short, added, spills)
        return added, spills

    def _fill_all(
        self, first: int, start: int, short: list[tuple[Ints, Ints, Ints]], added: Ints, spills: Flags
    ) -> None:
        rows, chosen, free = (np.concatenate(part) for part in zip(*short, strict=True))
        added[rows, chosen], spills[rows, chosen] = self._fill(first + rows, start + chosen, free)

    def _fill(self, begins: Ints, ends: Ints, free: Ints) -> tuple[Ints, Flags]:
        """Return the sums of stages from states to others that do not hold all their weights, and which spill."""
        held = np.ascontiguousarray((self._layers[ends] & ~self._layers[begins]).T)
        added, spills = np.zeros(len(ends), dtype=np.int64), np.zeros(len(ends), dtype=np.bool_)
        for k in np.flatnonzero(held.any(axis=1)).tolist():
            weight, amount = self._weight_and_amount[k]
            fits = held[k] & (free >= weight)
            free -= fits * weight
            streams = held[k] ^ fits
            added += streams * amount
            spills |= streams
        return added, spills

    def _capacity(self, row: int, columns: Ints) -> Ints:
        """Return for the stages from a state to others the bytes that their activations leave for weights."""
        scratch = np.where(self.states.members[row], 0, self.arrays.scratch_bytes)
        largest = np.zeros(len(columns), dtype=np.int64)
        open_ = np.arange(len(columns))
        for op in np.argsort(-scratch, kind="stable").tolist():  # the largest that a stage holds decides
            if not scratch[op] or not len(open_):
                break
            inside = self._by_operation[op, columns[open_]]
            largest[open_[inside]] = scratch[op]
            open_ = open_[~inside]
        for t, readers in self._entering:
            if t.producer < 0 or self.states.members[row, t.producer]:
                largest = np.maximum(largest, (readers[columns] > readers[row]) * t.scratch_bytes)
        return np.asarray(np.maximum(0, self.arrays.problem.capacity_bytes - largest), dtype=np.int64)

    @cached_property
    def _weights(self) -> Ints:
        return self.states.sums(self.arrays.weight_bytes)

    @cached_property
    def _layers(self) -> NDArray[np.bool_]:
        """The layers that each state holds [states, layers], in caching order."""
        return np.ascontiguousarray(self.states.members[:, list(self.arrays.problem.cache_order)])

    @cached_property
    def _weight_and_amount(self) -> list[tuple[int, int]]:
        order = list(self.arrays.problem.cache_order)
        return list(zip(self.arrays.weight_bytes[order].tolist(), self.amounts[order].tolist(), strict=True))

    @cached_property
    def _by_operation(self) -> NDArray[np.bool_]:
        return np.ascontiguousarray(self.states.members.T)

    @cached_property
    def _entering(self) -> list[tuple[Transfer, Ints]]:
        """The large tensors, and how many of their readers each state [states] holds."""
        large = self.arrays.problem.large_inputs
        return [(t, self.states.members[:, list(t.consumers)].sum(axis=1, dtype=np.int64)) for t in large]
