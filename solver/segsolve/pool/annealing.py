"""The moves of the local search, compiled: simulated annealing of who holds what.

What a device holds is a first and a last state of each model, -1 where it has none of it. A move changes two devices:
it shifts the border of two stages, gives a stage or a part of it away, joins two stages, or exchanges two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice, permutations
from typing import NamedTuple

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.jit import compiled
from segsolve.pool.model import LATE_NS, UNKEPT_NS, PoolProblem
from segsolve.pool.rooms import Bools
from segsolve.pool.steps import Steps
from segsolve.solvers.cpsat.potentials import Floats

POWER = 6
"""Of the norm of loads that is made smaller: it follows their maximum, and feels the others."""

_BROKEN, _SLOW = float(UNKEPT_NS), float(LATE_NS)
_ALL_ORDERS = 5  # of so many residents all orders are tried
_ORDERS = np.array(
    [
        [(*order, *range(n, _ALL_ORDERS)) for order in islice(cycle(permutations(range(n))), 120)]
        for n in range(_ALL_ORDERS + 1)
    ],
    dtype=np.int64,
)
"""The first n! of the n-th are all orders of n residents."""
_NEAR = 1.01  # times the best: patterns of such plans are worth to be remembered


class Tables(NamedTuple):
    """What all stages cost, by numbers over all kinds and models, and what there is.

    `number` [kinds, models, states, states] is -1 for what no device can do; the steps of stage i (`pool.steps`) are
    those from `begin[i]` to `begin[i + 1]`: in a room of `low` bytes or more it takes `time` (ns), and it moves `moved`
    bytes (empty where there is no link). `link` [devices] is -1 without one. `per_mib` [kinds] is the link's ns.
    `host` [models, kinds, 3]: ns of a stage, and what a first one takes of the host and of its cores besides.
    `most_latency`, `most_stages` [models] are kept; -1: free. `links` are how many there are, `wanted` is the
    period that the rates leave; 0: none.
    """

    kinds: Ints
    number: Ints
    begin: Ints
    low: Ints
    time: Ints
    moved: Ints
    scratch: Ints
    capacity: Ints
    weights: Ints
    link: Ints
    per_mib: Ints
    host: Ints
    cores: int
    most_latency: Ints
    most_stages: Ints
    links: int
    wanted: float
    orders: Ints


def priced(problem: PoolProblem, steps: Sequence[Sequence[Steps]]) -> Tables:
    """Return the tables of a problem: of all of its devices, and of nothing that is kept or wanted."""
    kinds, models, links = range(len(problem.pool.kinds)), range(problem.models), dict(problem.pool.links)
    most = max(len(row[0].arcs) for row in steps)
    number = np.full((len(kinds), problem.models, most, most), -1, dtype=np.int64)
    ordered = [(k, m, steps[m][k]) for k in kinds for m in models]
    stages = begin = 0
    begins = []
    for k, m, own in ordered:
        own_begins = own.begins
        number[k, m, *own.pairs] = stages + np.arange(len(own.scratch))
        begins.append(begin + own_begins[:-1])
        stages, begin = stages + len(own.scratch), begin + int(own_begins[-1])
    takes = [own.takes for _, _, own in ordered]
    free = np.full(problem.models, -1, dtype=np.int64)
    serial = [[problem.host_ns(m, k) for k in kinds] for m in models]
    return Tables(
        kinds=np.array(problem.pool.devices, dtype=np.int64),
        number=number,
        begin=np.concatenate((*begins, [begin])),
        low=np.concatenate([own[1] for own in takes]),
        time=np.concatenate([own[2] for own in takes]),
        moved=np.concatenate([own[3] if links else own[3][:0] for own in takes]),
        scratch=np.concatenate([own.scratch for _, _, own in ordered]),
        capacity=np.array([min(row[k].capacity_bytes for row in problem.costs) for k in kinds], dtype=np.int64),
        weights=np.array(problem.workload.weights, dtype=np.int64),
        link=np.full(len(problem.pool.devices), -1, dtype=np.int64),
        per_mib=np.array([links[kind.link].ns_per_mib if kind.link else 0 for kind in problem.pool.kinds], np.int64),
        host=np.array(serial, dtype=np.int64),
        cores=problem.host_cores,
        most_latency=free,
        most_stages=free,
        links=len(links),
        wanted=0.0,
        orders=_ORDERS,
    )


@compiled()
def _price(t: Tables, kind: int, first: Ints, last: Ints, found: Ints) -> bool:
    """Write load, busy time, bytes moved, host and cores of what a device holds; whether it can hold it.

    It is in the order of the least load of device and link; of more residents than `orders` knows, each in turn comes
    where it does best.
    """
    models = len(t.weights)
    stages, owner = np.empty(models, dtype=np.int64), np.empty(models, dtype=np.int64)
    count, scratch = 0, 0
    found[:] = 0
    for m in range(models):
        if first[m] < 0:
            continue
        stage = t.number[kind, m, first[m], last[m]]
        if stage < 0:
            return False
        stages[count], owner[count] = stage, m
        scratch = max(scratch, t.scratch[stage])
        count += 1
        host = t.host[m, kind]
        found[3] += t.weights[m] * (host[0] + (host[1] if first[m] == 0 else 0))
        found[4] += t.weights[m] * (host[0] + (host[2] if first[m] == 0 else 0))
    if count == 0:
        return True
    room = max(0, t.capacity[kind] - scratch)
    if count < len(t.orders):
        best = 2**62
        ways = 1
        for i in range(2, count + 1):
            ways *= i
        for way in range(ways):
            best = _in_order(t, kind, stages, owner, t.orders[count, way], count, room, best, found)
        return bool(found[0] < IMPOSSIBLE)
    order = np.zeros(models, dtype=np.int64)
    for i in range(count):
        order[i] = i
        at, best = i, _in_order(t, kind, stages, owner, order, i + 1, room, 2**62, found)
        for place in range(i - 1, -1, -1):
            order[place + 1], order[place] = order[place], i
            value = _in_order(t, kind, stages, owner, order, i + 1, room, best, found)
            if value < best:
                at, best = place, value
        for place in range(at):
            order[place] = order[place + 1]
        order[at] = i
    return bool(found[0] < IMPOSSIBLE)


@compiled()
def _in_order(
    t: Tables, kind: int, stages: Ints, owner: Ints, order: Ints, count: int, room: int, best: int, found: Ints
) -> int:
    """Return the lesser of `best` and what residents in an order load device and link with, which is written then."""
    load = busy = moved = 0
    for i in order[:count]:
        low, high = t.begin[stages[i]], t.begin[stages[i] + 1]
        while high - low > 1:
            middle = (low + high) >> 1
            if t.low[middle] <= room:
                low = middle
            else:
                high = middle
        room -= t.low[low]
        weight = t.weights[owner[i]]
        load += weight * t.time[low]
        busy += t.time[low]
        if load >= best:
            return best
        if len(t.moved):
            moved += weight * t.moved[low]
    value = int(load + (moved * t.per_mib[kind] >> 20))
    if value < best:
        found[0], found[1], found[2] = load, busy, moved
        return value
    return best


@compiled()
def _values(t: Tables, first: Ints, costs: Ints, loads: Floats) -> tuple[float, float]:
    """Return what is made smaller (smooth), and the value of a plan (`LocalSearch.value`); `loads` is room for both."""
    devices, models = first.shape
    links = len(loads) - devices - 2
    loads[devices:] = 0.0
    for d in range(devices):
        loads[d] = costs[d, 0]
        if t.link[d] >= 0:
            loads[devices + t.link[d]] += costs[d, 2] * t.per_mib[t.kinds[d]] / 2**20
        if t.cores:
            loads[devices + links] += costs[d, 3]
            loads[devices + links + 1] += costs[d, 4] / t.cores
    period, smooth, broken, worst = max(1.0, loads.max()), _norm(loads), 0.0, 0.0
    latency = np.zeros(models)
    for m in range(models):
        stages = 0
        for d in range(devices):
            if first[d, m] >= 0:
                latency[m] += costs[d, 1]
                stages += 1
        worst = max(worst, latency[m])
        if t.most_latency[m] >= 0:
            broken += max(0.0, latency[m] - t.most_latency[m])
        if t.most_stages[m] >= 0:
            broken += 1e6 * max(0, stages - t.most_stages[m])
    if t.wanted:
        smooth = _norm(latency) * max(1.0, period * (1 + broken / period) / t.wanted) ** 4
    elif broken:
        smooth *= 1 + broken / period
    if broken:
        return smooth, _BROKEN + broken + period
    if t.wanted:
        return smooth, worst if period <= t.wanted else worst + _SLOW + period
    return smooth, period


@compiled()
def _norm(amounts: Floats) -> float:
    top, total = amounts.max(), 0.0
    if top <= 0:
        return 0.0
    for amount in amounts:
        total += (amount / top) ** POWER
    return float(top * total ** (1 / POWER))


@compiled()
def _one(is_it: Bools) -> int:
    """Return one of those that are marked, by chance; -1 if none is."""
    count = 0
    for own in is_it:
        count += own
    if count:
        left = np.random.randint(count)
        for i in range(len(is_it)):
            left -= is_it[i]
            if left < 0:
                return i
    return -1


@compiled()
def _neighbour(first: Ints, last: Ints, d: int, m: int, after: bool) -> int:
    """Return the device with the stage before or after that of a model on a device; -1 if there is none."""
    for e in range(len(first)):
        if first[e, m] >= 0 and (first[e, m] == last[d, m] if after else last[e, m] == first[d, m]):
            return e
    return -1


@compiled()
def _move(  # noqa: PLR0912 - one case for each move
    first: Ints, last: Ints, d: int, m: int, new_first: Ints, new_last: Ints
) -> int:
    """Write what device d, which has a stage of model m, and another hold after a move; return the other, or -1."""
    a, b = first[d, m], last[d, m]
    kind, after = np.random.random(), np.random.random() < 0.5
    shifts, gives, splits, joins = kind < 0.45, 0.45 <= kind < 0.6, 0.6 <= kind < 0.75, 0.75 <= kind < 0.85
    if shifts or joins:
        e = _neighbour(first, last, d, m, after)
    elif gives or splits:
        e = _one(first[:, m] < 0)
    else:
        e = np.random.randint(len(first))
    if e < 0 or e == d:
        return -1
    for i in range(first.shape[1]):
        new_first[0, i], new_last[0, i], new_first[1, i], new_last[1, i] = (
            first[d, i],
            last[d, i],
            first[e, i],
            last[e, i],
        )
    c, f = first[e, m], last[e, m]
    if shifts:
        low, high, to = min(a, c), max(b, f), b if after else a
        if np.random.random() < 0.25 and high - low > 2:
            to = low + 1 + np.random.randint(high - low - 1)
        else:
            to += (1 + np.random.randint(3)) * (1 if np.random.random() < 0.5 else -1)
        if not low < to < high:
            return -1
        if after:
            new_last[0, m] = new_first[1, m] = to
        else:
            new_first[0, m] = new_last[1, m] = to
    elif joins:
        keeps = np.random.randint(2)
        new_first[keeps, m], new_last[keeps, m] = min(a, c), max(b, f)
        new_first[1 - keeps, m] = new_last[1 - keeps, m] = -1
    elif gives:
        new_first[1, m], new_last[1, m] = a, b
        new_first[0, m] = new_last[0, m] = -1
    elif splits:
        if b - a < 2:
            return -1
        to = a + 1 + np.random.randint(b - a - 1)
        new_first[1, m], new_last[1, m] = (to, b) if after else (a, to)
        if after:
            new_last[0, m] = to
        else:
            new_first[0, m] = to
    elif c >= 0:
        new_first[0, m], new_last[0, m], new_first[1, m], new_last[1, m] = c, f, a, b
    else:
        other = _one(first[e] >= 0)
        if other < 0 or first[d, other] >= 0:
            return -1
        new_first[0, m] = new_last[0, m] = -1
        new_first[1, m], new_last[1, m] = a, b
        new_first[0, other], new_last[0, other] = first[e, other], last[e, other]
        new_first[1, other] = new_last[1, other] = -1
    return e


@compiled()
def _exchange(devices: Ints, first: Ints, last: Ints, costs: Ints, firsts: Ints, lasts: Ints, others: Ints) -> None:
    """Exchange what some devices hold and what that costs for something else."""
    for i in range(len(devices)):
        d = devices[i]
        for m in range(first.shape[1]):
            first[d, m], firsts[i, m] = firsts[i, m], first[d, m]
            last[d, m], lasts[i, m] = lasts[i, m], last[d, m]
        for j in range(costs.shape[1]):
            costs[d, j], others[i, j] = others[i, j], costs[d, j]


@compiled()
def anneal(
    t: Tables,
    first: Ints,
    last: Ints,
    best_first: Ints,
    best_last: Ints,
    best: float,
    moves: int,
    heats: tuple[float, float],
    seed: int,
    seen: Ints,
) -> tuple[float, int]:
    """Change what devices hold [devices, models] by moves; return the value of the best, which is written if less.

    A move that makes things worse by a part is made the more rarely the larger that is: the `heats` are the parts that
    are taken once in e times, at first and in the end. `seen` [n, 1 + 2 models] hears of what devices of plans near the
    best hold (kind, first and last states), the number of which is returned; later ones take the place of the first.
    """
    np.random.seed(seed)
    devices, models = first.shape
    costs, loads = np.zeros((devices, 5), dtype=np.int64), np.zeros(devices + t.links + 2)
    for d in range(devices):
        _price(t, t.kinds[d], first[d], last[d], costs[d])
    now, _ = _values(t, first, costs, loads)
    new_first, new_last = np.empty((2, models), dtype=np.int64), np.empty((2, models), dtype=np.int64)
    new_costs = np.empty((2, 5), dtype=np.int64)
    both = np.empty(2, dtype=np.int64)
    cools, heat, count = (heats[1] / heats[0]) ** (1 / max(1, moves)), heats[0], 0
    for _ in range(moves):
        heat *= cools
        d = int(np.argmax(costs[:, 0])) if np.random.random() < 0.5 else np.random.randint(devices)
        m = _one(first[d] >= 0)
        e = _move(first, last, d, m, new_first, new_last) if m >= 0 else -1
        if e < 0:
            continue
        both[0], both[1] = d, e
        if not (
            _price(t, t.kinds[d], new_first[0], new_last[0], new_costs[0])
            and _price(t, t.kinds[e], new_first[1], new_last[1], new_costs[1])
        ):
            continue
        _exchange(both, first, last, costs, new_first, new_last, new_costs)
        smooth, value = _values(t, first, costs, loads)
        if smooth > now and np.random.random() >= np.exp((now - smooth) / (max(1.0, now) * heat)):
            _exchange(both, first, last, costs, new_first, new_last, new_costs)
            continue
        now = smooth
        if value <= best * _NEAR:
            for own in both:
                row = seen[count % len(seen)]
                row[0] = t.kinds[own]
                for i in range(models):
                    row[1 + i], row[1 + models + i] = first[own, i], last[own, i]
                count += 1
        if value < best:
            best, best_first[:], best_last[:] = value, first, last
    return best, min(count, len(seen))
