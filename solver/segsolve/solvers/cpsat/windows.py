"""Where each cut can lie at all, given the best bottleneck known: the program is built over these windows only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from segsolve.cost.segment_table import SegmentTable
from segsolve.solvers.probe import backward, forward

Arc = tuple[int, int, int]  # position index before, position index after, time in ns


@dataclass(frozen=True)
class Windows:
    """What is left of the search space under an upper bound.

    `positions[k]` are the position indices at which stage k can begin, k = 0..K, the last being the end; a stage
    that is not used begins and ends at the end. `stages[k]` are the ranges that stage k can be, as arcs.
    """

    positions: tuple[tuple[int, ...], ...]
    stages: tuple[tuple[Arc, ...], ...]

    @property
    def empty(self) -> bool:
        """Whether no plan keeps the upper bound."""
        return any(not window for window in self.positions)


def windows(table: SegmentTable, upper_bound_ns: int) -> Windows:
    """Return the windows that plans of a bottleneck of at most `upper_bound_ns` leave."""
    stages = table.most_stages
    before = forward(table.time, stages, upper_bound_ns)
    after = backward(table.time, stages, upper_bound_ns)
    ended = False
    positions = []
    for k in range(stages + 1):
        ended = ended or bool(before[k][table.end])
        window = before[k] & after[stages - k]
        window[table.end] |= ended
        positions.append(tuple(map(int, np.flatnonzero(window))))
    arcs = tuple(_arcs(table, positions[k], positions[k + 1], upper_bound_ns) for k in range(stages))
    return Windows(positions=tuple(positions), stages=arcs)


def within_latency(space: Windows, limit_ns: int) -> Windows:
    """Return the windows without the arcs that lie on no plan of a latency of at most `limit_ns`."""
    count = len(space.stages)
    before = [{0: 0}]
    for arcs in space.stages:
        before.append(_cheapest((b, before[-1][a] + time) for a, b, time in arcs if a in before[-1]))
    after = [dict.fromkeys(space.positions[-1], 0)]
    for arcs in reversed(space.stages):
        after.insert(0, _cheapest((a, after[0][b] + time) for a, b, time in arcs if b in after[0]))
    stages = tuple(
        tuple(
            (a, b, time)
            for a, b, time in space.stages[k]
            if a in before[k] and b in after[k + 1] and before[k][a] + time + after[k + 1][b] <= limit_ns
        )
        for k in range(count)
    )
    starts = (tuple(sorted({a for a, _, _ in arcs})) for arcs in stages)
    return Windows(positions=(*starts, space.positions[-1]), stages=stages)


def _cheapest(costs: Iterable[tuple[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for position, cost in costs:
        found[position] = min(cost, found.get(position, cost))
    return found


def _arcs(table: SegmentTable, begins: tuple[int, ...], ends: tuple[int, ...], upper_bound_ns: int) -> tuple[Arc, ...]:
    times = table.time[np.ix_(begins, ends)]
    used = [(begins[a], ends[b], int(times[a, b])) for a, b in np.argwhere(times <= upper_bound_ns)]
    unused = [(table.end, table.end, 0)] if table.end in begins and table.end in ends else []
    return (*used, *unused)
