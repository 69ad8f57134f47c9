"""What people do with several models and some TPUs without a solver, at the same costs: what a plan is held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from segsolve.cost.stage import placements, stage_score
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.pool.answer import COPIES, DEDICATED, SHARED, PoolAnswer
from segsolve.pool.evaluate import check_pool, device_scores, score_pool
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
        Way(name="placed", text="whole models, some co-compiled", period=_placed(problem)),
        Way(name="all", text="all on every TPU, co-compiled", period=all_on_every(problem)),
        Way(
            name="swap",
            text="all on every TPU, swapped",
            period=swapping(problem),
        ),
    ]


def ways_beside(answer: PoolAnswer) -> list[Way]:
    """Return the simple uses, and the best plans of each family that an answer about rates knows."""
    named = {DEDICATED: ("dedicated", "pipelines, TPUs of their own"), SHARED: ("shared", "pipelines, shared TPUs")}
    named[COPIES] = "copies", "copies too, on shared TPUs"
    return simple_ways(answer.problem) + [
        Way(name=named[own.name][0], text=named[own.name][1], period=own.value, bound=own.bound)
        for own in answer.families
    ]


def swapping(problem: PoolProblem) -> Fraction | None:
    """Return the period where every TPU runs all models, each compiled by itself; None where that is not allowed.

    A model's weights are evicted by the next one's, so that all of them come from the host at every inference; nothing
    is gained from the memory.
    """

    def times(kind: int) -> list[int]:
        found = []
        for row in problem.costs:
            ops, costs = range(len(row[kind].ops)), row[kind].ops
            cached = (p.op for p in placements(row[kind], ops) if p.cached)
            found.append(
                stage_score(row[kind], ops).time_ns + sum(costs[op].streamed_ns - costs[op].compute_ns for op in cached)
            )
        return found

    return None if _forbids_spills(problem) else _on_every(problem, times)


def _whole(problem: PoolProblem) -> Fraction | None:
    """Copies of whole models; a model's rate on some TPUs is the sum of theirs."""

    def rate(model: int, k: tuple[int, ...]) -> Fraction:
        times = (_time(problem, model, kind) for kind in range(len(k)))
        return sum((Fraction(n, max(1, time)) for n, time in zip(k, times, strict=True) if time), Fraction(0))

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
        plan = by_first_stage(pipelines, len(problem.pool.devices))
        period = score_pool(problem, plan).period
        if (best is None or period < best) and not check_pool(problem, plan):
            best = period
    return best


def all_on_every(problem: PoolProblem) -> Fraction | None:
    """Return the period where all TPUs do the same; the order is the one in which the models were named.

    With copies of models on shared TPUs, this is no plan that is searched for.
    """

    def times(kind: int) -> list[int]:
        costs = [row[kind] for row in problem.costs]
        scores = device_scores(costs, [range(len(c.ops)) for c in costs])
        spills = _forbids_spills(problem) and any(score.spilled_ops for score in scores)
        return [] if spills else [score.time_ns for score in scores]

    return _on_every(problem, times)


def _on_every(problem: PoolProblem, times: Callable[[int], list[int]]) -> Fraction | None:
    """Return the period where each TPU runs all models in the `times` of its kind, on kinds that keep what is asked."""
    rate = Fraction(0)
    for kind, count in enumerate(problem.pool.counts):
        own = times(kind)
        if own and all(_is_kept(problem, m, sum(own)) for m in range(problem.models)):
            rate += Fraction(count, max(1, sum(w * t for w, t in zip(problem.workload.weights, own, strict=True))))
    return 1 / rate if rate else None


def _time(problem: PoolProblem, model: int, kind: int) -> int | None:
    """Return what a whole model takes by itself; None where that is not allowed."""
    costs = problem.costs[model][kind]
    score = stage_score(costs, range(len(costs.ops)))
    spills = _forbids_spills(problem) and score.spilled_ops
    return None if spills or not _is_kept(problem, model, score.time_ns) else score.time_ns


def _is_kept(problem: PoolProblem, model: int, latency_ns: int) -> bool:
    """Whether a whole model on one TPU, an inference of which takes so long, is what is asked for."""
    kept, ops = problem.workload.demands[model].kept, tuple(range(len(problem.costs[model][0].ops)))
    whole = Plan(pipelines=(Pipeline(stages=(Stage(ops=ops),)),))
    return kept.allow_latency(latency_ns) and kept.allow_stages(whole)


def _forbids_spills(problem: PoolProblem) -> bool:
    return problem.costs[0][0].no_spill
