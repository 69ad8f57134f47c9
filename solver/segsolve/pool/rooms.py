"""What models can add to a TPU in a room for their weights and in a time, at most: by dynamic programs, compiled.

    J_S[j, t] = the most that lists of residents of models in S are worth, the first in a room of level j, all in time t

First fit leaves no choice: a resident takes what its room makes it take. Rooms are known to a level, so that what is
left of one is in one of two; times are rounded down. Both err upwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Ints
from segsolve.jit import compiled

Bools = NDArray[np.bool_]
Narrow = NDArray[np.int32]
"""Worths: of all models together they are about 10**9 at most (`bound.UNIT`)."""

NONE = -(2**30)
"""What cannot be had is worth so much."""

Corners = tuple[Ints, Narrow, Narrow, Narrow]
"""For each level of the room a range (of offsets); level of the room that is left, time, worth: what is undominated."""


@compiled()
def entries(steps: Ints, capacity: int, bits: int, period: int) -> tuple[Ints, Narrow, Narrow, Ints]:
    """Return the steps of stages by the levels of rooms in which they are taken: offsets, stages, levels left, times.

    `steps` [n + 1, 4] are (low, time, is all, stage) by stage and low, the last of them no stage's; those that take
    more than a period are left out. Of a stage's steps that leave the same level of the same level, the fastest stays.
    """
    levels = (capacity >> bits) + 1
    offsets = np.zeros(levels + 1, dtype=np.int64)
    last = np.full((2, levels), -1, dtype=np.int64)  # of each level: the stage of its last entry, what that leaves
    for write in range(2):
        if write:
            for j in range(levels):
                offsets[j + 1] += offsets[j]
            stage = np.zeros(offsets[-1], dtype=np.int32)
            left = np.zeros(offsets[-1], dtype=np.int32)
            time = np.zeros(offsets[-1], dtype=np.int64)
            at = offsets.copy()
            last[:] = -1
        for k in range(len(steps) - 1):
            low, own = steps[k, 0], steps[k, 3]
            until = steps[k + 1, 0] if steps[k + 1, 3] == own else capacity + 1
            until = min(until, capacity + 1)
            if until <= low or steps[k, 1] > period:
                continue
            for j in range(low >> bits, ((until - 1) >> bits) + 1):
                leaves = (max(low, j << bits) - low) >> bits
                is_new = last[0, j] != own or last[1, j] != leaves
                last[0, j], last[1, j] = own, leaves
                if write:
                    at[j] += is_new
                    i = at[j] - 1
                    stage[i], left[i] = own, leaves
                    time[i] = steps[k, 1] if is_new else min(time[i], steps[k, 1])
                else:
                    offsets[j + 1] += is_new
    return offsets, stage, left, time


@compiled()
def corners(
    offsets: Ints, stage: Narrow, left: Narrow, time: Ints, gains: Ints, allowed: Bools, by_time: float, times: int
) -> Corners:
    """Return the entries of allowed stages that are worth more than others which leave the same level, at a time."""
    levels = len(offsets) - 1
    best = np.full((levels, times + 1), -1, dtype=np.int32)
    found = np.zeros(levels + 1, dtype=np.int64)
    rooms = np.empty(len(stage), dtype=np.int32)
    ticks = np.empty(len(stage), dtype=np.int32)
    worths = np.empty(len(stage), dtype=np.int32)
    touched = np.zeros(levels, dtype=np.int64)
    count = 0
    for j in range(levels):
        for i in range(offsets[j], offsets[j + 1]):
            if not allowed[stage[i]]:
                continue
            tick = time[i] * by_time - 1e-6
            if tick >= times + 1:
                continue
            t, u = max(0, int(tick)), left[i]
            touched[u] = j + 1
            best[u, t] = max(best[u, t], gains[stage[i]])
        for u in range(j + 1):
            if touched[u] != j + 1:
                continue
            most = -1
            for t in range(times + 1):
                if best[u, t] > most:
                    most = best[u, t]
                    rooms[count], ticks[count], worths[count] = u, t, most
                    count += 1
                best[u, t] = -1
        found[j + 1] = count
    return found, rooms[:count].copy(), ticks[:count].copy(), worths[:count].copy()


@compiled()
def extend(grid: Narrow, rest: Narrow, offsets: Ints, rooms: Narrow, ticks: Narrow, worths: Narrow) -> None:
    """Let a model come first: raise J of a set that holds it by J of the `rest`, and the model's corners."""
    levels, width = grid.shape
    either = rest.copy()
    for j in range(levels - 1):
        for t in range(width):
            either[j, t] = max(either[j, t], rest[j + 1, t])
    for j in range(levels):
        for i in range(offsets[j], offsets[j + 1]):
            count, more = width - ticks[i], worths[i]
            row, into = either[rooms[i], :count], grid[j, ticks[i] :]
            for t in range(count):
                total = np.int32(row[t] + more)  # not of 64 bits: four times faster
                into[t] = total if total > into[t] else into[t]


@compiled()
def first(level: int, rest: Narrow, offsets: Ints, rooms: Narrow, ticks: Narrow, worths: Narrow) -> int:
    """Return the most of all time if a model comes first in a room of a level, and J of the `rest` is added."""
    most = NONE
    width = rest.shape[1]
    for i in range(offsets[level], offsets[level + 1]):
        u, t = rooms[i], width - 1 - ticks[i]
        more = max(rest[u, t], rest[min(u + 1, len(rest) - 1), t])
        most = max(most, worths[i] + more)
    return most
