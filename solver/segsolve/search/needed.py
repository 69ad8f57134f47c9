"""Which claims about single pipelines it takes to show that no layout is faster, where all share one thing.

All corners of all sizes would do, but they are a hundred for 16 devices, and most lie where no good layout goes. So
claims are added only against corners that are better than any pipeline and that a layout which is as fast might have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from segsolve.cost.table import IMPOSSIBLE
from segsolve.solvers.dynamic.pipelines import Pipelines, Point
from segsolve.solvers.dynamic.shared import promising
from segsolve.solvers.statement import Statement


@dataclass(frozen=True, slots=True)
class _Region:
    """No pipeline of at most so many devices is below both; `IMPOSSIBLE` stands for any."""

    devices: int
    below_ns: int
    below_cost: int


def needed(
    pipelines: Pipelines, cost: str, devices: int, takes: Callable[[int], int], most: Fraction
) -> list[Statement]:
    """Return claims under which no layout of at most so many devices has a rate of more than `most`, as is the case.

    `takes` says for how many ns an inference of a cost, "bytes" or "stages", occupies what is shared; rates are in
    inferences per ns. A question for one pipeline has layouts of one.
    """
    sizes = range(1 if pipelines.replicate else devices, devices + 1)
    known = [region for k in sizes for region in _regions(k, pipelines.shared_fronts(cost)[k])]
    chosen = [region for region in known if region.below_cost == IMPOSSIBLE]
    least = 1 if cost == "stages" else 0
    while devices:
        left = {k: _corners((region for region in chosen if region.devices >= k), least) for k in sizes}
        tempting = promising(left, takes, devices, most)
        more = [region for k, corner in tempting for region in _against(known, k, corner)]
        if not more:
            break  # what is left are pipelines that there are, of which none is faster
        chosen += more
    return [_statement(pipelines, cost, region) for region in chosen]


def _regions(devices: int, front: Iterable[Point]) -> list[_Region]:
    """Return what the undominated pipelines of at most so many devices leave no room for."""
    points = [Point(IMPOSSIBLE, 0), *front]
    between = [_Region(devices, here.bottleneck_ns, after.cost) for here, after in pairwise(points)]
    return [*between, _Region(devices, points[-1].bottleneck_ns, IMPOSSIBLE)]


def _corners(regions: Iterable[_Region], least: int) -> list[tuple[int, int]]:
    """Return the (bottleneck in ns, cost) that regions leave, each better than any pipeline, of costs from `least`."""
    listed = list(regions)
    found: list[tuple[int, int]] = []
    for cost in sorted({least, *(r.below_cost for r in listed if least < r.below_cost < IMPOSSIBLE)}):
        bottleneck = max((r.below_ns for r in listed if r.below_cost > cost), default=0)
        if bottleneck < (found[-1][0] if found else IMPOSSIBLE):
            found.append((max(1, bottleneck), cost))
    return found


def _against(known: list[_Region], devices: int, corner: tuple[int, int]) -> list[_Region]:
    """Return, of the regions of so many devices that hold a corner, the one in the middle; nothing if it is free."""
    holding = [r for r in known if r.devices == devices and r.below_ns > corner[0] and r.below_cost > corner[1]]
    return holding[len(holding) // 2 :][:1]


def _statement(pipelines: Pipelines, cost: str, region: _Region) -> Statement:
    paths = pipelines.paths(region.devices)
    if region.below_cost == IMPOSSIBLE:
        return Statement(paths=paths, below_ns=region.below_ns)
    if cost == "stages":  # to look at pipelines of fewer stages takes less than to count what each adds up to
        limit = region.below_cost - 1
        return Statement(paths=replace(paths, max_stages=limit), below_ns=region.below_ns, most_stages=limit)
    return Statement(
        paths=paths,
        below_ns=region.below_ns,
        cost=pipelines.costs(cost),
        at_least=region.below_cost,
        cost_name=cost,
    )
