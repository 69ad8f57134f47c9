"""What a worker process does with a workload on a pool, and the record of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from segsolve.batch.pool_jobs import PoolJob
from segsolve.batch.record import Outcome, Record, blank, failed
from segsolve.cost.plan import rounded_down
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.folder import up
from segsolve.pool.model import Goal, Sharing
from segsolve.pool.simple import simple_ways
from segsolve.solvers.base import Status, Stop


def solve(job: PoolJob, timing: dict[str, Any]) -> Record:
    """Return the record of a workload that was solved.

    Raises:
        SegsolveError: the workload, a model or the pool is at fault.
    """
    found = job.solve(job)
    timing["solve_s"] = found.wall_s
    return _record(job, found)


def _record(job: PoolJob, found: PoolAnswer) -> Record:
    workload = found.problem.workload
    if found.plan is None or found.score is None or found.value is None:
        if found.status is Status.UNKNOWN and found.stopped_by is not Stop.FINISHED:
            return failed(job, "no_plan", f"no plan was found: stopped by {found.stopped_by}", "give more time")
        outcome = Outcome.INFEASIBLE if found.status is Status.INFEASIBLE else Outcome.NO_PLAN
        return replace(
            blank(job), outcome=outcome, status=str(found.status), proof=found.proof, note=found.note or None
        )
    plan, score, wanted = found.plan, found.score, workload.scale_fps
    is_comparable = workload.goal is Goal.RATES and workload.sharing is not Sharing.NEVER
    ways = simple_ways(found.problem, found.simple_shared) if is_comparable else []
    simple = [way.period for way in ways if way.period is not None]
    names = [demand.model for demand in workload.demands]
    return replace(
        blank(job),
        outcome=Outcome.PLAN,
        status=str(found.status),
        proof=found.proof,
        stopped_by=str(found.stopped_by),
        objective_ns=up(found.value),
        bound_ns=up(found.bound),
        gap=found.gap,
        period_ns=score.period_ns,
        throughput_fps=rounded_down(score.scale_fps),
        latency_ns=score.worst_latency_ns,
        offchip_bytes=sum(stage.offchip_bytes for stages in score.stages for stage in stages),
        layout=", ".join(f"{name} {plan.layout_of(m)}" for m, name in enumerate(names)),
        tpus_used=len(plan.used),
        weights=tuple(demand.weight for demand in workload.demands),
        wanted_scale_fps=None if wanted is None else float(wanted),
        simple_ns=up(min(simple)) if simple else None,
        best_without_copies=found.best_without_copies,
    )
