"""What each stage of a model takes in each room for its weights, by first fit: the checker's own tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.costs import scratch, stage_cost
from segsolve.checker.document import Problem
from segsolve.checker.pool.dedicated import kept_times, prefix_states
from segsolve.checker.pool.document import Model
from segsolve.checker.rows import FORBIDDEN, Rows
from segsolve.jit import compiled

Ints = NDArray[np.int64]
_ENDLESS = 2**59  # bytes: all weights of a problem fit


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


def resident_times(problem: Problem) -> tuple[Ints, Ints]:
    """Return the times [states, states] of stages with all their weights on chip, and the bytes that they move."""
    free = problem.model_copy(update={"capacity_bytes": _ENDLESS, "no_spill": False, "measured": []})
    rows = Rows(free, prefix_states(problem))
    states = [0, *problem.cuts, len(problem.ops)]
    times = np.full((len(states), len(states)), FORBIDDEN, dtype=np.int64)
    moved = np.zeros_like(times)
    stages = [(a, np.arange(a + 1, len(states))) for a in range(len(states) - 1)]
    for (a, columns), ns, nbytes in zip(stages, rows.times(stages), rows.moved_bytes(stages), strict=True):
        times[a, columns], moved[a, columns] = ns, nbytes
    for measured in problem.measured:
        if measured.first in states and measured.end in states:
            own = stage_cost(problem, range(measured.first, measured.end))
            times[states.index(measured.first), states.index(measured.end)] += own.correction_ns
    return times, moved


def fits_of(problem: Problem, most_ns: int, model: Model, kind: str) -> Fits:
    """Return the stages that a model may have on a kind and that take so much at most if all weights are on chip."""
    states = np.array([0, *problem.cuts, len(problem.ops)])
    resident, moving = resident_times(problem)
    resident = kept_times(resident, prefix_states(problem), model, kind)
    first, last = np.nonzero(resident <= min(most_ns, FORBIDDEN - 1))
    least = resident[first, last]
    layers = sorted(
        (op.cache_rank, i, op.weight_bytes, op.streamed_ns - op.compute_ns, op.streamed_bytes)
        for i, op in enumerate(problem.ops)
        if op.cacheable and op.weight_bytes
    )
    own = np.array([layer[1:] for layer in layers], dtype=np.int64).reshape(-1, 4)
    begin, end = states[first], states[last]
    stage, used, time, moved, fits = _fitted(begin, end, own, least, moving[first, last], problem.capacity_bytes)
    if problem.no_spill:
        time = np.where(fits, time, FORBIDDEN)
    needed = np.array(
        [scratch(problem, range(states[a], states[b])) for a, b in zip(first, last, strict=True)], dtype=np.int64
    )
    return Fits(first, last, needed, least, stage, used, time, moved)


@compiled()
def _fitted(
    begin: Ints, end: Ints, layers: Ints, least: Ints, moving: Ints, capacity: int
) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
    """Return what stages take in every room up to the capacity: stage, bytes used, time, bytes moved, whether all fit.

    `layers` [n, (operation, bytes, ns and bytes if it streams)] are in caching order.
    """
    found = np.zeros((4, 1024), dtype=np.int64)
    fits = np.zeros(1024, dtype=np.bool_)
    count = 0
    for stage in range(len(begin)):
        room = 0
        while room <= capacity:
            free, time, moved, lacking = room, least[stage], moving[stage], -1
            for op, nbytes, cost, streamed in layers:
                if op < begin[stage] or op >= end[stage]:
                    continue
                if nbytes <= free:
                    free -= nbytes
                    continue
                time += cost
                moved += streamed
                if lacking < 0 or nbytes - free < lacking:
                    lacking = nbytes - free
            if count == len(fits):
                found, fits = np.concatenate((found, found), axis=1), np.concatenate((fits, fits))
            found[0, count], found[1, count], found[2, count], found[3, count] = stage, room, time, moved
            fits[count] = lacking < 0
            count += 1
            if lacking < 0:
                break
            room += lacking
    return (
        found[0, :count].copy(),
        found[1, :count].copy(),
        found[2, :count].copy(),
        found[3, :count].copy(),
        fits[:count].copy(),
    )
