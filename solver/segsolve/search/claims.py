"""What an answer claims of single pipelines; its proof, CP-SAT's program and the certificate all rest on these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from segsolve.cost.table import IMPOSSIBLE
from segsolve.solvers.dynamic.pipelines import Pipelines, Point
from segsolve.solvers.statement import Statement

BY_STAGES = "latency by stages"
"""What pipelines trade where latency counts and the host limits, whose share depends on the number of stages."""


def by_bottleneck(pipelines: Pipelines, sizes: range) -> Iterator[Statement]:
    """Yield that no pipeline of at most k devices is faster than the best that was found, within the latency."""
    limit = pipelines.constraints.most_latency_ns
    if limit is not None:
        yield from within(pipelines, limit, sizes)
        return
    for k, best in _steps(pipelines.bottlenecks, sizes):
        yield Statement(paths=pipelines.paths(k), below_ns=best)


def no_pipeline(pipelines: Pipelines) -> tuple[Statement, ...]:
    """Return what must hold if no pipeline keeps the constraints, those of latency among them."""
    limit = pipelines.constraints.most_latency_ns
    if limit is None:
        return (Statement(paths=pipelines.paths(pipelines.tpus), below_ns=IMPOSSIBLE),)
    return tuple(within(pipelines, limit, range(pipelines.tpus, pipelines.tpus + 1)))


def within(pipelines: Pipelines, latency_ns: int, sizes: range) -> Iterator[Statement]:
    """Yield that no pipeline of at most k devices is faster within a latency."""
    for k, best in _steps(pipelines.within(latency_ns), sizes):
        paths = pipelines.paths(k)
        yield Statement(paths=paths, below_ns=best, cost=paths.time, at_least=latency_ns + 1, cost_name="latency")


def corners(pipelines: Pipelines, fronts: dict[int, tuple[Point, ...]], cost: str) -> Iterator[Statement]:
    """Yield that whoever wants less than a point's bottleneck pays the next point's cost at least."""
    for k, front in fronts.items():
        paths = pipelines.paths(k)
        amounts = pipelines.costs(cost)
        if not front:
            yield Statement(paths=paths, below_ns=IMPOSSIBLE)
            continue
        yield Statement(paths=paths, below_ns=IMPOSSIBLE, cost=amounts, at_least=front[0].cost, cost_name=cost)
        for here, after in pairwise(front):
            yield Statement(paths=paths, below_ns=here.bottleneck_ns, cost=amounts, at_least=after.cost, cost_name=cost)
        yield Statement(paths=paths, below_ns=pipelines.bottlenecks[k])


def first_result(pipelines: Pipelines) -> Iterator[Statement]:
    """Yield that no pipeline has its first result earlier, or a smaller bottleneck, than the best on all devices."""
    paths = pipelines.paths(pipelines.tpus)
    latency_ns = pipelines.front(pipelines.tpus)[0].cost
    yield Statement(paths=paths, below_ns=IMPOSSIBLE, cost=paths.time, at_least=latency_ns, cost_name="latency")
    yield Statement(paths=paths, below_ns=pipelines.bottlenecks[-1])


def by_stages(pipelines: Pipelines, claims: Callable[[Pipelines], Iterable[Statement]]) -> Iterator[Statement]:
    """Yield claims about all pipelines, and what more they say of those of fewer stages than devices.

    The host's share of an inference depends on its stages. None is there that another one implies.
    """
    kept: list[Statement] = []
    for most in (None, *range(pipelines.tpus - 1, 0, -1)):
        limited = pipelines if most is None else pipelines.fed(most)
        for found in sorted(claims(limited), key=lambda s: -s.paths.most):
            statement = replace(found, most_stages=most)
            if (most is None or found.paths.most > most) and not any(_implies(one, statement) for one in kept):
                kept.append(statement)
                yield statement


def _implies(one: Statement, other: Statement) -> bool:
    """Whether a claim says what another one does, of as many devices and stages or more."""
    if one.paths.most < other.paths.most or one.below_ns < other.below_ns:
        return False
    if one.cost is not None and (one.cost_name != other.cost_name or one.at_least < other.at_least):
        return False
    return one.most_stages is None or (other.most_stages is not None and one.most_stages >= other.most_stages)


def _steps(bottlenecks: tuple[int, ...], sizes: range) -> Iterator[tuple[int, int]]:
    """Yield the largest number of devices that has each bottleneck, so that it speaks for the smaller ones too."""
    for k in sizes:
        if k == sizes[-1] or bottlenecks[k + 1] < bottlenecks[k]:
            yield k, bottlenecks[k]
