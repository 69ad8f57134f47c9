"""The prices of all stages between the states of a problem, computed at once.

The evaluator prices one stage from the operations up; planners compare all of them. This is the same cost in columns,
for prefixes of an order and for any ideals; tests hold it against the evaluator for every pair of states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from segsolve.cost.arrays import Arrays, Flags, Ints
from segsolve.cost.crossings import Crossings, IdealCrossings, PrefixCrossings
from segsolve.cost.states import Ideals, Prefixes, ideals, prefixes
from segsolve.cost.streaming import IdealStreaming, PrefixStreaming, Streaming
from segsolve.deadline import check
from segsolve.problem import MeasuredStage, Problem

IMPOSSIBLE = np.iinfo(np.int64).max // 4  # so that a sum of two does not overflow
MOST_ROOM = 2**59  # bytes on chip: whatever a problem has, all of it fits
_BLOCK = 2**16  # stages at a time, so that what is worked on stays in the cache of a core
_LEAST_ROWS = 16


@dataclass(frozen=True, eq=False)
class StageTable:
    """Stages lead from state 0, nothing done, through ascending states to state `end`, everything done.

    Stages that compute longer than `limit_ns` on an accelerator are left out, as if they were impossible. `twin` is the
    table of the same costs and states on another number of devices, whose times are the same; `costs` are the problem's
    columns, where they are already there.
    """

    problem: Problem
    states: Prefixes | Ideals
    limit_ns: int | None = None
    twin: StageTable | None = None
    costs: Arrays | None = None

    def __len__(self) -> int:
        return len(self.states)

    @property
    def end(self) -> int:
        """Index of the last state."""
        return len(self.states) - 1

    @property
    def most_stages(self) -> int:
        """The largest number of stages that TPUs and states allow."""
        return min(self.problem.tpus, self.end)

    @property
    def positions(self) -> Ints:
        """The positions [states] between the stages of the prefixes that the states are."""
        assert isinstance(self.states, Prefixes)
        return self.states.positions

    @property
    def members(self) -> Flags:
        """Which operations [states, n] are done in each state."""
        return self.states.members

    def holds(self, op: int) -> Flags:
        """Return which stages [states, states], from one state to another, hold an operation."""
        done = self.members[:, op]
        return np.asarray(~done[:, None] & done[None, :], dtype=np.bool_)

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from state `a` to state `b`, ascending."""
        return self.states.ops(a, b)

    @cached_property
    def time(self) -> Ints:
        """The time [states, states], in ns, of the stage from one state to another on an accelerator.

        `IMPOSSIBLE` where the first is not part of the second, where the stage would spill and may not, and where no
        accelerator can run it.
        """
        if self.twin is not None:
            return self.twin.time
        time = np.empty((len(self), len(self)), dtype=np.int64)
        for first, end, columns in self._blocks():
            time[first:end] = IMPOSSIBLE
            time[first:end, columns] = self.times(first, end, columns)
        return time

    @cached_property
    def core_time(self) -> Ints:
        """The time [states, states], in ns, of the stage from one state to another on a core, or `IMPOSSIBLE`."""
        time = np.empty((len(self), len(self)), dtype=np.int64)
        for first, end, columns in self._blocks(limited=False):
            time[first:end] = IMPOSSIBLE
            time[first:end, columns] = self.core_times(first, end, columns)
        return time

    @cached_property
    def moved_bytes(self) -> Ints:
        """The bytes [states, states] that a stage takes of a shared link per inference; 0 for what is none."""
        moved = np.zeros((len(self), len(self)), dtype=np.int64)
        for first, end, columns in self._blocks(limited=False):
            stages = self.stages(first, end, columns)
            sums, _ = self._moved.sums(first, end, columns, stages)
            moved[first:end, columns] = np.where(stages, sums, 0)
        return moved

    def stages(self, first: int, end: int, columns: slice) -> Flags:
        """Return whether states from `first` to `end` (exclusive) are proper parts [rows, columns] of others."""
        if isinstance(self.states, Ideals):
            return self.states.within(first, end, columns)
        found = np.arange(columns.start, columns.stop)[None, :] > np.arange(first, end)[:, None]
        return np.asarray(found, dtype=np.bool_)

    def times(self, first: int, end: int, columns: slice) -> Ints:
        """Return the times [rows, columns] on an accelerator of the stages from states `first` to `end` (exclusive)."""
        stages = self.stages(first, end, columns)
        if self.limit_ns is not None:
            stages &= self._compute[None, columns] - self._compute[first:end, None] <= self.limit_ns
        time, spills = self._time.sums(first, end, columns, stages)
        time += self.problem.overhead_ns
        self._put_measured(time, first, end, columns)
        possible = stages & (self._needs_core[None, columns] == self._needs_core[first:end, None])
        if self.problem.no_spill:
            possible &= ~spills
        time[~possible] = IMPOSSIBLE
        return time

    def worth_pricing(self, first: int, end: int, columns: slice, bound_ns: int) -> slice:
        """Return the columns between which all stages are that what their operations take alone keeps in a bound."""
        if self.problem.measured:
            return columns
        keeps = np.zeros(columns.stop - columns.start, dtype=np.bool_)
        for sums, fixed in ((self._time.own, self.problem.overhead_ns), (self._core, 0)):
            more = sums[columns] - sums[first:end].max(initial=0)
            keeps |= more + fixed <= bound_ns
        found = np.flatnonzero(keeps)
        if not len(found):
            return slice(columns.start, columns.start)
        return slice(columns.start + int(found[0]), columns.start + int(found[-1]) + 1)

    def core_times(self, first: int, end: int, columns: slice) -> Ints:
        """Return the times [rows, columns] on a core of the stages from states `first` to `end` (exclusive)."""
        time = self._core[None, columns] - self._core[first:end, None]
        possible = self._needs_accelerator[None, columns] == self._needs_accelerator[first:end, None]
        time[~(possible & self.stages(first, end, columns))] = IMPOSSIBLE
        return time

    @cached_property
    def arrays(self) -> Arrays:
        """The problem's costs in columns."""
        return self.costs or Arrays(self.problem)

    @cached_property
    def _time(self) -> _Prices:
        a = self.arrays
        return _prices(a, self.states, a.compute_ns, a.streaming_ns, a.input_ns, a.output_ns)

    @cached_property
    def _moved(self) -> _Prices:
        a = self.arrays
        return _prices(a, self.states, a.link_bytes, a.streamed_bytes, a.transfer_bytes, a.transfer_bytes)

    @cached_property
    def _compute(self) -> Ints:
        return self.states.sums(self.arrays.compute_ns)

    @cached_property
    def _core(self) -> Ints:
        return self.states.sums(self.arrays.core_ns)

    @cached_property
    def _needs_core(self) -> Ints:
        return self.states.sums(self.arrays.needs_core)

    @cached_property
    def _needs_accelerator(self) -> Ints:
        return self.states.sums(self.arrays.needs_accelerator)

    def _blocks(self, *, limited: bool = True) -> Iterator[tuple[int, int, slice]]:
        """Yield rows from and to (exclusive), and the columns in which all of their stages are."""
        count, first = len(self), 0
        while first < count:
            check()
            limit = self.limit_ns if limited else None
            end = min(count, first + max(_LEAST_ROWS, _BLOCK // (self._stop(first, limit) - first)))
            yield first, end, slice(min(first + 1, self.end), self._stop(end - 1, limit))
            first = end

    def _stop(self, row: int, limit: int | None) -> int:
        """Return the column behind the last in which a state's stages are."""
        if limit is None or isinstance(self.states, Ideals):
            return len(self)
        return max(row + 1, int(np.searchsorted(self._compute, self._compute[row] + limit, side="right")))

    def _put_measured(self, time: Ints, first: int, end: int, columns: slice) -> None:
        """Replace the times of the stages that were measured as a whole."""
        for begins, ends, sizes, ns in self._measured:
            rows = np.flatnonzero(begins[first:end])
            if len(rows):
                here = np.flatnonzero(ends[columns])
                exact = sizes[columns][here][None, :] == sizes[first:end][rows][:, None]
                block = time[np.ix_(rows, here)]
                time[np.ix_(rows, here)] = np.where(exact, ns, block)

    @cached_property
    def _measured(self) -> list[tuple[Flags, Flags, Ints, int]]:
        """For each measured stage where it can begin and end, what else than it is done in each state, and its time."""
        done = self.states.sums(np.ones(len(self.problem.ops), dtype=np.int64))
        return [self._where(stage, done) for stage in self.problem.measured]

    def _where(self, stage: MeasuredStage, done: Ints) -> tuple[Flags, Flags, Ints, int]:
        held = np.zeros(len(self.problem.ops), dtype=np.int64)
        held[stage.first : stage.end] = 1
        inside = self.states.sums(held)
        return inside == 0, inside == stage.end - stage.first, done - inside, stage.time_ns


@dataclass(frozen=True, eq=False)
class _Prices:
    """What stages add up to: amounts of their operations, of the tensors that cross their border, of what streams."""

    own: Ints
    crossings: Crossings
    streaming: Streaming

    def sums(self, first: int, end: int, columns: slice, stages: Flags) -> tuple[Ints, Flags]:
        """Return the sums [rows, columns] of the `stages` of a block, and which of them spill."""
        streamed, spills = self.streaming.block(first, end, columns, stages)
        own = self.own[None, columns] - self.own[first:end, None]
        return own + streamed + self.crossings.block(first, end, columns), spills


def _prices(
    arrays: Arrays, states: Prefixes | Ideals, own: Ints, streamed: Ints, inputs: Ints, outputs: Ints
) -> _Prices:
    sums = states.sums(own + np.where(arrays.always_streams, streamed, 0))
    if isinstance(states, Prefixes):
        return _Prices(
            sums, PrefixCrossings(arrays, states, inputs, outputs), PrefixStreaming(arrays, states, streamed)
        )
    return _Prices(sums, IdealCrossings(arrays, states, inputs, outputs), IdealStreaming(arrays, states, streamed))


def chain_table(problem: Problem, limit_ns: int | None = None) -> StageTable:
    """Return the table of all stages that the execution order can be cut into."""
    return StageTable(problem, prefixes(problem), limit_ns)


def lattice_table(problem: Problem) -> StageTable | None:
    """Return the table of all stages that a problem's graph allows; None if its ideals are too many to list."""
    twin = _lattice_table(replace(problem, tpus=1))
    return None if twin is None else StageTable(problem, twin.states, twin=twin)


@lru_cache(maxsize=2)
def _lattice_table(problem: Problem) -> StageTable | None:
    found = ideals(problem)
    return None if found is None else StageTable(problem, found)
