"""What single pipelines of 1, 2, ... devices can do at best: their bottleneck, and what they trade for latency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.plan.model import Pipeline, Stage
from segsolve.question import Constraints
from segsolve.solvers.dynamic.paths import Arc, Paths


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A pipeline that no other of as many devices betters both ways: bottleneck in ns, and what a path adds up."""

    bottleneck_ns: int
    cost: int


@dataclass(frozen=True, eq=False)
class Pipelines:
    """The pipelines of at most `tpus` devices through the stages of a table that the constraints leave."""

    table: StageTable
    constraints: Constraints
    tpus: int
    replicate: bool = True
    most_stages: int | None = None
    """A limit to the number of stages, beside that of the constraints."""

    @cached_property
    def time(self) -> NDArray[np.int64]:
        """The time [n, n] of the stages that are left."""
        return self.constraints.time(self.table)

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """The smallest bottleneck of at most k devices, k = 0..tpus, whatever the latency."""
        return self.paths(self.tpus).bottlenecks

    @property
    def fronts(self) -> dict[int, tuple[Point, ...]]:
        """For k = 1..tpus the undominated (bottleneck, latency in ns) of at most k devices, descending bottleneck."""
        return {k: self.front(k) for k in range(1, self.tpus + 1)}

    def front(self, devices: int) -> tuple[Point, ...]:
        """Return the undominated (bottleneck, latency in ns) of at most so many devices, descending bottleneck."""
        return tuple(self.trades(devices))

    def trades(self, devices: int) -> dict[Point, tuple[Arc, ...]]:
        """Return the front of at most so many devices with a pipeline for each point."""
        if devices not in self._trades:
            self._trades[devices] = _front(self.paths(devices))
        return self._trades[devices]

    def shared_fronts(self, cost: str) -> dict[int, tuple[Point, ...]]:
        """For k = 1..tpus the undominated (bottleneck, cost) of at most k devices, by descending bottleneck."""
        if cost not in self._fronts:
            by_stages = cost == "stages" and self.counts_alone
            sizes = range(1, self.tpus + 1)
            self._fronts[cost] = (
                {k: self._front_by_stages(k) for k in sizes}
                if by_stages
                else {k: tuple(_front(self.paths(k, cost))) for k in sizes}
            )
        return self._fronts[cost]

    def _front_by_stages(self, devices: int) -> tuple[Point, ...]:
        """Return the undominated (bottleneck, stages) of at most so many devices."""
        points: list[Point] = []
        for stages, smallest in enumerate(self._bottlenecks_by_stages, start=1):
            if smallest[devices] < (points[-1].bottleneck_ns if points else IMPOSSIBLE):
                points.append(Point(smallest[devices], stages))
        return tuple(points)

    @cached_property
    def _bottlenecks_by_stages(self) -> list[tuple[int, ...]]:
        return self.paths(self.tpus).bottlenecks_by_stages()

    def costs(self, name: str) -> NDArray[np.int64]:
        """Return what stages [n, n] add up to: "latency" in ns, "bytes" that they move, "stages" by their number."""
        if name == "latency":
            return self.time
        return self.table.moved_bytes if name == "bytes" else np.ones_like(self.time)

    def within(self, latency_ns: int) -> tuple[int, ...]:
        """Return the smallest bottleneck of at most k devices within a latency, k = 0..tpus, or `IMPOSSIBLE`."""
        kept = []
        for k, front in self.fronts.items():
            best = min((p.bottleneck_ns for p in front if p.cost <= latency_ns), default=IMPOSSIBLE)
            # A front may end where the host leaves no use for more.
            kept.append(self.bottlenecks[k] if front and best == front[-1].bottleneck_ns else best)
        return (IMPOSSIBLE, *kept)

    def pipeline(self, devices: int, bottleneck_ns: int) -> Pipeline:
        """Return the preferred pipeline that keeps a bottleneck: of the smallest latency; there must be one."""
        return self._best(self.paths(devices), devices, bottleneck_ns)

    def frugal_pipeline(self, cost: str, devices: int, bottleneck_ns: int) -> Pipeline:
        """Return the pipeline that keeps a bottleneck at the least cost; there must be one."""
        return self._best(self.paths(devices, cost), devices, bottleneck_ns)

    def of_stages(self, most: int) -> Pipelines:
        """Return those of at most so many stages."""
        if most not in self._of_stages:
            self._of_stages[most] = replace(self, most_stages=most)
        return self._of_stages[most]

    def fed(self, most: int) -> Pipelines:
        """Return those of at most so many stages, with as much of their fronts as the host leaves a use for."""
        host, limited = self.table.problem.host, replace(self, most_stages=most)
        assert host is not None
        for k in range(1, self.tpus + 1):
            limited._trades[k] = _front_of(self.by_stages, k, most, host.load_ns)
        return limited

    @cached_property
    def by_stages(self) -> dict[tuple[int, int, Point], tuple[Arc, ...]]:
        """Pipelines for all undominated devices, stages, bottleneck and latency, as far as the host leaves a use.

        The host drives each stage of an inference in turn: a bottleneck below what all take is as good as that. Some
        that are dominated are among them. Where it matters which stage is which there is no such list.
        """
        host, paths = self.table.problem.host, self.paths(self.tpus)
        assert host is not None and self.counts_alone
        found: dict[tuple[int, int, Point], tuple[Arc, ...]] = {}
        for arcs in paths.trades_by_stages(host.load_ns):
            point = Point(paths.bottleneck(arcs), sum(int(self.time[a, b]) for a, b, _ in arcs))
            found.setdefault((sum(r for _, _, r in arcs), len(arcs), point), arcs)
        return found

    @property
    def counts_alone(self) -> bool:
        """Whether it does not matter which stage is which."""
        return self.paths(self.tpus).allowed_at is None

    def made(self, stages: Iterable[Arc]) -> Pipeline:
        """Return the pipeline of some stages, each from state to state on so many devices."""
        return Pipeline(stages=tuple(Stage(ops=self.table.ops(a, b), replicas=r) for a, b, r in stages))

    def _best(self, paths: Paths, devices: int, bottleneck_ns: int) -> Pipeline:
        arcs = paths.best(devices, bottleneck_ns)
        assert arcs is not None
        return self.made(arcs)

    def paths(self, devices: int, cost: str = "latency") -> Paths:
        """Return the pipelines of at most so many devices; `cost` names what a path adds up (`costs`)."""
        key = (devices, cost)
        if key not in self._known:
            self._known[key] = Paths(
                self.time,
                devices,
                replicate=self.replicate,
                max_stages=min(
                    (limit for limit in (self.constraints.most_stages, self.most_stages) if limit is not None),
                    default=None,
                ),
                allowed_at=self.constraints.allowed_at(self.table),
                cost=None if cost == "latency" else self.costs(cost),
            )
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[int, str], Paths]:
        return {}

    @cached_property
    def _trades(self) -> dict[int, dict[Point, tuple[Arc, ...]]]:
        return {}

    @cached_property
    def _of_stages(self) -> dict[int, Pipelines]:
        return {}

    @cached_property
    def _fronts(self) -> dict[str, dict[int, tuple[Point, ...]]]:
        return {}


def _front_of(
    found: Mapping[tuple[int, int, Point], tuple[Arc, ...]], devices: int, stages: int, load_ns: Callable[[int], int]
) -> dict[Point, tuple[Arc, ...]]:
    """Return the front of those of at most so many devices and stages, by descending bottleneck.

    It ends with the first whose stages take as long of what is shared: beyond it some are missing.
    """
    points: dict[Point, tuple[Arc, ...]] = {}
    within = (one for one in found.items() if one[0][0] <= devices and one[0][1] <= stages)
    for (_, _, point), arcs in sorted(within, key=lambda one: (one[0][2].cost, one[0][2].bottleneck_ns, one[0])):
        if all(point.bottleneck_ns < other.bottleneck_ns for other in points):
            points[point] = arcs
            if point.bottleneck_ns <= load_ns(len(arcs)):
                break
    return points


def _front(paths: Paths) -> dict[Point, tuple[Arc, ...]]:
    """Lower the bottleneck bit by bit; each time the cheapest path that keeps it is the next point."""
    points: dict[Point, tuple[Arc, ...]] = {}
    bound, costs = IMPOSSIBLE - 1, paths.time if paths.cost is None else paths.cost
    while (arcs := paths.best(paths.most, bound)) is not None:
        bottleneck = max(-(-int(paths.time[a, b]) // r) for a, b, r in arcs)
        point = Point(bottleneck, sum(int(costs[a, b]) for a, b, _ in arcs))
        last = next(reversed(points), None)
        if last and last.cost == point.cost:
            del points[last]
        points[point] = arcs
        bound = bottleneck - 1
    return points
