"""Device patterns: the stages that live together on one TPU, with what that costs in the best co-compilation order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product

from segsolve.cost.table import IMPOSSIBLE
from segsolve.pool.annealing import Tables, priced
from segsolve.pool.arcs import Arcs
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, Resident

Held = tuple[int, int, int]  # model, first state, last state
_ALL_ORDERS = 5  # of so many residents all orders are tried; of more, each in turn where it does best


@dataclass(frozen=True, slots=True)
class Pattern:
    """Stages on one TPU of a kind, in co-compilation order, at most one of each model.

    `load_ns` is what a period occupies the TPU for, `busy_ns` the sum of the stages' times, `moved_bytes` what a period
    moves over its link; `host_ns` and `cores_ns` are what it occupies the host and all its cores together for.
    """

    kind: int
    stages: tuple[Held, ...]
    load_ns: int
    busy_ns: int
    moved_bytes: int
    host_ns: int = 0
    cores_ns: int = 0


class Pricer:
    """Prices patterns, each once. `known` are all that were asked for."""

    def __init__(self, problem: PoolProblem, arcs: Sequence[Sequence[Arcs]]) -> None:
        self.problem, self.arcs = problem, arcs
        self.known: dict[tuple[int, frozenset[Held]], Pattern] = {}
        self._weights = problem.workload.weights
        self._capacity = [min(row[k].capacity_bytes for row in problem.costs) for k in range(len(problem.pool.kinds))]
        links = dict(problem.pool.links)
        self._link_ns = [links[kind.link].ns_per_mib if kind.link else 0 for kind in problem.pool.kinds]
        self._host_ns = [[problem.host_ns(m, k) for k in range(len(row))] for m, row in enumerate(problem.costs)]
        self._no_spill = any(p.no_spill for row in problem.costs for p in row)

    def price(self, kind: int, held: Iterable[Held]) -> Pattern:
        """Return the pattern of some stages on a kind, in the order of the least load of TPU and link together."""
        stages = frozenset(held)
        key = (kind, stages)
        if (found := self.known.get(key)) is None:
            found = self.known[key] = self._best(kind, stages)
        return found

    @cached_property
    def tables(self) -> Tables:
        """The prices of all stages on all kinds, for all devices and nothing that is kept."""
        return priced(self.problem, [[each.steps for each in row] for row in self.arcs])

    def _best(self, kind: int, stages: frozenset[Held]) -> Pattern:
        if not stages:
            return Pattern(kind, (), 0, 0, 0)
        room = self._room(kind, stages)
        ordered = sorted(stages)
        if len(ordered) <= _ALL_ORDERS:
            orders: Iterable[tuple[Held, ...]] = permutations(ordered)
        else:
            orders = self._grown(kind, ordered, room)
        found = (self._in_order(kind, order, room) for order in orders)
        return min(found, key=lambda p: (p.load_ns + p.moved_bytes * self._link_ns[kind] // 2**20, p.load_ns))

    def orders(self, pattern: Pattern) -> list[Pattern]:
        """Return a pattern in all orders of its stages, if they are few."""
        if len(pattern.stages) > _ALL_ORDERS or len(pattern.stages) < 2:
            return []
        room = self._room(pattern.kind, pattern.stages)
        return [self._in_order(pattern.kind, order, room) for order in permutations(pattern.stages)]

    def all_orders(self, kind: int, held: Iterable[Held]) -> list[Pattern]:
        """Return the pattern of some stages; where links limit, in all orders that differ in what they load."""
        pattern = self.price(kind, held)
        others = self.orders(pattern) if self.problem.pool.links else []
        return list({(p.load_ns, p.moved_bytes): p for p in (pattern, *others)}.values())

    def _room(self, kind: int, stages: Iterable[Held]) -> int:
        return max(0, self._capacity[kind] - max(self.arcs[m][kind].scratch(a, b) for m, a, b in stages))

    def _in_order(self, kind: int, order: tuple[Held, ...], room: int) -> Pattern:
        load = busy = moved = host = cores = 0
        for m, a, b in order:
            price = self.arcs[m][kind].price(a, b, room)
            weight = self._weights[m]
            if price.time_ns >= IMPOSSIBLE or (self._no_spill and not price.fits):
                return Pattern(kind, order, IMPOSSIBLE, IMPOSSIBLE, 0)
            room -= price.onchip_bytes
            load += weight * price.time_ns
            busy += price.time_ns
            moved += weight * price.moved_bytes
            serial, of_host, of_cores = self._host_ns[m][kind]
            host += weight * (serial + (0 if a else of_host))
            cores += weight * (serial + (0 if a else of_cores))
        return Pattern(kind, order, load, busy, moved, host, cores)

    def _grown(self, kind: int, ordered: list[Held], room: int) -> list[tuple[Held, ...]]:
        order: tuple[Held, ...] = ()
        for held in ordered:
            ways = [(*order[:i], held, *order[i:]) for i in range(len(order) + 1)]
            order = min(ways, key=lambda way: self._in_order(kind, way, room).load_ns)
        return [order]


def every_pattern(pricer: Pricer, most: int) -> list[Pattern] | None:
    """Return all patterns of a problem, in all orders that matter to a link; None if there are too many."""
    arcs, problem = pricer.arcs, pricer.problem
    kinds = len(problem.pool.kinds)
    total = kinds
    for row in arcs:
        total *= 1 + row[0].end * (row[0].end + 1) // 2
    if total > most:
        return None
    options: list[list[Held | None]] = [
        [None, *((m, a, b) for a in range(row[0].end) for b in range(a + 1, row[0].end + 1))]
        for m, row in enumerate(arcs)
    ]
    found = []
    for kind in range(kinds):
        for choice in product(*options):
            held = [stage for stage in choice if stage is not None]
            if held:
                found += [p for p in pricer.all_orders(kind, held) if p.load_ns < IMPOSSIBLE]
    return found


def plan_of(problem: PoolProblem, arcs: Sequence[Sequence[Arcs]], patterns: Sequence[Pattern]) -> PoolPlan:
    """Return the plan in which device d has `patterns[d]`: one pipeline per model."""
    where = {held: d for d, pattern in enumerate(patterns) for held in pattern.stages}
    pipelines: list[PoolPipeline] = []
    numbers: dict[Held, Resident] = {}
    for m in range(problem.models):
        own = sorted(held for held in where if held[0] == m)
        states = arcs[m][0].states
        stages = tuple(PoolStage(ops=states.ops(a, b), devices=(where[m, a, b],)) for _, a, b in own)
        pipelines.append(PoolPipeline(model=m, stages=stages))
        numbers |= {held: Resident(m, k) for k, held in enumerate(own)}
    residents = tuple(tuple(numbers[held] for held in pattern.stages) for pattern in patterns)
    return PoolPlan(pipelines=tuple(pipelines), residents=residents)
