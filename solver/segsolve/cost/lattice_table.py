"""The time of every stage between two ideals of a graph, computed at once; the chain's table for any DAG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.cost.states import ideals
from segsolve.problem import Problem, Transfer

# Rows and columns of a table, and which of the stages between them are meant.
Block = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | np.bool_]


@dataclass(frozen=True)
class LatticeTable:
    """Stages between the rows of `members` [n, operations], the ideals, parts before the whole.

    `twin` is the table of the same problem on another number of devices, whose times are the same.
    """

    problem: Problem
    members: NDArray[np.bool_]
    twin: LatticeTable | None = None

    @property
    def end(self) -> int:
        """Index of the ideal that holds every operation."""
        return len(self.members) - 1

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from ideal `a` to ideal `b`, ascending."""
        return tuple(int(i) for i in np.flatnonzero(self.members[b] & ~self.members[a]))

    @cached_property
    def time(self) -> NDArray[np.int64]:
        """The time [n, n], in ns, of the stage from one ideal to another.

        `IMPOSSIBLE` where the first is not part of the second, or where the stage would spill and may not.
        """
        if self.twin is not None:
            return self.twin.time
        ops = self.problem.ops
        stream, spills = self._streamed([op.streamed_ns - op.compute_ns for op in ops])
        time = self.problem.overhead_ns + self._sums([op.compute_ns for op in ops]) + stream
        for transfer in self.problem.transfers:
            _add(time, self._taking(transfer), transfer.input_ns)
            _add(time, self._giving(transfer), transfer.output_ns)
        self._put_measured(time)
        if self.problem.no_spill:
            time[spills] = IMPOSSIBLE
        time[~self.nested] = IMPOSSIBLE
        return time

    @cached_property
    def moved_bytes(self) -> NDArray[np.int64]:
        """The bytes [n, n] that a stage takes, hands out and streams per inference; 0 for what is no stage."""
        moved, _ = self._streamed([op.streamed_bytes for op in self.problem.ops])
        for transfer in self.problem.transfers:
            _add(moved, self._taking(transfer), transfer.nbytes)
            _add(moved, self._giving(transfer), transfer.nbytes)
        moved[~self.nested] = 0
        return moved

    @cached_property
    def nested(self) -> NDArray[np.bool_]:
        """Whether [n, n] one ideal is a proper part of another."""
        floats = self.members.astype(np.float32)
        sizes = self.members.sum(axis=1)
        common = floats @ floats.T
        return np.asarray((common == sizes[:, None]) & (sizes[:, None] < sizes[None, :]), dtype=np.bool_)

    def _sums(self, amounts: list[int]) -> NDArray[np.int64]:
        total = self.members @ np.array(amounts, dtype=np.int64)
        return np.asarray(total[None, :] - total[:, None], dtype=np.int64)

    def _taking(self, transfer: Transfer) -> Block:
        """Return the stages that begin after a tensor was made and hold a reader of it."""
        readers = self.members[:, list(transfer.consumers)].sum(axis=1)
        made = self.members[:, transfer.producer] if transfer.producer >= 0 else True
        rows = np.flatnonzero(made & (readers < len(transfer.consumers)))
        columns = np.flatnonzero(readers > 0)
        return rows, columns, readers[columns][None, :] > readers[rows][:, None]

    def _giving(self, transfer: Transfer) -> Block:
        """Return the stages that make a tensor which the host or an operation outside of the stage reads."""
        if transfer.producer < 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.True_
        made = self.members[:, transfer.producer]
        waits = ~self.members[:, list(transfer.consumers)].all(axis=1) | transfer.is_output
        return np.flatnonzero(~made), np.flatnonzero(made & waits), np.True_

    def _streamed(self, amounts: list[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the sum of `amounts` over the weights that each stage streams, and which stages spill."""
        ops = self.problem.ops
        always = [0 if op.cacheable or not op.weight_bytes else amounts[i] for i, op in enumerate(ops)]
        added, spills = self._sums(always), np.zeros(self.nested.shape, dtype=np.bool_)
        weights = self._sums([op.weight_bytes if op.cacheable else 0 for op in ops])
        crowded = self.nested & (weights > self._least_capacity)
        by_op = np.ascontiguousarray(self.members.T)
        for row in map(int, np.flatnonzero(crowded.any(axis=1))):
            columns = np.flatnonzero(crowded[row])
            free = self._capacity(row, columns)
            more, spill = np.zeros(len(columns), dtype=np.int64), np.zeros(len(columns), dtype=np.bool_)
            for i in self.problem.cache_order:
                if not self.members[row, i]:
                    inside = by_op[i, columns]
                    fits = free >= ops[i].weight_bytes
                    free -= (inside & fits) * ops[i].weight_bytes
                    streams = inside & ~fits
                    more += streams * amounts[i]
                    spill |= streams
            added[row, columns] += more
            spills[row, columns] = spill
        return added, spills

    def _capacity(self, row: int, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bytes that the activations of the stages from one ideal to others leave for weights."""
        scratch = np.array([op.scratch_bytes for op in self.problem.ops], dtype=np.int64) * ~self.members[row]
        largest = (scratch * self.members[columns]).max(axis=1)
        for transfer, readers in self._large_inputs:
            if transfer.producer < 0 or self.members[row, transfer.producer]:
                taken = readers[columns] > readers[row]
                largest = np.maximum(largest, taken * transfer.scratch_bytes)
        return np.asarray(np.maximum(0, self.problem.capacity_bytes - largest), dtype=np.int64)

    @cached_property
    def _large_inputs(self) -> list[tuple[Transfer, NDArray[np.int64]]]:
        """The tensors that matter to capacities, and how many of their readers each ideal [n] holds."""
        large = self.problem.large_inputs
        return [(t, self.members[:, list(t.consumers)].sum(axis=1)) for t in large]

    @property
    def _least_capacity(self) -> int:
        scratch = [op.scratch_bytes for op in self.problem.ops] + [t.scratch_bytes for t in self.problem.large_inputs]
        return max(0, self.problem.capacity_bytes - max(scratch))

    def _put_measured(self, time: NDArray[np.int64]) -> None:
        sizes = self.members.sum(axis=1)
        for stage in self.problem.measured:
            inside = self.members[:, stage.first : stage.end]
            grows = np.ix_(np.flatnonzero(~inside.any(axis=1)), np.flatnonzero(inside.all(axis=1)))
            exact = sizes[grows[1]] - sizes[grows[0]] == stage.end - stage.first
            time[grows] = np.where(exact, stage.time_ns, time[grows])


def _add(out: NDArray[np.int64], block: Block, amount: int) -> None:
    rows, columns, inside = block
    if amount and len(rows) and len(columns):
        out[np.ix_(rows, columns)] += inside * amount


def lattice_table(problem: Problem) -> LatticeTable | None:
    """Return the table of all stages that a problem's graph allows; None if its ideals are too many to list."""
    twin = _lattice_table(replace(problem, tpus=1))
    return None if twin is None else LatticeTable(problem, twin.members, twin)


@lru_cache(maxsize=2)
def _lattice_table(problem: Problem) -> LatticeTable | None:
    members = ideals(problem)
    return None if members is None else LatticeTable(problem, members)
