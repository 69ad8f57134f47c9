"""What every stage of one model on one kind costs in every room: tables of its steps, for searches over arrays.

First fit decides layer by layer, and decides the same for all rooms between two bounds. A step is such an interval of
rooms: it begins at `low` bytes, which are then all taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.jit import compiled
from segsolve.pool.rooms import Bools

if TYPE_CHECKING:
    from segsolve.pool.arcs import Arcs

_ROOM_BITS = 34  # of a key: a room in bytes, below the number of its stage
LEVEL_BITS = 14  # of a room: steps are found by its level, and then one after the other
_MOST_ROOM = 2**_ROOM_BITS - 1


@dataclass(frozen=True, eq=False)
class Steps:
    """The stages [n] of a model on a kind that take `most_ns` at most with all weights on chip, and their steps.

    Where those `of` more stages are known, they are taken from there.
    """

    arcs: Arcs
    most_ns: int
    of: Steps | None = None

    def within(self, most_ns: int) -> Steps:
        """Return those of the stages that take so much at most."""
        return Steps(self.arcs, most_ns, self)

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

    @property
    def begins(self) -> Ints:
        """Where each stage's steps begin [n + 1] among all."""
        return np.searchsorted(self._table[1], np.arange(len(self.scratch) + 1))

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
        check()
        if self.of is not None:
            _, stage, *rest = self.of._table
            is_kept = self.of.least_ns <= self.most_ns
            kept = is_kept[stage]
            stage, low, time, fits, moved = (np.cumsum(is_kept) - 1)[stage[kept]], *(each[kept] for each in rest)
            return np.append((stage << _ROOM_BITS) + low, 2**62), stage, low, time, fits, moved
        order, weights, costs, streamed = self.arcs.layers
        first, last = self.pairs
        most = min(self.arcs.problem.capacity_bytes, _MOST_ROOM)
        members = np.ascontiguousarray(self.arcs.states.members[:, order])
        resident = self.least_ns, self.arcs.resident_bytes[first, last]
        stage, low, time, fits, moved = _fitted(first, last, members, weights, costs, streamed, *resident, most)
        if self.arcs.problem.no_spill:
            time[fits == 0] = IMPOSSIBLE
        return np.append((stage << _ROOM_BITS) + low, 2**62), stage, low, time, fits, moved


@compiled()
def _fitted(
    first: Ints,
    last: Ints,
    members: Bools,
    weights: Ints,
    costs: Ints,
    streamed: Ints,
    least: Ints,
    moving: Ints,
    most: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Return all steps of stages in rooms of `most` bytes or less: stage, low, time, whether all fits, bytes moved.

    `members` [states, layers] says which layers are done in a state, in caching order; `weights`, `costs`, `streamed`
    are their bytes on chip, and their ns and bytes if they stream; `least` and `moving` [stages] the time and the bytes
    with all weights on chip.
    """
    size, count = 4 * len(first) + 16, 0
    found = np.empty((5, size), dtype=np.int64)
    own = np.empty(len(weights), dtype=np.int64)
    for stage in range(len(first)):
        layers = 0
        for i in range(len(weights)):
            if members[last[stage], i] and not members[first[stage], i]:
                own[layers] = i
                layers += 1
        room = 0
        while room <= most:
            used, until, time, moved = 0, IMPOSSIBLE, least[stage], moving[stage]
            for i in own[:layers]:
                with_it = used + weights[i]
                if with_it <= room:
                    used = with_it
                else:
                    until = min(until, with_it)
                    time += costs[i]
                    moved += streamed[i]
            if count == size:
                larger = np.empty((5, 2 * size), dtype=np.int64)
                larger[:, :size] = found
                found, size = larger, 2 * size
            found[0, count], found[1, count], found[2, count] = stage, room, time
            found[3, count], found[4, count] = until == IMPOSSIBLE, moved
            count += 1
            room = until
    kept = found[:, :count].copy()
    return kept[0], kept[1], kept[2], kept[3], kept[4]
