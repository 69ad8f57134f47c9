"""The latency bound: a worst latency that no plan which makes some rates is below, whatever its copies.

With a price for a ns of each model's latency beside those of time, memory, links and host (`resources`), a pipeline
costs at least the cheapest way through its model's states, of which its own latency is a part: so that for any prices

    sum over models of the cheapest way  <=  what all there is in the period P costs  +  the latency's prices times L

where P is what the rates leave. What a stage waits for on a shared TPU is left aside.
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
        self._stock = np.concatenate((self._stock + self._per_ns * whole, np.zeros(models, dtype=np.int64)))
        self._per_ns = np.concatenate((np.zeros_like(self._per_ns), np.ones(models, dtype=np.int64)))
        for m, (ways, weight) in enumerate(zip(self._ways, problem.workload.weights, strict=True)):
            more: Ints = np.zeros((len(ways.takes), models), dtype=np.int64)
            more[:, m] = ways.takes[:, :kinds].sum(axis=1) // weight  # which is the time of the stage
            self._ways[m] = replace(
                ways, takes=np.hstack((ways.takes, more)), always=np.append(ways.always, np.zeros(models, np.int64))
            )

    def raised(self) -> tuple[Prices, Fraction] | None:
        """Return good prices and the latency that they prove; None if there was no time, or no plan.

        Those of one model's latency alone prove what it takes on TPUs of its own.
        """
        searched = super().raised()
        if searched is None:
            return None
        zeros = (0,) * self._problem.models
        one = replace(
            searched[0],
            time=tuple(0 for _ in searched[0].time),
            memory=tuple(0 for _ in searched[0].memory),
            links=tuple(0 for _ in searched[0].links),
            host=0,
            cores=0,
        )
        single = [replace(one, latency=(*zeros[:m], 1, *zeros[m + 1 :])) for m in range(len(zeros))]
        return max([searched, *((prices, self.proven(prices)) for prices in single)], key=lambda found: found[1])

    def _first(self) -> Floats:
        """Return prices to begin with: all of latency the same."""
        return np.asarray(self._per_ns / float(self._per_ns.sum()))
