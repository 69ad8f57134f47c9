"""What the searches of shared TPUs know of one model on one kind: the stages between its states, and their prices.

A stage's price is a step function of the room that other residents leave for its weights: first fit decides layer by
layer, and decides the same for all rooms between two bounds. Steps are found when they are first asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Arrays, Ints
from segsolve.cost.stage import scratch_bytes, stage_score
from segsolve.cost.states import Ideals, Prefixes, prefixes
from segsolve.cost.table import IMPOSSIBLE, MOST_ROOM, StageTable
from segsolve.pool.model import OnKind
from segsolve.pool.steps import Steps
from segsolve.problem import Problem

_FREE = OnKind()


@dataclass(frozen=True, slots=True)
class Price:
    """A stage's time (ns), the weights that it keeps on chip, and all bytes that it moves.

    For rooms of `low` bytes or more, but less than `until`; `fits` says whether no cacheable weights are left out.
    """

    low: int
    until: int
    time_ns: int
    onchip_bytes: int
    moved_bytes: int
    fits: bool


@dataclass(frozen=True, eq=False)
class Arcs:
    """The stages of a problem between states, by the numbers of their first and last state."""

    problem: Problem
    states: Prefixes | Ideals
    kept: OnKind = _FREE
    _known: dict[tuple[int, int], tuple[list[int], list[Price]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.states)

    @property
    def end(self) -> int:
        """The last state: everything done."""
        return len(self.states) - 1

    def price(self, a: int, b: int, room_bytes: int) -> Price:
        """Return the price of the stage from state a to state b in a room for its weights."""
        lows, prices = self._known.setdefault((a, b), ([], []))
        at = bisect_right(lows, room_bytes) - 1
        if at >= 0 and room_bytes < prices[at].until:
            return prices[at]
        price = self._fit(a, b, room_bytes)
        at = bisect_right(lows, price.low)
        lows.insert(at, price.low)
        prices.insert(at, price)
        return price

    def scratch(self, a: int, b: int) -> int:
        """Return the memory that a stage's activations take."""
        found = int(self.scratches[a, b])
        if found < 0:
            found = self.scratches[a, b] = scratch_bytes(self.problem, self.states.ops(a, b))
        return found

    @cached_property
    def scratches(self) -> Ints:
        """The scratch memory [states, states] of stages as far as it is known; -1 else."""
        return np.full((len(self), len(self)), -1, dtype=np.int64)

    @cached_property
    def resident_ns(self) -> Ints:
        """The time [states, states] of a stage all of whose cacheable weights are on chip, or IMPOSSIBLE."""
        free = replace(self.problem, capacity_bytes=MOST_ROOM, measured=(), no_spill=False)
        time = self.kept.time(StageTable(free, self.states)).copy()
        for measured in self.problem.measured:
            for a, b in self._measured_at(measured.first, measured.end):
                score = stage_score(self.problem, range(measured.first, measured.end))
                time[a, b] += score.correction_ns
        return time

    @cached_property
    def resident_bytes(self) -> Ints:
        """What such a stage moves [states, states], in bytes."""
        free = replace(self.problem, capacity_bytes=MOST_ROOM, no_spill=False)
        return StageTable(free, self.states).moved_bytes

    @cached_property
    def layers(self) -> tuple[Ints, Ints, Ints, Ints]:
        """The layers with cacheable weights in caching order: operation, bytes on chip, ns and bytes if they stream."""
        order = np.array(self.problem.cache_order, dtype=np.int64)
        arrays = Arrays(self.problem)
        return order, arrays.weight_bytes[order], arrays.streaming_ns[order], arrays.streamed_bytes[order]

    def holds(self, a: int, b: int) -> NDArray[np.bool_]:
        """Return which of the `layers` a stage has."""
        ops, members = self.layers[0], self.states.members
        return np.asarray(members[b, ops] & ~members[a, ops])

    @cached_property
    def steps(self) -> Steps:
        """The prices of all stages in all rooms."""
        return Steps(self, IMPOSSIBLE - 1)

    def _measured_at(self, first: int, end: int) -> list[tuple[int, int]]:
        sizes = self.states.members.sum(axis=1)
        return [
            (a, b)
            for a in range(len(self))
            for b in range(a + 1, len(self))
            if sizes[b] - sizes[a] == end - first and self.states.ops(a, b) == tuple(range(first, end))
        ]

    @cached_property
    def _stage_layers(self) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
        return {}

    def _fit(self, a: int, b: int, room: int) -> Price:
        if (a, b) not in self._stage_layers:
            held = self.holds(a, b)
            _, weights, costs, streamed = self.layers
            self._stage_layers[a, b] = list(
                zip(weights[held].tolist(), costs[held].tolist(), streamed[held].tolist(), strict=True)
            )
        used, time, moved, low, until = 0, int(self.resident_ns[a, b]), int(self.resident_bytes[a, b]), 0, MOST_ROOM
        fits = True
        for weight, cost, nbytes in self._stage_layers[a, b]:
            if used + weight <= room:
                used += weight
                low = max(low, used)
            else:
                until = min(until, used + weight)
                time += cost
                moved += nbytes
                fits = False
        time = min(IMPOSSIBLE, time)
        return Price(low, until, time, used, moved, fits)


def arcs_of(problem: Problem, kept: OnKind = _FREE) -> Arcs:
    """Return the stages that the execution order of a problem can be cut into, but those that constraints forbid."""
    return Arcs(problem, prefixes(problem), kept)


@dataclass(frozen=True, eq=False)
class KeptTable(StageTable):
    """The prices of a model's stages, those that constraints forbid being impossible."""

    kept: OnKind = _FREE

    @cached_property
    def time(self) -> Ints:
        """The time [states, states] of each stage, or IMPOSSIBLE."""
        return self.kept.time(StageTable(self.problem, self.states))
