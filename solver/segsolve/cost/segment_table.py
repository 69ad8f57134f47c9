"""The time of every stage that a chain can have, computed at once.

The evaluator prices one stage from the operations up; planners on a chain compare all of them. This is the same
cost in vector form; tests hold it against the evaluator for every pair of positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import Problem, Segmentation, Transfer

_ROWS = 32  # at a time, so that what is worked on stays in the cache of a core

IMPOSSIBLE = np.iinfo(np.int64).max // 4  # so that a sum of two does not overflow


@dataclass(frozen=True)
class SegmentTable:
    """Times of the stages between any two of a problem's m + 1 positions.

    Stages that compute longer than `limit_ns` are left out, as if they were impossible.
    """

    problem: Problem
    limit_ns: int | None = None

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The positions [m + 1]: 0, the legal cuts, and the number of operations."""
        return np.array([0, *self.problem.cuts, len(self.problem.ops)], dtype=np.int64)

    @cached_property
    def time(self) -> NDArray[np.int64]:
        """The time [m + 1, m + 1], in ns, of the stage from one position to another.

        `IMPOSSIBLE` where the second does not come after the first, or where the stage would spill and may not.
        """
        stream, spills = self._streaming()
        time = self.problem.overhead_ns + self._compute() + stream + self._transfers()
        self._put_measured(time)
        for begin, end in enumerate(self._ends):
            time[begin, end:] = IMPOSSIBLE
        if self.problem.no_spill:
            time[spills] = IMPOSSIBLE
        time[np.tril_indices(len(self.positions))] = IMPOSSIBLE
        return time

    @property
    def end(self) -> int:
        """Index of the last position, the end of the chain."""
        return len(self.positions) - 1

    @property
    def most_stages(self) -> int:
        """The largest number of stages that TPUs and positions allow."""
        return min(self.problem.tpus, self.end)

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Which operations [m + 1, n] lie before each position."""
        return np.asarray(np.arange(len(self.problem.ops))[None, :] < self.positions[:, None], dtype=np.bool_)

    @cached_property
    def moved_bytes(self) -> NDArray[np.int64]:
        """The bytes [m + 1, m + 1] that a stage takes, hands out and streams per inference; 0 for what is no stage."""
        from segsolve.cost.lattice_table import LatticeTable

        return LatticeTable(self.problem, self.members).moved_bytes

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from position index `a` to `b`, ascending."""
        return tuple(range(int(self.positions[a]), int(self.positions[b])))

    def plan(self, path: tuple[int, ...]) -> Segmentation:
        """Return the plan whose stages end at the position indices `path`, the last being `end`."""
        return Segmentation(cuts=tuple(int(self.positions[b]) for b in path[:-1]))

    def path(self, plan: Segmentation) -> tuple[int, ...]:
        """Return the indices of the positions at which the stages of `plan` end."""
        return (*(int(i) for i in np.searchsorted(self.positions, plan.cuts)), self.end)

    def latency(self, path: tuple[int, ...]) -> int:
        """Return the time in ns of one inference through the stages that end at the position indices `path`."""
        return sum(int(self.time[a, b]) for a, b in pairwise((0, *path)))

    def _put_measured(self, time: NDArray[np.int64]) -> None:
        """Replace the times of the stages that were measured as a whole."""
        index = {int(position): i for i, position in enumerate(self.positions)}
        for stage in self.problem.measured:
            if stage.first in index and stage.end in index:
                time[index[stage.first], index[stage.end]] = stage.time_ns

    def _compute(self) -> NDArray[np.int64]:
        total = np.cumsum([0, *(op.compute_ns for op in self.problem.ops)], dtype=np.int64)[self.positions]
        return total[None, :] - total[:, None]

    def _streaming(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the time that streamed weights add to each stage, and which stages have weights that do not fit.

        Walks the layers in caching order once, for all stages that contain the layer together.
        """
        always = np.cumsum(
            [0, *(0 if op.cacheable else op.streamed_ns - op.compute_ns for op in self.problem.ops)], dtype=np.int64
        )[self.positions]
        added = always[None, :] - always[:, None]
        spills = np.zeros(added.shape, dtype=np.bool_)
        free = self._capacity()
        after = {i: int(np.searchsorted(self.positions, i, side="right")) for i in self.problem.cache_order}
        layers = [(self.problem.ops[i], after[i]) for i in self.problem.cache_order]
        for first in range(0, len(added), _ROWS):
            last = int(self._ends[min(first + _ROWS, len(added)) - 1])
            for op, end in layers:
                if first < end < last:
                    block = (slice(first, min(end, first + _ROWS)), slice(end, last))
                    fits = free[block] >= op.weight_bytes
                    free[block] -= fits * op.weight_bytes
                    if not fits.all():
                        np.logical_not(fits, out=fits)
                        added[block] += fits * (op.streamed_ns - op.compute_ns)
                        spills[block] |= fits
        return added, spills

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """For each position [m + 1] the first position up to which a stage from there computes beyond the limit."""
        if self.limit_ns is None:
            return np.full(len(self.positions), len(self.positions), dtype=np.int64)
        total = np.cumsum([0, *(op.compute_ns for op in self.problem.ops)], dtype=np.int64)[self.positions]
        return np.asarray(np.searchsorted(total, total + self.limit_ns, side="right"), dtype=np.int64)

    def _capacity(self) -> NDArray[np.int64]:
        """Return for every stage the bytes that its activations leave for weights."""
        scratch = np.array([op.scratch_bytes for op in self.problem.ops], dtype=np.int64)
        largest = np.zeros((len(self.positions), len(self.positions)), dtype=np.int64)
        blocks = np.maximum.reduceat(scratch, self.positions[:-1])
        for a in range(self.end):
            largest[a, a + 1 :] = np.maximum.accumulate(blocks[a:])
        for transfer in self.problem.large_inputs:
            for stages in self._taking(transfer):
                largest[stages] = np.maximum(largest[stages], transfer.scratch_bytes)
        return np.maximum(0, self.problem.capacity_bytes - largest)

    def _transfers(self) -> NDArray[np.int64]:
        time = np.zeros((len(self.positions), len(self.positions)), dtype=np.int64)
        for transfer in self.problem.transfers:
            if transfer.output_ns and transfer.producer >= 0:
                time[self._giving(transfer)] += transfer.output_ns
            if transfer.input_ns:
                for stages in self._taking(transfer):
                    time[stages] += transfer.input_ns
        return time

    def _containing(self, op: int) -> tuple[slice, slice]:
        """Return the block of stages that contain an operation."""
        after = int(np.searchsorted(self.positions, op, side="right"))
        return slice(0, after), slice(after, None)

    def _giving(self, transfer: Transfer) -> tuple[slice, slice]:
        """Return the block of stages that make a tensor and must hand it out."""
        begins, ends = self._containing(transfer.producer)
        if transfer.is_output:
            return begins, ends
        last = transfer.consumers[-1] if transfer.consumers else -1
        return begins, slice(ends.start, int(np.searchsorted(self.positions, last, side="right")))

    def _taking(self, transfer: Transfer) -> list[tuple[slice, slice]]:
        """Return the blocks of stages that begin after a tensor was made and contain a reader, each stage once."""
        blocks = []
        begin = int(np.searchsorted(self.positions, transfer.producer, side="right"))
        for consumer in transfer.consumers:
            after = int(np.searchsorted(self.positions, consumer, side="right"))
            blocks.append((slice(begin, after), slice(after, None)))
            begin = max(begin, after)
        return blocks
