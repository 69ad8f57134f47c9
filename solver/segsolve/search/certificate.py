"""What proves an optimum to a program that believes nothing: integer potentials on the states of a problem's graph.

A claim says of all pipelines of at most `tpus` devices whose shares (ceil(stage time / replicas)) are all below
`below_ns` (None: whatever their shares) that none exists, or, with `cost` given, that each adds up to at least
`at_least`: its latency in ns or the bytes that it moves. Its potentials are numbers on the states, for the way from a
state to the end:

- without `cost`, `potentials[j][0][a]` is at most the number of devices that the rest needs. So it is 0 at the end,
  at most need(a, b) + potentials[j'][0][b] for every stage a to b, and more than `tpus` at the start, where need is
  the least number of devices that keeps the stage's share below `below_ns`;
- with `cost`, `potentials[j][d][a]` is at most what the rest adds up to with d devices. So it is 0 at the end for
  every d, at most cost(a, b) + potentials[j'][d - need(a, b)][b], never grows with d, and is `at_least` at the start
  for d = `tpus`.

j is the number of the stage that begins, where it matters (pinned operations, or a limit to the number of stages):
then j' = j + 1, and the last layer allows no further stage. Elsewhere there is one layer, and j' = j = 0. `None` stands
for infinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.cost.stage_table import StageTable
from segsolve.plan.model import Plan
from segsolve.question import Layout, Objective, Question
from segsolve.search.paths import Paths
from segsolve.search.pipelines import Pipelines, Point

FORMAT, VERSION = "segsolve-certificate", 2

Potentials = list[list[list[int | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement about all pipelines of so many devices, and the numbers that prove it."""

    tpus: int
    below_ns: int | None
    cost: str | None = None
    at_least: int | None = None
    potentials: Potentials


def certificate(pipelines: Pipelines, question: Question, value: Fraction, *, on_link: bool = False) -> dict[str, Any]:
    """Return the document that proves the `value` of the question's objective as far as `pipelines` can.

    The value is in ns per inference (throughput), ns (latency, batch) or devices, as a numerator and a denominator; 0
    for `pareto`, whose points stand elsewhere. `on_link` says that the shared link is what limits the throughput.

    Raises:
        AssertionError: there is a better pipeline than the search found, a fault of the program.
    """
    problem, claims = pipelines.table.problem, _claims(pipelines, question, value)
    return {
        "format": FORMAT,
        "version": VERSION,
        "problem": asdict(problem),
        "question": asdict(question),
        "replicate": pipelines.replicate,
        "value": [value.numerator, value.denominator],
        "states": [_hexadecimal(row) for row in pipelines.table.members],
        "claims": [asdict(claim) for claim in (_link_claims(pipelines) if on_link else claims)],
    }


def ways(table: StageTable, plan: Plan) -> list[list[tuple[int, int]]]:
    """Return a plan's pipelines as ways through the states: for each stage the state that it ends at, its replicas."""
    index = {row.tobytes(): state for state, row in enumerate(table.members)}
    found = []
    for pipeline in plan.pipelines:
        done, steps = np.zeros_like(table.members[0]), []
        for stage in pipeline.stages:
            done[list(stage.ops)] = True
            steps.append((index[done.tobytes()], stage.replicas))
        found.append(steps)
    return found


def _claims(pipelines: Pipelines, question: Question, value: Fraction) -> Iterator[Claim]:
    tpus, limit = pipelines.tpus, question.constraints.max_latency_ns
    is_single = question.layout is Layout.PIPELINE and question.objective is not Objective.DEVICES
    sizes = range(tpus if is_single else 1, tpus + 1)  # one pipeline may as well have all TPUs
    if question.objective in (Objective.BATCH, Objective.PARETO):
        yield from _front_claims(pipelines)
    elif question.objective is Objective.LATENCY:
        yield from _limit_claims(pipelines, int(value) - 1, sizes)
    elif limit is not None:
        yield from _limit_claims(pipelines, limit, sizes)
    else:
        yield from _bottleneck_claims(pipelines, pipelines.bottlenecks, sizes)


def _bottleneck_claims(pipelines: Pipelines, bottlenecks: tuple[int, ...], sizes: range) -> Iterator[Claim]:
    """No pipeline of at most k devices is faster than the best that was found."""
    for k, best in _steps(bottlenecks, sizes):
        yield reach_claim(pipelines._paths(k), best)


def _limit_claims(pipelines: Pipelines, latency_ns: int, sizes: range) -> Iterator[Claim]:
    """No pipeline of at most k devices is faster within a latency."""
    for k, best in _steps(pipelines.within(latency_ns), sizes):
        yield cost_claim(pipelines._paths(k), best, "latency", latency_ns + 1)


def _front_claims(pipelines: Pipelines) -> Iterator[Claim]:
    for k, front in pipelines.fronts.items():
        yield from _corner_claims(pipelines._paths(k), front, "latency")


def _link_claims(pipelines: Pipelines) -> Iterator[Claim]:
    for k, front in pipelines.link_fronts.items():
        yield from _corner_claims(pipelines._paths(k, pipelines.table.moved_bytes), front, "bytes")


def _corner_claims(paths: Paths, front: tuple[Point, ...], cost: str) -> Iterator[Claim]:
    """Whoever wants less than a point's bottleneck pays at least the next point's cost."""
    if not front:
        yield reach_claim(paths, IMPOSSIBLE)
        return
    yield cost_claim(paths, IMPOSSIBLE, cost, front[0].cost)
    for here, after in pairwise(front):
        yield cost_claim(paths, here.bottleneck_ns, cost, after.cost)
    yield reach_claim(paths, front[-1].bottleneck_ns)


def _steps(bottlenecks: tuple[int, ...], sizes: range) -> Iterator[tuple[int, int]]:
    """Yield the largest number of devices that has each bottleneck, so that it speaks for the smaller ones too."""
    for k in sizes:
        if k == sizes[-1] or bottlenecks[k + 1] < bottlenecks[k]:
            yield k, bottlenecks[k]


def reach_claim(paths: Paths, below_ns: int) -> Claim:
    """Return the claim that no pipeline keeps all its shares below a bound."""
    layers = paths.fewest_devices(below_ns - 1)
    assert layers[0][0] > paths.most, f"a pipeline of {paths.most} devices stays below {below_ns} ns"
    return Claim(
        tpus=paths.most,
        below_ns=_finite(below_ns),
        potentials=[[_listed(np.minimum(layer, paths.most + 1))] for layer in layers],
    )


def cost_claim(paths: Paths, below_ns: int, cost: str, at_least: int) -> Claim:
    """Return the claim that every pipeline whose shares stay below a bound adds up to at least so much."""
    layers = []
    for rows in paths.least_costs(below_ns - 1):
        at_most = np.minimum.accumulate(np.stack(rows), axis=0)
        layers.append(np.minimum(at_most, at_least))  # enough is enough, and makes the document smaller
    for layer in layers:
        layer[:, -1] = 0
    assert layers[0][paths.most][0] >= at_least, f"a pipeline of {paths.most} devices costs less than {at_least}"
    return Claim(
        tpus=paths.most,
        below_ns=_finite(below_ns),
        cost=cost,
        at_least=at_least,
        potentials=[[_listed(row) for row in layer] for layer in layers],
    )


def _listed(row: NDArray[np.int64]) -> list[int | None]:
    return [None if value >= IMPOSSIBLE else value for value in row.tolist()]


def _finite(value: int) -> int | None:
    return None if value >= IMPOSSIBLE else value


def _hexadecimal(members: NDArray[np.bool_]) -> str:
    """Write a set of operations as a number whose bit i says whether operation i is in it."""
    return f"{int.from_bytes(np.packbits(members, bitorder='little').tobytes(), 'little'):x}"
