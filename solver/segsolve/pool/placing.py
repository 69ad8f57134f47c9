"""The search behind `exact`, compiled: residents are placed one after the other, in every order that matters.

Two neighbours that keep all their weights on chip do the same in either order: only one of the two is tried. Stages
are looked at in blocks: one of which none could be placed and be worth enough is left out as a whole.
"""

from __future__ import annotations

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.jit import compiled
from segsolve.pool.rooms import NONE, Narrow

BLOCK = 8  # stages
_SLACK = 1e-6  # of a level: more than what floats are off


@compiled()
def least_by_room(steps: Ints, capacity: int, bits: int, stages: int) -> Ints:
    """Return the least bytes and the least time [stages, levels, 2] that each stage takes in any room of a level.

    `steps` [n + 1, 4] are (low, time, is all, stage) by stage and low, the last of them no stage's.
    """
    least = np.full((stages, (capacity >> bits) + 1, 2), IMPOSSIBLE, dtype=np.int64)
    for k in range(len(steps) - 1):
        low, time, own = steps[k, 0], steps[k, 1], steps[k, 3]
        until = steps[k + 1, 0] if steps[k + 1, 3] == own else capacity + 1
        for level in range(low >> bits, ((min(until, capacity + 1) - 1) >> bits) + 1):
            least[own, level, 0] = min(least[own, level, 0], low)
            least[own, level, 1] = min(least[own, level, 1], time)
    return least


@compiled()
def blocks(offered: Ints, offsets: Ints, least: Ints) -> tuple[Ints, Ints]:
    """Return the least of each block of each model's stages [blocks, levels, 2], and the first block of each model.

    `offered` and `offsets` are as `place` takes them, `least` [models, stages, levels, 2] is that of each stage.
    """
    starts = np.zeros(len(offsets), dtype=np.int64)
    for m in range(len(offsets) - 1):
        starts[m + 1] = starts[m] + (offsets[m + 1] - offsets[m] + BLOCK - 1) // BLOCK
    found = np.full((starts[-1], *least.shape[2:]), IMPOSSIBLE, dtype=np.int64)
    for m in range(len(offsets) - 1):
        for i in range(offsets[m], offsets[m + 1]):
            into = found[starts[m] + (i - offsets[m]) // BLOCK]
            np.minimum(into, least[m, offered[i]], into)
    return found, starts


@compiled()
def place(  # noqa: PLR0912, PLR0915 - a loop and a stack, for speed
    offered: Ints,
    offsets: Ints,
    in_blocks: Ints,
    starts: Ints,
    wide_bits: int,
    gains: Ints,
    leasts: Ints,
    firsts: Narrow,
    steps: Ints,
    level_bits: int,
    most: Narrow,
    most_below: Narrow,
    room_bits: int,
    holder: int,
    start_room: int,
    period: int,
    least: int,
    budget: int,
    stages: Ints,
    loads: Ints,
    worths: Ints,
) -> tuple[int, int]:
    """Write the patterns of a root that are worth `least` or more; return their number and what is left of the budget.

    `offered` [sum] are each model's stages by falling worth, model m's from `offsets[m]` on; `in_blocks` and `starts`
    are those of `blocks`, by levels of rooms of 2**`wide_bits` bytes; `gains`, `leasts` [models,
    stages] are what all stages are worth and take at least; `firsts` [models, stages, levels] is the step that each
    takes in a room's level, of `steps` [models, steps, (low, time, is all, stage)]. `most` [sets, rooms, times] bounds
    what a set of models adds (`rooms`), `most_below` what it adds in a smaller room. All times are of a period.

    It is unfinished if nothing is left of the budget, or if all of `stages`, `loads` and `worths` is written.
    """
    models = len(offsets) - 1
    times = most.shape[2] - 1
    by_time = times / max(1, period)
    levels = firsts.shape[2] - 1
    rest = np.zeros(models + 1, dtype=np.int64)
    room = np.zeros(models + 1, dtype=np.int64)
    load = np.zeros(models + 1, dtype=np.int64)
    worth = np.zeros(models + 1, dtype=np.int64)
    is_all = np.zeros(models + 1, dtype=np.int64)
    model = np.full(models + 1, -1, dtype=np.int64)
    at = np.zeros(models + 1, dtype=np.int64)
    end = np.zeros(models + 1, dtype=np.int64)
    need = np.zeros(models + 1, dtype=np.int64)
    chosen = np.full(models, -1, dtype=np.int64)
    rest[0], room[0] = (1 << models) - 1, start_room
    depth, count, enough = 0, 0, len(loads)
    while depth >= 0:
        m = model[depth]
        if m < 0 or at[depth] >= end[depth]:
            if m >= 0:
                chosen[m] = -1
            m += 1
            while m < models and not rest[depth] >> m & 1:
                m += 1
            model[depth] = m
            if m == models:
                depth -= 1
                continue
            after = rest[depth] & ~(1 << m)
            more = _bound(most_below, after, room[depth] >> room_bits, (period - load[depth]) * by_time)
            need[depth] = least - worth[depth] - more
            at[depth], end[depth] = offsets[m], offsets[m + 1]
            continue
        stage = offered[at[depth]]
        gain = gains[m, stage]
        if gain < need[depth]:
            at[depth] = end[depth]
            continue
        budget -= 1
        if budget < 0:
            return count, budget
        in_model = at[depth] - offsets[m]
        if in_model % BLOCK == 0:
            block = in_blocks[starts[m] + in_model // BLOCK, room[depth] >> wide_bits]
            soonest, left = load[depth] + block[1], room[depth] - block[0]
            more = NONE
            if soonest <= period and left >= 0:
                more = _bound(most_below, rest[depth] & ~(1 << m), left >> room_bits, (period - soonest) * by_time)
            if worth[depth] + gain + more < least:
                at[depth] = min(at[depth] + BLOCK, end[depth])
                continue
        at[depth] += 1
        soonest = load[depth] + leasts[m, stage]
        if soonest > period:
            continue
        after = rest[depth] & ~(1 << m)
        total = worth[depth] + gain
        step = firsts[m, stage, min(room[depth] >> level_bits, levels)]
        while steps[m, step + 1, 3] == stage and steps[m, step + 1, 0] <= room[depth]:
            step += 1
        new_load = load[depth] + steps[m, step, 1]
        if new_load > period:
            continue
        if steps[m, step, 2] and depth and is_all[depth] and m < model[depth - 1]:
            continue
        chosen[m] = stage
        if total >= least and not after >> holder & 1:
            stages[count] = chosen
            loads[count], worths[count] = new_load, total
            count += 1
            if count >= enough:
                return count, budget
        if after:
            new_room = room[depth] - steps[m, step, 0]
            more = _bound(most, after, new_room >> room_bits, (period - new_load) * by_time)
            if total + more >= least:
                depth += 1
                rest[depth], room[depth], load[depth], worth[depth] = after, new_room, new_load, total
                is_all[depth], model[depth], at[depth], end[depth] = steps[m, step, 2], -1, 0, 0
    return count, budget


@compiled(inline="always")
def _bound(most: Narrow, rest: int, level: int, time: float) -> int:
    """Return the most that models of a set can add; the time, in levels, errs upwards."""
    return most[rest, level, int(time + _SLACK)] if rest else 0


@compiled()
def least_loads(
    stages: Ints, rooms: Ints, firsts: Narrow, steps: Ints, level_bits: int, orders: Ints, most: int
) -> Ints:
    """Return the least load [n] of patterns [n, models] in rooms [n] for their weights, where it is not above `most`.

    `orders` are those to try, `firsts` and `steps` are as `place` takes them.
    """
    best = np.empty(len(stages), dtype=np.int64)
    levels = firsts.shape[2] - 1
    for i in range(len(stages)):
        best[i] = most + 1
        for order in orders:
            room, load = rooms[i], 0
            for m in order:
                stage = stages[i, m]
                if stage < 0:
                    continue
                step = firsts[m, stage, min(room >> level_bits, levels)]
                while steps[m, step + 1, 3] == stage and steps[m, step + 1, 0] <= room:
                    step += 1
                load += steps[m, step, 1]
                room -= steps[m, step, 0]
                if load >= best[i]:
                    break
            best[i] = min(best[i], load)
    return best
