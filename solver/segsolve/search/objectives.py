"""One function per objective: which pipelines, of how many devices and which bottleneck, answer it best.

Each takes what single pipelines can do and returns the layouts that are equally good; the caller tells them apart.
A layout is a list of choices: the devices of a pipeline and the bottleneck in ns that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from segsolve.solvers.dynamic.mix import Mix, mixes
from segsolve.solvers.dynamic.pipelines import Pipelines

Choice = tuple[int, int]  # devices, bottleneck in ns


@dataclass(frozen=True, slots=True)
class Finding:
    """The best value of an objective, exact, and the layouts that have it; none if nothing is possible."""

    value: Fraction
    layouts: tuple[tuple[Choice, ...], ...]


NOTHING = Finding(Fraction(0), ())


def throughput(pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
    """Return the smallest time per inference in ns."""
    bottlenecks = _bottlenecks(pipelines)
    mix = mixes(bottlenecks, tpus, single=single)[tpus]
    if mix.rate <= 0 or not pipelines.constraints.allow_rate(mix.rate):
        return NOTHING
    return Finding(1 / mix.rate, _choices(mix, bottlenecks))


def latency(pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
    """Return the smallest latency in ns with which the constraints hold, one inference at a time or at a rate."""
    return _least_latency(pipelines, lambda mix: pipelines.constraints.allow_rate(mix.rate), tpus, single=single)


def devices(pipelines: Pipelines, tpus: int, *, single: bool) -> Finding:
    """Return the fewest devices with which the constraints hold."""
    bottlenecks = _bottlenecks(pipelines)
    for count, mix in enumerate(mixes(bottlenecks, tpus, single=single)):
        if mix.rate > 0 and pipelines.constraints.allow_rate(mix.rate):
            return Finding(Fraction(count), _choices(mix, bottlenecks))
    return NOTHING


def pareto(pipelines: Pipelines, tpus: int, *, single: bool) -> tuple[tuple[int, int, Mix, tuple[int, ...]], ...]:
    """Return all undominated (devices, latency limit in ns, mix, bottlenecks by devices).

    Rate is better larger, devices and latency smaller. Sorted by devices, then by latency.
    """
    limit = pipelines.constraints.most_latency_ns
    found: list[tuple[int, int, Mix, tuple[int, ...]]] = []
    best: dict[int, list[tuple[int, Fraction]]] = {}
    for cap in sorted({ns for front in _points(pipelines).values() for _, ns in front if limit is None or ns <= limit}):
        bottlenecks = pipelines.within(cap)
        for count, mix in enumerate(mixes(bottlenecks, tpus, single=single)):
            fewer = (rate for n in range(count + 1) for _, rate in best.get(n, []))
            if mix.rate > max(fewer, default=Fraction(0)) and pipelines.constraints.allow_rate(mix.rate):
                best.setdefault(count, []).append((cap, mix.rate))
                found.append((count, cap, mix, bottlenecks))
    return tuple(sorted(found, key=lambda point: point[:2]))


def _bottlenecks(pipelines: Pipelines) -> tuple[int, ...]:
    limit = pipelines.constraints.most_latency_ns
    return pipelines.bottlenecks if limit is None else pipelines.within(limit)


def _choices(mix: Mix, bottlenecks: tuple[int, ...]) -> tuple[tuple[Choice, ...], ...]:
    return tuple(tuple((k, bottlenecks[k]) for k in layout) for layout in mix.layouts)


def _points(pipelines: Pipelines) -> dict[int, list[Choice]]:
    """Return the (bottleneck, latency) of each number of devices, within the limit of latency."""
    limit = pipelines.constraints.most_latency_ns
    return {
        k: [(p.bottleneck_ns, p.cost) for p in front if limit is None or p.cost <= limit]
        for k, front in pipelines.fronts.items()
    }


def _least_latency(pipelines: Pipelines, is_enough: Callable[[Mix], bool], tpus: int, *, single: bool) -> Finding:
    latencies = sorted({ns for front in _points(pipelines).values() for _, ns in front})
    low, high = 0, len(latencies)
    while low < high:
        middle = (low + high) // 2
        mix = mixes(pipelines.within(latencies[middle]), tpus, single=single)[tpus]
        low, high = (low, middle) if mix.rate > 0 and is_enough(mix) else (middle + 1, high)
    if low == len(latencies):
        return NOTHING
    bottlenecks = pipelines.within(latencies[low])
    enough = next(m for m in mixes(bottlenecks, tpus, single=single) if m.rate > 0 and is_enough(m))
    return Finding(Fraction(latencies[low]), _choices(enough, bottlenecks))
