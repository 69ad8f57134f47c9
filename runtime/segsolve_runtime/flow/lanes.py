"""A plan's pipelines as the schedule sees them."""

from __future__ import annotations

from segsolve_runtime.contract.plan import Plan, PlanPipeline
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.flow.shared import host_ns, link_ns, needed


def lanes_of(plan: Plan) -> tuple[Lane, ...]:
    """Return a plan's pipelines with the predicted times of their stages, and what they take of link and host."""
    return tuple(
        Lane(
            stage_ns=tuple(stage.prediction.time_ns for stage in pipeline.stages),
            replicas=tuple(stage.replicas for stage in pipeline.stages),
            link_ns=link_ns(_moved_bytes(pipeline), plan.device.link_ns_per_mib or 0),
            host_ns=_host_ns(plan, pipeline),
        )
        for pipeline in plan.pipelines
    )


def limited_by(plan: Plan) -> tuple[str, ...]:
    """Return which of the things that all pipelines share has less than they could use, of "link" and "host"."""
    return tuple(name for name, part in needed([lane.load for lane in lanes_of(plan)]).items() if part > 1)


def _host_ns(plan: Plan, pipeline: PlanPipeline) -> int:
    host = plan.device.host
    if host is None:
        return 0
    return host_ns(len(pipeline.stages), **host.model_dump())


def _moved_bytes(pipeline: PlanPipeline) -> int:
    """Return what all stages take of a shared link per inference."""
    return sum(stage.prediction.moved_bytes for stage in pipeline.stages)
