"""What single pipelines of 1, 2, ... devices can do at best: their bottleneck, and what they trade for latency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.plan.model import Pipeline, Stage
from segsolve.question import Constraints
from segsolve.solvers.dynamic.paths import Arc, Paths


@dataclass(frozen=True, slots=True)
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

    @cached_property
    def time(self) -> NDArray[np.int64]:
        """The time [n, n] of the stages that are left."""
        return self.constraints.time(self.table)

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """The smallest bottleneck of at most k devices, k = 0..tpus, whatever the latency."""
        return self.paths(self.tpus).bottlenecks

    @cached_property
    def fronts(self) -> dict[int, tuple[Point, ...]]:
        """For k = 1..tpus the undominated (bottleneck, latency in ns) of at most k devices, descending bottleneck."""
        return {k: _front(self.paths(k)) for k in range(1, self.tpus + 1)}

    def shared_fronts(self, cost: str) -> dict[int, tuple[Point, ...]]:
        """For k = 1..tpus the undominated (bottleneck, cost) of at most k devices, by descending bottleneck."""
        if cost not in self._fronts:
            by_stages = cost == "stages" and self.paths(self.tpus).allowed_at is None
            sizes = range(1, self.tpus + 1)
            self._fronts[cost] = (
                {k: self._front_by_stages(k) for k in sizes}
                if by_stages
                else {k: _front(self.paths(k, cost)) for k in sizes}
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

    def front_of(self, devices: int, most_stages: int) -> tuple[Point, ...]:
        """Return the undominated (bottleneck, latency in ns) of at most so many devices and stages."""
        paths = self.paths(devices)
        limit = most_stages if paths.max_stages is None else min(most_stages, paths.max_stages)
        return _front(replace(paths, max_stages=limit))

    def within(self, latency_ns: int) -> tuple[int, ...]:
        """Return the smallest bottleneck of at most k devices within a latency, k = 0..tpus, or `IMPOSSIBLE`."""
        kept = [
            min((p.bottleneck_ns for p in self.fronts[k] if p.cost <= latency_ns), default=IMPOSSIBLE)
            for k in range(1, self.tpus + 1)
        ]
        return (IMPOSSIBLE, *kept)

    def pipeline(self, devices: int, bottleneck_ns: int) -> Pipeline:
        """Return the preferred pipeline that keeps a bottleneck: of the smallest latency; there must be one."""
        return self._best(self.paths(devices), devices, bottleneck_ns)

    def frugal_pipeline(self, cost: str, devices: int, bottleneck_ns: int) -> Pipeline:
        """Return the pipeline that keeps a bottleneck at the least cost; there must be one."""
        return self._best(self.paths(devices, cost), devices, bottleneck_ns)

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
                max_stages=self.constraints.most_stages,
                allowed_at=self.constraints.allowed_at(self.table),
                cost=None if cost == "latency" else self.costs(cost),
            )
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[int, str], Paths]:
        return {}

    @cached_property
    def _fronts(self) -> dict[str, dict[int, tuple[Point, ...]]]:
        return {}


def _front(paths: Paths) -> tuple[Point, ...]:
    """Lower the bottleneck bit by bit; each time the cheapest path that keeps it is the next point."""
    points: list[Point] = []
    bound, costs = IMPOSSIBLE - 1, paths.time if paths.cost is None else paths.cost
    while (arcs := paths.best(paths.most, bound)) is not None:
        bottleneck = max(-(-int(paths.time[a, b]) // r) for a, b, r in arcs)
        point = Point(bottleneck, sum(int(costs[a, b]) for a, b, _ in arcs))
        if points and points[-1].cost == point.cost:
            points.pop()
        points.append(point)
        bound = bottleneck - 1
    return tuple(points)
