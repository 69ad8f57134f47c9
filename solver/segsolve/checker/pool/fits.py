"""What each stage of a model takes in each room for its weights, by first fit: the checker's own tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.costs import scratch, stage_cost
from segsolve.checker.document import Problem
from segsolve.checker.kept import Constraints
from segsolve.checker.pool.dedicated import kept_times, prefix_states
from segsolve.checker.rows import FORBIDDEN, Rows

Ints = NDArray[np.int64]
_ENDLESS = 2**59  # bytes: all weights of a problem fit
_SHIFT = 36  # bits of a room


@dataclass(frozen=True, eq=False)
class Fits:
    """Stages [n] by their first and last state, with the scratch memory that they need and their least time.

    For each, ascending: the bytes of weights that can be on chip (`used`), the time with these, and the bytes `moved`.
    """

    first: Ints
    last: Ints
    scratch: Ints
    least: Ints
    stage: Ints
    used: Ints
    time: Ints
    moved: Ints

    def at(self, stages: Ints, rooms: Ints) -> tuple[Ints, Ints]:
        """Return the times of stages in rooms, and the bytes that their weights take there."""
        known = (self.stage << _SHIFT) + self.used
        found = np.searchsorted(known, (stages << _SHIFT) + rooms, side="right") - 1
        return self.time[found], self.used[found]


def resident_times(problem: Problem) -> tuple[Ints, Ints]:
    """Return the times [states, states] of stages with all their weights on chip, and the bytes that they move."""
    free = problem.model_copy(update={"capacity_bytes": _ENDLESS, "no_spill": False, "measured": []})
    rows = Rows(free, prefix_states(problem))
    states = [0, *problem.cuts, len(problem.ops)]
    times = np.full((len(states), len(states)), FORBIDDEN, dtype=np.int64)
    moved = np.zeros_like(times)
    for a in range(len(states) - 1):
        columns = np.arange(a + 1, len(states))
        times[a, columns], moved[a, columns] = rows.time(a, columns), rows.moved_bytes(a, columns)
    for measured in problem.measured:
        if measured.first in states and measured.end in states:
            own = stage_cost(problem, range(measured.first, measured.end))
            times[states.index(measured.first), states.index(measured.end)] += own.correction_ns
    return times, moved


def fits_of(problem: Problem, most_ns: int, kept: Constraints) -> Fits:
    """Return the stages that keep constraints and take so much at most if all weights are on chip."""
    states = np.array([0, *problem.cuts, len(problem.ops)])
    resident, moving = resident_times(problem)
    resident = kept_times(resident, prefix_states(problem), kept)
    first, last = np.nonzero(resident <= min(most_ns, FORBIDDEN - 1))
    least = resident[first, last]
    layers = sorted(
        (op.cache_rank, i, op.weight_bytes, op.streamed_ns - op.compute_ns, op.streamed_bytes)
        for i, op in enumerate(problem.ops)
        if op.cacheable and op.weight_bytes
    )
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    stages = np.arange(len(first))
    rooms = np.zeros(len(first), dtype=np.int64)
    while len(stages) or not parts:  # once, if there is no stage at all
        begin, end = states[first[stages]], states[last[stages]]
        free, time, moved = rooms.copy(), least[stages].copy(), moving[first[stages], last[stages]]
        lacking = np.full(len(stages), _ENDLESS)  # how much more room lets one more layer in
        for _, op, nbytes, cost, streamed in layers:
            inside = (begin <= op) & (op < end)
            streams = inside & (free < nbytes)
            lacking = np.where(streams, np.minimum(lacking, nbytes - free), lacking)
            time += np.where(streams, cost, 0)
            moved += np.where(streams, streamed, 0)
            free -= np.where(inside & ~streams, nbytes, 0)
        if problem.no_spill:
            time = np.where(lacking < _ENDLESS, FORBIDDEN, time)
        parts.append((stages, rooms, time, moved))
        more = rooms + lacking
        goes_on = more <= problem.capacity_bytes
        stages, rooms = stages[goes_on], more[goes_on]
    stage, used, time, moved = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort((stage << _SHIFT) + used, kind="stable")
    needed = np.array(
        [scratch(problem, range(states[a], states[b])) for a, b in zip(first, last, strict=True)], dtype=np.int64
    )
    return Fits(first, last, needed, least, stage[order], used[order], time[order], moved[order])
