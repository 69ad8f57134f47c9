"""The latency bound: a worst latency that no plan which makes some rates is below, whatever its copies.

With a price for a ns of each model's latency beside those of time, memory, links and host (`resources`), a pipeline
costs at least the cheapest way through its model's states, of which its own latency is a part: so that for any prices

    sum over models of the cheapest way  <=  what all there is in the period P costs  +  the latency's prices times L

where P is what the rates leave. What a stage waits for on a shared TPU counts in another way: whoever lives on a TPU
waits there for all others, so that no worst latency is below what all its residents take, an inference each. So the
TPUs of a kind have n L of that together, and this has a price for each kind, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.pool.arcs import Arcs
from segsolve.pool.model import MOST_PERIOD_NS, PoolProblem
from segsolve.pool.resources import Prices, ResourceBound
from segsolve.pool.steps import Steps
from segsolve.solvers.prices import Floats


def least_latency_ns(row: Sequence[Arcs], most_stages: int | None) -> int | None:
    """Return what an inference of a model takes at least, with TPUs of its own of whatever kinds; None: no stages do.

    `row` are its stages on each kind. A stage has the room for its weights in which it is fastest.
    """
    states = len(row[0])
    times = np.full((states, states), IMPOSSIBLE, dtype=np.int64)
    for arcs in row:
        steps = Steps(arcs, IMPOSSIBLE - 1)
        stage, _, time, _ = steps.takes
        np.minimum.at(times, (steps.pairs[0][stage], steps.pairs[1][stage]), time)
    least = np.where(np.arange(states) == 0, 0, IMPOSSIBLE)
    for _ in range(min(states - 1, most_stages or states)):
        least = np.minimum(least, (least[:, None] + times).min(axis=0))
    return int(least[-1]) if least[-1] < IMPOSSIBLE else None


class LatencyBound(ResourceBound):
    """The bound of a problem that is asked for the least latency; `raised` looks for prices."""

    def __init__(self, problem: PoolProblem, arcs: Sequence[Sequence[Arcs]], wanted_fps: Fraction) -> None:
        super().__init__(problem, arcs)
        period, kinds, models = Fraction(10**9) / wanted_fps, len(problem.pool.kinds), problem.models
        whole = min(MOST_PERIOD_NS, -(-period.numerator // period.denominator))  # which no plan's loads exceed
        zeros = np.zeros(models + kinds, dtype=np.int64)
        self._stock = np.concatenate((self._stock + self._per_ns * whole, zeros))
        in_a_ns = np.array([1] * models + list(problem.pool.counts), dtype=np.int64)
        self._per_ns = np.concatenate((np.zeros_like(self._per_ns), in_a_ns))
        for m, (ways, weight) in enumerate(zip(self._ways, problem.workload.weights, strict=True)):
            times = ways.takes[:, :kinds] // weight  # of the stages, each on its kind
            latency: Ints = np.zeros((len(times), models), dtype=np.int64)
            latency[:, m] = times.sum(axis=1)
            self._ways[m] = replace(
                ways, takes=np.hstack((ways.takes, latency, times)), always=np.append(ways.always, zeros)
            )

    def raised(self) -> tuple[Prices, Fraction] | None:
        """Return good prices and the latency that they prove; None if there was no time, or no plan.

        Those of one model's latency alone prove what it takes on TPUs of its own, those of turns alone what all models
        take, divided among the TPUs.
        """
        searched = super().raised()
        if searched is None:
            return None
        none, zeros = (0,) * len(self._problem.pool.kinds), (0,) * self._problem.models
        one = replace(
            searched[0],
            time=tuple(0 for _ in searched[0].time),
            memory=tuple(0 for _ in searched[0].memory),
            links=tuple(0 for _ in searched[0].links),
            host=0,
            cores=0,
            latency=zeros,
            turns=none,
        )
        single = [replace(one, latency=(*zeros[:m], 1, *zeros[m + 1 :])) for m in range(len(zeros))]
        single.append(replace(one, turns=(1,) * len(none)))
        return max([searched, *((prices, self.proven(prices)) for prices in single)], key=lambda found: found[1])

    def _first(self) -> Floats:
        """Return prices to begin with: all of latency and turns the same."""
        return np.asarray((self._per_ns > 0) / float(self._per_ns.sum()))
