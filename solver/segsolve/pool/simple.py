"""What people do with several models and some TPUs without a solver, at the same costs: what a plan is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from segsolve.cost.stage import placements, stage_score
from segsolve.deadline import is_over
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.pool.answer import COPIES, DEDICATED, SHARED, PoolAnswer
from segsolve.pool.evaluate import check_pool, device_scores, score_pool
from segsolve.pool.exclusive import best_split
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage

_MOST_PLACEMENTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to use a pool: its period in ns, None where it is impossible, and no period of it is below `bound`."""

    name: str
    text: str
    period: Fraction | None
    bound: Fraction | None = None


def simple_plans(problem: PoolProblem, shared: Mapping[str, PoolPlan] | None = None) -> dict[str, PoolPlan]:
    """Return the plans that simple uses of a pool are, by name, as far as they keep what is asked for."""
    whole = _whole(problem)
    return ({"whole": whole} if whole else {}) | dict(simple_shared(problem) if shared is None else shared)


def simple_shared(problem: PoolProblem) -> dict[str, PoolPlan]:
    """Return those of them in which models may share TPUs."""
    found = {"placed": _placed(problem), "all": _all_on_every(problem)}
    return {name: plan for name, plan in found.items() if plan is not None}


def simple_ways(problem: PoolProblem, shared: Mapping[str, PoolPlan] | None = None) -> list[Way]:
    """Return what the simple uses of a pool come to, links and host included; `shared`, if they are known already."""
    plans = simple_plans(problem, shared)
    named = {
        "whole": "whole models, TPUs of their own",
        "placed": "whole models, some co-compiled",
        "all": "all on every TPU, co-compiled",
    }
    found = [
        Way(name=name, text=text, period=score_pool(problem, plans[name]).period if name in plans else None)
        for name, text in named.items()
    ]
    return [*found, Way(name="swap", text="all on every TPU, swapped", period=swapping(problem))]


def ways_beside(answer: PoolAnswer) -> list[Way]:
    """Return the simple uses, and the best plans of each family that an answer about rates knows."""
    named = {DEDICATED: ("dedicated", "pipelines, TPUs of their own"), SHARED: ("shared", "pipelines, shared TPUs")}
    named[COPIES] = "copies", "copies too, on shared TPUs"
    best = {own.name: own.value for own in answer.families}
    if COPIES in best:  # of which plans without any are some
        best[COPIES] = min((value for value in best.values() if value is not None), default=None)
    return simple_ways(answer.problem, answer.simple_shared) + [
        Way(name=named[own.name][0], text=named[own.name][1], period=best[own.name], bound=own.bound)
        for own in answer.families
    ]


def swapping(problem: PoolProblem) -> Fraction | None:
    """Return the period where every TPU runs all models, each compiled by itself; None where that is not allowed.

    A model's weights are evicted by the next one's, so that all of them come from the host at every inference; nothing
    is gained from the memory. That more then moves on links is left aside.
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

    if _forbids_spills(problem) or (found := _on_every(problem, times)) is None:
        return None
    rate, plan = found
    score = score_pool(problem, plan)
    return max(1 / rate, score.host_load, *score.link_loads)


def _all_on_every(problem: PoolProblem) -> PoolPlan | None:
    """Return the plan in which all TPUs do the same; the order is the one in which the models were named."""

    def times(kind: int) -> list[int]:
        costs = [row[kind] for row in problem.costs]
        scores = device_scores(costs, [range(len(c.ops)) for c in costs])
        spills = _forbids_spills(problem) and any(score.spilled_ops for score in scores)
        return [] if spills else [score.time_ns for score in scores]

    found = _on_every(problem, times)
    return found[1] if found else None


def _whole(problem: PoolProblem) -> PoolPlan | None:
    """Copies of whole models; what each does depends on its TPU."""

    def rate(model: int, k: tuple[int, ...]) -> Fraction:
        times = (_time(problem, model, kind) for kind in range(len(k)))
        return sum((Fraction(n, max(1, time)) for n, time in zip(k, times, strict=True) if time), Fraction(0))

    best, division = best_split(problem, rate)
    if not best:
        return None
    free = [[d for d, k in enumerate(problem.pool.devices) if k == kind] for kind in range(len(problem.pool.kinds))]
    pipelines = [
        _whole_model(problem, model, free[kind].pop(0))
        for model, counts in enumerate(division)
        for kind, count in enumerate(counts)
        for _ in range(count)
        if _time(problem, model, kind) is not None
    ]
    return by_first_stage(tuple(pipelines), len(problem.pool.devices))


def _placed(problem: PoolProblem) -> PoolPlan | None:
    placings = list(islice(_placings(problem.pool.devices, problem.models), _MOST_PLACEMENTS + 1))
    if len(placings) > _MOST_PLACEMENTS:
        return None
    best: tuple[Fraction, PoolPlan] | None = None
    for where in placings:
        if best is not None and is_over():
            break
        pipelines = tuple(_whole_model(problem, m, d) for m, d in enumerate(where))
        plan = by_first_stage(pipelines, len(problem.pool.devices))
        period = score_pool(problem, plan).period
        if (best is None or period < best[0]) and not check_pool(problem, plan):
            best = period, plan
    return best[1] if best else None


def _placings(kinds: Sequence[int], models: int) -> Iterator[tuple[int, ...]]:
    """Yield a device for each model, given each device's kind: of those that differ in which of alike ones, one."""
    if not models:
        yield ()
        return
    for others in _placings(kinds, models - 1):
        free = {kind: d for d, kind in reversed([*enumerate(kinds)]) if d not in others}
        yield from ((*others, d) for d in sorted({*others, *free.values()}))


def _whole_model(problem: PoolProblem, model: int, device: int, share: Fraction | None = None) -> PoolPipeline:
    ops = tuple(range(len(problem.costs[model][0].ops)))
    return PoolPipeline(model=model, stages=(PoolStage(ops=ops, devices=(device,)),), share=share)


def _on_every(problem: PoolProblem, times: Callable[[int], list[int]]) -> tuple[Fraction, PoolPlan] | None:
    """Return the periods per ns where each TPU runs all models in the `times` of its kind, and the plan.

    Kinds on which what is asked is not kept are not used.
    """
    rates: dict[int, Fraction] = {}
    for kind in range(len(problem.pool.kinds)):
        own = times(kind)
        if own and all(_is_kept(problem, m, kind, sum(own)) for m in range(problem.models)):
            load = sum(w * t for w, t in zip(problem.workload.weights, own, strict=True))
            rates[kind] = Fraction(1, max(1, load))
    used = {d: rates[kind] for d, kind in enumerate(problem.pool.devices) if kind in rates}
    if not used:
        return None
    rate = sum(used.values(), Fraction(0))
    pipelines = tuple(_whole_model(problem, m, d, own / rate) for m in range(problem.models) for d, own in used.items())
    return rate, by_first_stage(pipelines, len(problem.pool.devices))


def _time(problem: PoolProblem, model: int, kind: int) -> int | None:
    """Return what a whole model takes by itself; None where that is not allowed."""
    costs = problem.costs[model][kind]
    score = stage_score(costs, range(len(costs.ops)))
    spills = _forbids_spills(problem) and score.spilled_ops
    return None if spills or not _is_kept(problem, model, kind, score.time_ns) else score.time_ns


def _is_kept(problem: PoolProblem, model: int, kind: int, latency_ns: int) -> bool:
    """Whether a whole model on one TPU of a kind, an inference of which takes so long, is what is asked for."""
    demand, ops = problem.workload.demands[model], tuple(range(len(problem.costs[model][0].ops)))
    whole = Plan(pipelines=(Pipeline(stages=(Stage(ops=ops),)),))
    is_here = demand.on(problem.pool.kinds[kind].name).holds(ops)
    return is_here and demand.kept.allow_latency(latency_ns) and demand.kept.allow_stages(whole)


def _forbids_spills(problem: PoolProblem) -> bool:
    return problem.costs[0][0].no_spill
