"""All undominated trade-offs of single pipelines between devices, bottleneck and several costs at once.

Exact, and only for few states: what is carried from state to state are the undominated (devices, bottleneck, costs) of
the ways to the end, of which there can be very many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.solvers.dynamic.paths import Arc, Paths
from segsolve.solvers.dynamic.pipelines import Pipelines

MOST_LABELS = 200_000
"""Made before it is given up; a few seconds."""


@dataclass(frozen=True, slots=True)
class Corner:
    """A pipeline: its devices, its bottleneck in ns, what it adds up to of each cost, and its stages."""

    devices: int
    bottleneck_ns: int
    costs: tuple[int, ...]
    stages: tuple[Arc, ...]

    @property
    def key(self) -> tuple[int, ...]:
        """What is traded, smaller being better."""
        return (self.devices, self.bottleneck_ns, *self.costs)


def corners(paths: Paths, costs: Sequence[NDArray[np.int64]]) -> tuple[Corner, ...] | None:
    """Return the undominated pipelines of at most `paths.most` devices; None if there are too many on the way."""
    made = 0
    end = len(paths.time) - 1
    layers: list[list[list[Corner]]] = [[[] for _ in range(end)] + [[Corner(0, 0, (0,) * len(costs), ())]]]
    count = paths.most_stages if paths.is_layered else 1
    for layer in range(count - 1, -1, -1):
        after = layers[0]
        here: list[list[Corner]] = after if not paths.is_layered else [[] for _ in range(end)] + [after[end]]
        allowed = paths.allowed_at(layer) if paths.allowed_at else None
        for state in range(end - 1, -1, -1):
            check()
            grown: list[Corner] = []
            for there in np.flatnonzero(paths.time[state] < IMPOSSIBLE).tolist():
                if allowed is None or allowed[state, there]:
                    grown += _through(paths, costs, (state, there), after[there])
            made += len(grown)
            if made > MOST_LABELS:
                return None
            here[state] = undominated(grown)
        if paths.is_layered:
            layers.insert(0, here)
    return tuple(layers[0][0])


def corners_by_stages(pipelines: Pipelines) -> tuple[Corner, ...]:
    """Return the undominated pipelines in devices, bottleneck, latency and number of stages, however many states."""
    found = pipelines.by_stages.items()
    return tuple(undominated(Corner(k, point.bottleneck_ns, (point.cost, n), arcs) for (k, n, point), arcs in found))


def undominated(found: Iterable[Corner]) -> list[Corner]:
    """Return those that no other is as good as in all respects."""
    kept: list[Corner] = []
    for corner in sorted(found, key=lambda c: (c.key, len(c.stages), c.stages)):
        if not any(all(a <= b for a, b in zip(k.key, corner.key, strict=True)) for k in kept):
            kept.append(corner)
    return kept


def _through(
    paths: Paths, costs: Sequence[NDArray[np.int64]], stage: tuple[int, int], rest: Sequence[Corner]
) -> Iterable[Corner]:
    """Return the ways to the end that begin with a stage, on as many devices as make a difference."""
    time = int(paths.time[stage])
    added = [int(cost[stage]) for cost in costs]
    for devices in range(1, paths.most + 1 if paths.replicate else 2):
        share = -(-time // devices)
        if devices > 1 and share == -(-time // (devices - 1)):
            continue
        for corner in rest:
            if corner.devices + devices <= paths.most:
                yield Corner(
                    corner.devices + devices,
                    max(share, corner.bottleneck_ns),
                    tuple(a + b for a, b in zip(added, corner.costs, strict=True)),
                    ((*stage, devices), *corner.stages),
                )
