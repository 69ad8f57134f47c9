"""Whether stages on one device can be worth more than was claimed: the checker's own search, compiled.

Stages are placed one after the other, in any order, each by first fit in the room that those before it left. A list is
given up where the models that are still to come cannot add enough: for that, memory and time are rounded down to
levels, which errs upwards only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.jit import compiled

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FINE, WIDE = 512, 64  # levels of memory and of a period, for one model and for several


@compiled()
def alone(
    stage: Ints, used: Ints, time: Ints, gains: Ints, offered: Bools, room: int, period: int, weight: int
) -> Ints:
    """Return what one offered stage is worth at most [levels of memory, of time], from steps (stage, used, time)."""
    grid = np.zeros((FINE, FINE), dtype=np.int64)
    level = room // FINE + 1
    for i in range(len(stage)):
        if offered[stage[i]] and used[i] <= room and time[i] <= period // weight:
            j, t = used[i] // level, time[i] * weight * (FINE - 1) // max(1, period)
            grid[j, t] = max(grid[j, t], gains[stage[i]])
    for j in range(FINE):
        for t in range(FINE):
            if j:
                grid[j, t] = max(grid[j, t], grid[j - 1, t])
            if t:
                grid[j, t] = max(grid[j, t], grid[j, t - 1])
    return grid


@compiled()
def together(grids: Ints) -> Ints:
    """Return the most that one stage of each model of a set is worth [sets, wide levels], from that of each alone."""
    models, part = len(grids), FINE // WIDE
    most = np.zeros((1 << models, WIDE, WIDE), dtype=np.int64)
    for bits in range(1, 1 << models):
        m = 0
        while not bits >> m & 1:
            m += 1
        rest, own, into = most[bits & ~(1 << m)], grids[m], most[bits]
        into[:] = rest
        for j in range(WIDE):
            for t in range(WIDE):
                worth = own[(j + 1) * part - 1, (t + 1) * part - 1]
                below = own[j * part - 1, (t + 1) * part - 1] if j else 0
                sooner = own[(j + 1) * part - 1, t * part - 1] if t else 0
                if worth <= max(below, sooner):
                    continue
                for i in range(j, WIDE):
                    for s in range(t, WIDE):
                        into[i, s] = max(into[i, s], rest[i - j, s - t] + worth)
    return most


@compiled()
def exceeds(
    chosen: Ints,
    offsets: Ints,
    gains: Ints,
    least: Ints,
    begins: Ints,
    used: Ints,
    time: Ints,
    weights: Ints,
    grids: Ints,
    most: Ints,
    holder: int,
    room: int,
    period: int,
    worth: int,
) -> bool:
    """Whether a list of stages, one of the holder's among them, is worth more than `worth`.

    `chosen` are stages by falling gain, model m's from `offsets[m]` on; their gains, least times, and `begins` among
    the steps (`used`, `time`) are by stage. `grids` and `most` are those of `alone` and `together`.
    """
    models = len(weights)
    level = room // FINE + 1
    rest = np.zeros(models + 1, dtype=np.int64)
    free = np.zeros(models + 1, dtype=np.int64)
    load = np.zeros(models + 1, dtype=np.int64)
    total = np.zeros(models + 1, dtype=np.int64)
    model = np.zeros(models + 1, dtype=np.int64)
    at = np.zeros(models + 1, dtype=np.int64)
    rest[0], free[0], at[0] = (1 << models) - 1, room, offsets[0]
    depth = 0
    while depth >= 0:
        m = model[depth]
        if m == models:
            depth -= 1
            continue
        others = rest[depth] & ~(1 << m)
        is_over = not rest[depth] >> m & 1 or at[depth] == offsets[m + 1]
        if not is_over:
            stage = chosen[at[depth]]
            needed = worth - total[depth] - _adds(others, free[depth], load[depth], grids, most, level, period)
            is_over = gains[stage] <= needed
        if is_over:
            model[depth] = m + 1
            at[depth] = offsets[m + 1]
            continue
        at[depth] += 1
        if load[depth] + least[stage] * weights[m] > period:
            continue
        low, high = begins[stage], begins[stage + 1]
        while high - low > 1:
            middle = (low + high) // 2
            if used[middle] <= free[depth]:
                low = middle
            else:
                high = middle
        if time[low] > (period - load[depth]) // weights[m]:
            continue
        after, left = load[depth] + time[low] * weights[m], free[depth] - used[low]
        value = total[depth] + gains[stage]
        if value > worth and not others >> holder & 1:
            return True
        if others and value + _adds(others, left, after, grids, most, level, period) > worth:
            depth += 1
            rest[depth], free[depth], load[depth], total[depth] = others, left, after, value
            model[depth], at[depth] = 0, offsets[0]
    return False


@compiled(inline="always")
def _adds(models: int, room: int, load: int, grids: Ints, most: Ints, level: int, period: int) -> int:
    """Return what stages of a set of models add at most."""
    if not models:
        return 0
    j, t = room // level, (period - load) * (FINE - 1) // max(1, period)
    if models & (models - 1):
        return int(most[models, j // (FINE // WIDE), t // (FINE // WIDE)])
    m = 0
    while not models >> m & 1:
        m += 1
    return int(grids[m, j, t])
