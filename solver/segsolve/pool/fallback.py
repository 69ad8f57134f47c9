"""A plan for when there is no time to look for one: whole models, each where it is done soonest, and what is left."""

from __future__ import annotations

from functools import cache

from segsolve.pool.evaluate import check_pool, device_scores, keeps
from segsolve.pool.model import PoolProblem, Sharing
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage


def whole_models(problem: PoolProblem) -> PoolPlan | None:
    """Return a plan of one stage per model, with TPUs that are left over as replicas; None if it is not allowed.

    Models are placed one after the other, the one that takes longest first, each on the TPU that is then busy for the
    shortest time.
    """
    devices, weights = problem.pool.devices, problem.workload.weights
    shares = problem.workload.sharing is not Sharing.NEVER
    whole = [range(len(row[0].ops)) for row in problem.costs]

    @cache
    def load(residents: tuple[int, ...], kind: int) -> int:
        scores = device_scores([problem.costs[m][kind] for m in residents], [whole[m] for m in residents])
        return sum(weights[m] * score.time_ns for m, score in zip(residents, scores, strict=True))

    lives: dict[int, list[int]] = {}
    alone = [min(load((m,), kind) for kind in range(len(problem.pool.kinds))) for m in range(problem.models)]
    for m in sorted(range(problem.models), key=lambda m: -alone[m]):
        demand = problem.workload.demands[m]
        free = {kind: d for d, kind in reversed([*enumerate(devices)]) if d not in lives}
        near = [*free.values(), *(lives if shares else ())]
        offered = [d for d in near if demand.on(problem.pool.kinds[devices[d]].name).holds(whole[m])]
        if not offered:
            return None
        loads = {d: load((*lives.get(d, ()), m), devices[d]) for d in offered}
        lives.setdefault(min(offered, key=lambda d: (loads[d], d)), []).append(m)
    runs = {m: [d] for d, residents in lives.items() for m in residents}
    left = set(range(len(devices))) - set(lives)
    for d in sorted(left) if problem.workload.sharing is not Sharing.ALWAYS else ():  # which has no replicas
        own = [m for m, on in runs.items() if devices[on[0]] == devices[d] and len(lives[on[0]]) == 1]
        if own:
            busiest = max(own, key=lambda m: load((m,), devices[d]) / len(runs[m]))
            runs[busiest].append(d)
    pipelines = tuple(
        PoolPipeline(model=m, stages=(PoolStage(ops=tuple(whole[m]), devices=tuple(runs[m])),))
        for m in range(problem.models)
    )
    plan = by_first_stage(pipelines, len(devices))
    return plan if not check_pool(problem, plan) and keeps(problem, plan) else None
