"""What every stage of one model on one kind costs in every room: tables of its steps, for searches over arrays.

First fit decides layer by layer, and decides the same for all rooms between two bounds. A step is such an interval of
rooms: it begins at `low` bytes, which are then all taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.pool.arcs import Arcs

_ROOM_BITS = 34  # of a key: a room in bytes, below the number of its stage
LEVEL_BITS = 14  # of a room: steps are found by its level, and then one after the other
_MOST_ROOM = 2**_ROOM_BITS - 1


@dataclass(frozen=True, eq=False)
class Steps:
    """The stages [n] of a model on a kind that take `most_ns` at most with all weights on chip, and their steps."""

    arcs: Arcs
    most_ns: int

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """The first and the last state of each stage."""
        first, last = np.triu_indices(len(self.arcs), 1)
        possible = self.arcs.resident_ns[first, last] <= min(self.most_ns, IMPOSSIBLE - 1)
        return first[possible], last[possible]

    @cached_property
    def least_ns(self) -> Ints:
        """The time of each stage with all weights on chip."""
        return self.arcs.resident_ns[self.pairs]

    @cached_property
    def scratch(self) -> Ints:
        """The scratch memory of each stage, in bytes."""
        first, last = self.pairs
        needed = [self.arcs.scratch(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return np.array(needed, dtype=np.int64)

    def at(self, stages: Ints, rooms: Ints) -> tuple[Ints, Ints]:
        """Return the times of stages in rooms for their weights, and the bytes that they take of these."""
        keys, _, low, time, _, _ = self._table
        wanted = (stages << _ROOM_BITS) + rooms
        at = self.first[stages, np.minimum(rooms >> LEVEL_BITS, self.first.shape[1] - 1)]
        behind = np.flatnonzero(keys[at + 1] <= wanted)
        while len(behind):
            at[behind] += 1
            behind = behind[keys[at[behind] + 1] <= wanted[behind]]
        return time[at], low[at]

    @property
    def rows(self) -> Ints:
        """All steps [n + 1, 4]: the room from which on, the time, whether all weights are on chip, the stage."""
        _, stage, low, time, fits, _ = self._table
        rows = np.stack((low, time, fits, stage), axis=1)
        return np.concatenate((rows, [[0, IMPOSSIBLE, 0, -1]]))

    @cached_property
    def first(self) -> Ints:
        """The step [n, levels] that each stage takes in the smallest room of a level."""
        keys = self._table[0]
        levels = min(self.arcs.problem.capacity_bytes, _MOST_ROOM) // 2**LEVEL_BITS + 1
        firsts = (np.arange(len(self.pairs[0])) << _ROOM_BITS)[:, None] + (np.arange(levels) << LEVEL_BITS)
        return np.searchsorted(keys, firsts, "right") - 1

    def least_by_level(self, size: int, levels: int) -> Ints:
        """Return the least time [n, levels] of each stage in a room below a level's end; levels are `size` bytes."""
        _, stage, low, time, _, _ = self._table
        least = np.full((len(self.pairs[0]), levels), IMPOSSIBLE, dtype=np.int64)
        level = low // size
        inside = level < levels
        np.minimum.at(least, (stage[inside], level[inside]), time[inside])
        return np.minimum.accumulate(least, axis=1)

    @property
    def takes(self) -> tuple[Ints, Ints, Ints, Ints]:
        """All steps, stage after stage: the stage, the bytes that it takes of a room, its time, and what it moves."""
        _, stage, low, time, _, moved = self._table
        return stage, low, time, moved

    @cached_property
    def _table(self) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
        """Keys (stage and low; one more at the end); stage, low, time, whether all fits, bytes moved of all steps."""
        order, weights, costs, streamed = self.arcs.layers
        first, last = self.pairs
        members = self.arcs.states.members
        held = members[last][:, order].T & ~members[first][:, order].T
        most = min(self.arcs.problem.capacity_bytes, _MOST_ROOM)
        live, rooms = np.arange(len(first)), np.zeros(len(first), dtype=np.int64)
        stages: list[Ints] = []
        lows: list[Ints] = []
        times: list[Ints] = []
        all_fit: list[Ints] = []
        moves: list[Ints] = []
        while len(live) or not stages:  # once, if there is no stage at all
            check()
            used = np.zeros(len(live), dtype=np.int64)
            until = np.full(len(live), IMPOSSIBLE, dtype=np.int64)
            time, moved = self.least_ns[live].copy(), self.arcs.resident_bytes[first[live], last[live]]
            for own, weight, cost, nbytes in zip(
                held, *map(np.ndarray.tolist, (weights, costs, streamed)), strict=True
            ):
                with_it = used + weight
                fits = with_it <= rooms
                has = own[live]
                left = has & ~fits
                used = np.where(has & fits, with_it, used)
                until[left] = np.minimum(until[left], with_it[left])
                time[left] += cost
                moved[left] += nbytes
            if self.arcs.problem.no_spill:
                time[until < IMPOSSIBLE] = IMPOSSIBLE
            stages.append(live)
            lows.append(rooms)
            times.append(time)
            all_fit.append((until == IMPOSSIBLE).astype(np.int64))
            moves.append(moved)
            goes_on = until <= most
            live, rooms = live[goes_on], until[goes_on]
        by_key = np.lexsort((np.concatenate(lows), np.concatenate(stages)))
        parts = (stages, lows, times, all_fit, moves)
        stage, low, found, fit, moving = (np.concatenate(part)[by_key] for part in parts)
        keys = np.append((stage << _ROOM_BITS) + low, 2**62)
        return keys, stage, low, found, fit, moving
