"""What the claims, once checked, say of single pipelines and of layouts: bounds that no plan can better.

A claim rules out a region: pipelines of at most so many devices with a bottleneck below one figure and a cost below
another. What a claim leaves is a staircase of corners (bottleneck, cost), each better than any pipeline there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.document import Claim

Corner = tuple[int, int]  # bottleneck in ns, cost

_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class _Region:
    """No pipeline of at most `tpus` devices has a bottleneck and a cost both below these; `_NEVER` for any.

    It is about pipelines of at most `stages` stages.
    """

    tpus: int
    below_ns: int
    below_cost: int
    stages: int = _NEVER


def corners(claims: Iterable[Claim], cost: str, *, tpus: int, latency_ns: int | None = None) -> list[list[Corner]]:
    """Return for 0..`tpus` devices the corners of what no claim rules out, by ascending cost.

    `cost` is that of the corners, "latency" or "bytes". With `latency_ns`, of pipelines within that latency only.
    """
    found = (_region(claim, cost, latency_ns) for claim in claims)
    regions = [region for region in found if region is not None and region.stages == _NEVER]
    most = latency_ns if cost == "latency" and latency_ns is not None else _NEVER - 1
    return [[]] + [_staircase([r for r in regions if r.tpus >= k], most) for k in range(1, tpus + 1)]


def bottlenecks(claims: Iterable[Claim], *, tpus: int, latency_ns: int | None = None) -> list[int | None]:
    """Return for 0..`tpus` devices a bound on the bottleneck in ns within a latency; None: there is no pipeline."""
    found = corners(claims, "none", tpus=tpus, latency_ns=latency_ns)
    return [steps[0][0] if steps else None for steps in found]


def by_stages(claims: Iterable[Claim], *, tpus: int, latency_ns: int | None = None) -> list[list[Corner]]:
    """Return for 0..`tpus` devices the (bottleneck in ns, stages) of what no claim rules out within a latency.

    A pipeline of more devices than stages has replicas, so that there are at most as many stages as devices.
    """
    found = (_of_stages(claim, latency_ns) for claim in claims)
    regions = [region for region in found if region is not None]
    steps: list[list[Corner]] = [[]]
    for count in range(1, tpus + 1):
        steps.append([])
        for stages in range(1, count + 1):
            floors = (r.below_ns for r in regions if r.tpus >= count and r.stages >= stages)
            floor = max(floors, default=0)
            if floor < (steps[-1][-1][0] if steps[-1] else _NEVER):
                steps[-1].append((floor, stages))
    return steps


def _of_stages(claim: Claim, latency_ns: int | None) -> _Region | None:
    """Return what a claim rules out by the number of stages: fewer than it says, if they are what it counts."""
    if claim.cost == "stages" and claim.at_least is not None:
        below = _NEVER if claim.below_ns is None else claim.below_ns
        return _Region(claim.tpus, below, _NEVER, min(_stages(claim), claim.at_least - 1))
    region = _region(claim, "none", latency_ns)
    return region if region is None or region.below_cost == _NEVER else None


def _stages(claim: Claim) -> int:
    return _NEVER if claim.most_stages is None else claim.most_stages


def most_rate(floors: Sequence[int | None], *, single: bool) -> list[Fraction]:
    """Return for each number of devices a bound on the rate, in inferences per ns, of all layouts of so many."""
    rates = [Fraction(0) if floor is None else Fraction(1, max(1, floor)) for floor in floors]
    return rates if single else [Fraction(best) for best in _knapsack(rates)]


def most_done(steps: Sequence[Sequence[Corner]], done: Callable[[int, Corner], int], *, single: bool) -> int:
    """Return a bound on what all devices do together; `done` says what a pipeline of so many and of a corner does."""
    counts = [max((done(count, corner) for corner in corners), default=0) for count, corners in enumerate(steps)]
    return counts[-1] if single else int(_knapsack([Fraction(count) for count in counts])[-1])


def _knapsack(worth: Sequence[Fraction]) -> list[Fraction]:
    """Return the most that parts which sum to 0, 1, ... at most are worth."""
    best = [Fraction(0)]
    for total in range(1, len(worth)):
        best.append(max(best[-1], *(worth[k] + best[total - k] for k in range(1, total + 1))))
    return best


def _region(claim: Claim, cost: str, latency_ns: int | None) -> _Region | None:
    below = _NEVER if claim.below_ns is None else claim.below_ns
    if claim.cost is None or claim.at_least is None:
        return _Region(claim.tpus, below, _NEVER, _stages(claim))
    if claim.cost == "latency" and latency_ns is not None and latency_ns < claim.at_least:
        return _Region(claim.tpus, below, _NEVER, _stages(claim))
    return _Region(claim.tpus, below, claim.at_least, _stages(claim)) if claim.cost == cost else None


def _staircase(regions: Sequence[_Region], most: int) -> list[Corner]:
    """Return the corners of what the regions leave, those with costs up to `most`."""
    left = sorted(regions, key=lambda r: r.below_cost)
    steps: list[Corner] = []
    bottleneck = 0
    for cost in sorted({0, *(r.below_cost for r in regions if r.below_cost <= most)}, reverse=True):
        while left and left[-1].below_cost > cost:
            bottleneck = max(bottleneck, left.pop().below_ns)
        if steps and steps[-1][0] == bottleneck:
            steps.pop()
        if bottleneck < _NEVER:
            steps.append((bottleneck, cost))
    return steps[::-1]
