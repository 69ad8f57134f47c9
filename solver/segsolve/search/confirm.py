"""CP-SAT's word on what the dynamic program found: the constraint program of each pipeline must agree."""

from __future__ import annotations

from segsolve.errors import SolverFault
from segsolve.plan.model import Plan
from segsolve.search.pipelines import Pipelines
from segsolve.solvers.base import Limits

_SLACK = 1.05  # room above the optimum, so that CP-SAT has more to rule out than the windows leave at the optimum
_FEW_STATES = 600


def confirm(pipelines: Pipelines, plan: Plan, limits: Limits) -> float:
    """Solve each pipeline of a plan for its bottleneck again; return the deterministic seconds that it took.

    Pinned operations and limits of latency or stages are not part of the constraint program; plans under them are
    confirmed by their certificate alone.

    Raises:
        SolverFault: CP-SAT finds another optimum.
    """
    from segsolve.solvers.cpsat.paths import is_confirmed, minimise, stages

    kept = pipelines.constraints
    if kept.pins or kept.max_stages is not None or kept.max_latency_ns is not None or not pipelines.replicate:
        return 0.0
    spent = 0.0
    slack = _SLACK if len(pipelines.time) <= _FEW_STATES else 1.0
    for devices in sorted({pipeline.tpus for pipeline in plan.pipelines}):
        best = pipelines.bottlenecks[devices]
        upper = max(best, int(best * slack))
        answer = minimise(stages(pipelines.time, devices, upper), pipelines.table.end, 0, upper, limits)
        spent += answer.deterministic_s
        if is_confirmed(answer, best) is False:
            found = answer.objective if answer.objective is not None else "no plan"
            raise SolverFault(f"CP-SAT finds {found} where the dynamic program finds {best} ns on {devices} TPUs")
    return spent
