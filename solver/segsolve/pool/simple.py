"""What people do with several models and some TPUs without a solver, at the same costs: what a plan is held to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from segsolve.cost.stage import placements, stage_score
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.evaluate import device_scores, score_pool
from segsolve.pool.exclusive import best_split
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolStage, by_first_stage

_MOST_PLACEMENTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to use a pool: its period in ns, None where it is impossible, and no period of it is below `bound`."""

    name: str
    text: str
    period: Fraction | None
    bound: Fraction | None = None


def simple_ways(problem: PoolProblem) -> list[Way]:
    """Return what the simple uses of a pool come to."""
    return [
        Way(name="whole", text="whole models, TPUs of their own", period=_whole(problem)),
        Way(name="placed", text="whole models, co-compiled where they meet", period=_placed(problem)),
        Way(name="all", text="all on every TPU, co-compiled", period=all_on_every(problem)),
        Way(
            name="swap",
            text="all on every TPU, compiled apart and swapped",
            period=swapping(problem),
        ),
    ]


def ways_beside(dedicated: PoolAnswer, shared: PoolAnswer | None, problem: PoolProblem) -> list[Way]:
    """Return the simple uses, the best without shared TPUs, and the best with them."""
    found = simple_ways(problem)
    found.append(
        Way(name="dedicated", text="pipelines, TPUs of their own", period=dedicated.value, bound=dedicated.bound)
    )
    if shared is not None:
        found.append(
            Way(name="shared", text="pipelines, TPUs shared and co-compiled", period=shared.value, bound=shared.bound)
        )
    return found


def swapping(problem: PoolProblem) -> Fraction | None:
    """Return the period where every TPU runs all models, each compiled by itself.

    A model's weights are evicted by the next one's, so that all of them come from the host at every inference; nothing
    is gained from the memory.
    """
    rate = Fraction(0)
    for kind, count in enumerate(problem.pool.counts):
        load = 0
        for m, weight in enumerate(problem.workload.weights):
            costs = problem.costs[m][kind]
            ops = range(len(costs.ops))
            cached = sum(
                costs.ops[p.op].streamed_ns - costs.ops[p.op].compute_ns for p in placements(costs, ops) if p.cached
            )
            load += weight * (stage_score(costs, ops).time_ns + cached)
        rate += Fraction(count, max(1, load))
    return 1 / rate


def _whole(problem: PoolProblem) -> Fraction | None:
    """Copies of whole models; a model's rate on some TPUs is the sum of theirs."""

    def rate(model: int, k: tuple[int, ...]) -> Fraction:
        times = (_time(problem, model, kind) for kind in range(len(k)))
        return sum((Fraction(n, max(1, time)) for n, time in zip(k, times, strict=True)), Fraction(0))

    best = best_split(problem, rate)
    return 1 / best if best else None


def _placed(problem: PoolProblem) -> Fraction | None:
    devices = range(len(problem.pool.devices))
    if len(devices) ** problem.models > _MOST_PLACEMENTS:
        devices = range(min(len(devices), problem.models * len(problem.pool.kinds)))
    best: Fraction | None = None
    for where in product(devices, repeat=problem.models):
        if len(devices) ** problem.models > _MOST_PLACEMENTS:
            return best
        pipelines = tuple(
            PoolPipeline(model=m, stages=(PoolStage(ops=tuple(range(len(row[0].ops))), devices=(d,)),))
            for m, (row, d) in enumerate(zip(problem.costs, where, strict=True))
        )
        period = score_pool(problem, by_first_stage(pipelines, len(problem.pool.devices))).period
        best = period if best is None else min(best, period)
    return best


def all_on_every(problem: PoolProblem) -> Fraction:
    """Return the period where all TPUs do the same; the order is the one in which the models were named.

    With copies of models on shared TPUs, this is no plan that is searched for.
    """
    rate = Fraction(0)
    for kind, count in enumerate(problem.pool.counts):
        costs = [row[kind] for row in problem.costs]
        scores = device_scores(costs, [range(len(c.ops)) for c in costs])
        load = sum(w * s.time_ns for w, s in zip(problem.workload.weights, scores, strict=True))
        rate += Fraction(count, max(1, load))
    return 1 / rate


def _time(problem: PoolProblem, model: int, kind: int) -> int:
    costs = problem.costs[model][kind]
    return stage_score(costs, range(len(costs.ops))).time_ns
