"""A plan's pipelines as the schedule sees them."""

from __future__ import annotations

from segsolve_runtime.contract.plan import Plan, PlanPipeline
from segsolve_runtime.flow.link import intervals, link_ns
from segsolve_runtime.flow.schedule import Lane


def lanes_of(plan: Plan) -> tuple[Lane, ...]:
    """Return a plan's pipelines with the predicted times of their stages, and of the link if the devices share one."""
    return tuple(
        Lane(
            stage_ns=tuple(stage.prediction.time_ns for stage in pipeline.stages),
            replicas=tuple(stage.replicas for stage in pipeline.stages),
            link_ns=link_ns(_moved_bytes(pipeline), plan.device.link_ns_per_mib or 0),
        )
        for pipeline in plan.pipelines
    )


def is_link_bound(plan: Plan) -> bool:
    """Whether the devices share a link that carries less than the pipelines could do."""
    return any(interval != 0 for interval in intervals([lane.load for lane in lanes_of(plan)]))


def _moved_bytes(pipeline: PlanPipeline) -> int:
    """Return what all stages take, give and stream per inference."""
    predicted = [stage.prediction for stage in pipeline.stages]
    return sum(p.input_bytes + p.output_bytes + p.offchip_bytes for p in predicted)
