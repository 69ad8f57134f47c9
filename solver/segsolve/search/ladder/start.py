"""Plans to begin with: the best cuts of many topological orders, each drawn near the best one so far."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from segsolve.solvers.ladder.dag import Dag
from segsolve.solvers.ladder.intervals import Part, best_cuts


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A plan and its bottleneck in ns."""

    bottleneck_ns: int
    parts: tuple[Part, ...]


FRESH = 8
"""Orders drawn anew before the best one is varied."""


def find_start(
    dag: Dag, tpus: int, *, lower_bound_ns: int, rounds: int, seed: int, hint: Start | None, until: float
) -> Start | None:
    """Return the best plan of some orders; None if none has one.

    The result repeats for a seed unless the time `until` (of `time.perf_counter`) cuts it short.
    """
    rng = random.Random(seed)
    best = hint
    order = [g for part in hint.parts for g in part.groups] if hint else list(range(len(dag)))
    candidates = _orders(dag, rng, rounds)
    for step, draw in enumerate(candidates):
        if best and (best.bottleneck_ns <= lower_bound_ns or (step and time.perf_counter() > until)):
            break
        tried = draw if isinstance(draw, list) else _near(dag, order, best, rng, draw)
        found = best_cuts(dag, tried, tpus)
        if found and (best is None or found[0] <= best.bottleneck_ns):
            best, order = Start(bottleneck_ns=found[0], parts=found[1]), tried
    return best


def _orders(dag: Dag, rng: random.Random, rounds: int) -> Iterator[list[int] | float]:
    """Yield whole orders first, then how far the next one shall be from the best: a share of all groups."""
    yield list(range(len(dag)))
    for _ in range(min(FRESH, rounds)):
        yield depth_first(dag, rng)
    for _ in range(rounds - FRESH):
        yield rng.choice((0.02, 0.05, 0.1, 0.2))


def depth_first(dag: Dag, rng: random.Random) -> list[int]:
    """Return a random order that follows one branch before it turns to the next."""
    missing = [len(before) for before in dag.predecessors]
    ready = [g for g in range(len(dag)) if not missing[g]]
    rng.shuffle(ready)
    order = []
    while ready:
        g = ready.pop()
        order.append(g)
        freed = []
        for follower in dag.successors[g]:
            missing[follower] -= 1
            if not missing[follower]:
                freed.append(follower)
        rng.shuffle(freed)
        ready += freed
    return order


def _near(dag: Dag, order: list[int], best: Start | None, rng: random.Random, spread: float) -> list[int]:
    """Return the order that moves groups by about `spread` of all; or only those next to one cut of the best plan."""
    size = spread * len(order)
    wish = {g: k + rng.gauss(0, size) for k, g in enumerate(order)}
    if best is not None and len(best.parts) > 1 and rng.random() < 0.5:
        cut = rng.randrange(1, len(best.parts))
        centre = sum(len(part.groups) for part in best.parts[:cut])
        wish = {g: (wish[g] if abs(k - centre) <= 3 * size else float(k)) for k, g in enumerate(order)}
    return by_wish(dag, wish)


def by_wish(dag: Dag, wish: dict[int, float]) -> list[int]:
    """Return the topological order that takes, of the groups that are free, the one with the smallest wish."""
    missing = [len(before) for before in dag.predecessors]
    ready = [(wish[g], g) for g in range(len(dag)) if not missing[g]]
    heapify(ready)
    order = []
    while ready:
        _, g = heappop(ready)
        order.append(g)
        for follower in dag.successors[g]:
            missing[follower] -= 1
            if not missing[follower]:
                heappush(ready, (wish[follower], follower))
    return order
