"""What the stages that begin at states cost, many at once; tests hold it against `costs`, stage by stage.

A stage from state a to state b holds the operations of b that a does not hold. What it reads from outside was made in
a, and what it makes is read beyond b or not, so that its tensors follow from what a and b hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.document import Problem
from segsolve.checker.states import States

FORBIDDEN = 2**61
"""A cost above all sums: the stage is not allowed."""

_BLOCK = 64  # rows whose supersets are found at once: threads of the linear algebra wait for each other less often

_TOGETHER = 4096  # stages that do not hold all their weights, which are tried on them layer by layer

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Row = tuple[int, Ints]
"""A state, and states where stages from it end."""


class Rows:
    """Costs of the stages from states to others."""

    def __init__(self, problem: Problem, states: States) -> None:
        self._problem, self._members = problem, states.members
        self._counts = states.members.sum(axis=1)
        self._floats = states.members.astype(np.float32)
        self._block = (-1, self._floats[:0])
        ops = problem.ops
        self._compute = self._sums(op.compute_ns for op in ops)
        uncached = [bool(op.weight_bytes) and not op.cacheable for op in ops]
        self._always_ns = self._sums((op.streamed_ns - op.compute_ns) * u for op, u in zip(ops, uncached, strict=True))
        self._always_bytes = self._sums(op.streamed_bytes * u for op, u in zip(ops, uncached, strict=True))
        self._link_bytes = self._sums(op.link_bytes for op in ops)
        self._weights = self._sums(op.weight_bytes * op.cacheable for op in ops)
        self._scratch = _array(op.scratch_bytes for op in ops)
        cacheable = (i for i, op in enumerate(ops) if op.cacheable and op.weight_bytes)
        order = sorted(cacheable, key=lambda i: (ops[i].cache_rank, i))
        self._layers = np.ascontiguousarray(states.members[:, order])  # [states, layers], in the order of caching
        self._layer_costs = [
            (ops[i].weight_bytes, ops[i].streamed_ns - ops[i].compute_ns, ops[i].streamed_bytes) for i in order
        ]
        self._set_tensors()
        self._set_measured()

    def above(self, row: int) -> Ints:
        """Return the states that hold more than state `row` does, and all of it: where stages from it can end."""
        first = row - row % _BLOCK
        if first != self._block[0]:
            self._block = (first, self._floats[first : first + _BLOCK] @ self._floats.T)
        inside = self._block[1][row - first] == self._counts[row]
        return np.flatnonzero(inside & (self._counts > self._counts[row]))

    def least_time(self, row: int, columns: Ints) -> Ints:
        """Return cheap lower bounds on the times of stages, in ns."""
        parts = self._compute[columns] - self._compute[row] + self._always_ns[columns] - self._always_ns[row]
        return self._measured(row, columns, parts + self._problem.overhead_ns)

    def times(self, rows: Iterable[Row]) -> Iterator[Ints]:
        """Yield the times of each row's stages in ns; `FORBIDDEN` for those that spill and may not."""
        for (row, columns), crowded in self._streamed(rows):
            parts = self._problem.overhead_ns + self._compute[columns] - self._compute[row] + crowded.ns
            parts += self._taken(row, columns, self._input_ns) + self._given(row, columns, self._output_ns)
            exact = self._measured(row, columns, parts)
            yield np.where(crowded.spills, FORBIDDEN, exact) if self._problem.no_spill else exact

    def moved_bytes(self, rows: Iterable[Row]) -> Iterator[Ints]:
        """Yield the bytes that each row's stages take of a shared link per inference."""
        for (row, columns), crowded in self._streamed(rows):
            border = self._taken(row, columns, self._nbytes) + self._given(row, columns, self._nbytes)
            yield crowded.nbytes + border + self._link_bytes[columns] - self._link_bytes[row]

    def _sums(self, amounts: Iterable[int]) -> Ints:
        return np.asarray(self._members @ _array(amounts), dtype=np.int64)

    def _set_tensors(self) -> None:
        tensors = self._problem.transfers
        self._nbytes = _array(t.nbytes for t in tensors)
        self._entering = _array(t.scratch_bytes for t in tensors)
        self._input_ns, self._output_ns = _array(t.input_ns for t in tensors), _array(t.output_ns for t in tensors)
        self._from_host = np.array([t.producer < 0 for t in tensors], dtype=np.bool_)
        makers = np.array([max(0, t.producer) for t in tensors], dtype=np.int64)
        self._made = self._members[:, makers] & ~self._from_host
        readers = [self._members[:, t.consumers].sum(axis=1, dtype=np.int32) for t in tensors]
        self._readers = np.stack(readers, axis=1) if readers else np.zeros((len(self._members), 0), dtype=np.int32)
        wanted = np.array([t.is_output for t in tensors], dtype=np.bool_)
        everyone = np.array([len(t.consumers) for t in tensors], dtype=np.int32)
        self._leaving = self._made & (wanted | (self._readers < everyone))
        self._waiting = (self._made | self._from_host) & (self._readers < everyone)
        self._all_leaving = {id(a): np.asarray(self._leaving @ a) for a in (self._output_ns, self._nbytes)}

    def _taken(self, row: int, columns: Ints, amounts: Ints) -> Ints:
        """Return the sum of amounts over the tensors that each stage takes."""
        tensors, taken = self._takes(row, columns)
        return np.asarray(taken @ amounts[tensors], dtype=np.int64)

    def _takes(self, row: int, columns: Ints) -> tuple[Ints, Flags]:
        """Return the tensors that are there in a state and wait for readers, and which of them each stage takes."""
        tensors = np.flatnonzero(self._waiting[row])
        return tensors, self._readers[np.ix_(columns, tensors)] > self._readers[row, tensors]

    def _given(self, row: int, columns: Ints, amounts: Ints) -> Ints:
        """Return the sum over the tensors that each stage hands out: those that leave its end, less older ones."""
        older = np.flatnonzero(self._leaving[row])
        passing = self._leaving[np.ix_(columns, older)] @ amounts[older]
        return np.asarray(self._all_leaving[id(amounts)][columns] - passing, dtype=np.int64)

    def _streamed(self, rows: Iterable[Row]) -> Iterator[tuple[Row, _Streamed]]:
        """Yield what streaming adds to each row's stages."""
        waiting: list[tuple[Row, _Streamed]] = []
        tight = 0
        for row, columns in rows:
            crowded = self._crowded(row, columns)
            waiting.append(((row, columns), crowded))
            tight += len(crowded.tight)
            if tight >= _TOGETHER or len(waiting) == _BLOCK:
                yield from self._filled(waiting)
                waiting, tight = [], 0
        yield from self._filled(waiting)

    def _crowded(self, row: int, columns: Ints) -> _Streamed:
        """Return what streams of each stage at all, and which stages have more weights than room."""
        largest = np.where(self._members[columns] & ~self._members[row], self._scratch, 0).max(axis=1, initial=0)
        if self._entering.any():
            tensors, taken = self._takes(row, columns)
            largest = np.maximum(largest, np.where(taken, self._entering[tensors], 0).max(axis=1, initial=0))
        room = np.maximum(0, self._problem.capacity_bytes - largest)
        tight = np.flatnonzero(self._weights[columns] - self._weights[row] > room)
        return _Streamed(
            ns=self._always_ns[columns] - self._always_ns[row],
            nbytes=self._always_bytes[columns] - self._always_bytes[row],
            spills=np.zeros(len(columns), dtype=np.bool_),
            tight=tight,
            room=room[tight],
        )

    def _filled(self, waiting: list[tuple[Row, _Streamed]]) -> list[tuple[Row, _Streamed]]:
        """Add what the weights that do not fit cost, of all stages at once."""
        if not any(len(each.tight) for _, each in waiting):
            return waiting
        begins = np.concatenate([np.full(len(each.tight), row) for (row, _), each in waiting])
        ends = np.concatenate([columns[each.tight] for (_, columns), each in waiting])
        found = self._overflow(begins, ends, np.concatenate([each.room for _, each in waiting]))
        last = 0
        for _, each in waiting:
            first, last = last, last + len(each.tight)
            ns, nbytes, spills = (part[first:last] for part in found)
            each.ns[each.tight] += ns
            each.nbytes[each.tight] += nbytes
            each.spills[each.tight] = spills
        return waiting

    def _overflow(self, begins: Ints, ends: Ints, room: Ints) -> tuple[Ints, Ints, Flags]:
        """Return what the weights that do not fit add; of stages whose weights are more than their room."""
        held = np.ascontiguousarray((self._layers[ends] & ~self._layers[begins]).T)
        ns, moved = np.zeros(len(ends), dtype=np.int64), np.zeros(len(ends), dtype=np.int64)
        spills = np.zeros(len(ends), dtype=np.bool_)
        for k in np.flatnonzero(held.any(axis=1)).tolist():
            stored, streaming_ns, streamed_bytes = self._layer_costs[k]
            fits = held[k] & (room >= stored)
            room -= fits * stored
            streams = held[k] ^ fits
            ns += streams * streaming_ns
            moved += streams * streamed_bytes
            spills |= streams
        return ns, moved, spills

    def _set_measured(self) -> None:
        found = self._problem.measured
        self._times = _array(m.time_ns for m in found)
        self._lengths = _array(m.end - m.first for m in found)
        inside = [self._members[:, m.first : m.end].sum(axis=1) for m in found]
        self._inside = np.stack(inside, axis=1) if inside else np.zeros((len(self._members), 0), dtype=np.int64)

    def _measured(self, row: int, columns: Ints, otherwise: Ints) -> Ints:
        """Return the times of stages with those in their place that were measured as a whole."""
        begins = np.flatnonzero(self._inside[row] == 0)
        if not len(begins):
            return otherwise
        result = otherwise.copy()
        sizes = self._counts[columns] - self._counts[row]
        exact = (self._inside[np.ix_(columns, begins)] == self._lengths[begins]) & (
            sizes[:, None] == self._lengths[begins]
        )
        which, stage = np.nonzero(exact)
        result[which] = self._times[begins[stage]]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streamed:
    """What streaming adds to stages, in ns and bytes, and which spill cacheable weights.

    `tight` are those whose weights are more than the `room` that their activations leave.
    """

    ns: Ints
    nbytes: Ints
    spills: Flags
    tight: Ints
    room: Ints


def _array(amounts: Iterable[int]) -> Ints:
    return np.array(list(amounts), dtype=np.int64)
