"""How many inferences may be under way, so that memory stays bounded whatever the stages and the caller do."""

from __future__ import annotations

from math import ceil

from segsolve_runtime.contract.plan import Plan, PlanPipeline

_MOST_AHEAD = 4_096
_LEAST_NS = 1e-3  # of a stage that costs nothing


def capacity(plan: Plan, queue_size: int) -> int:
    """Return the number of inferences that all places and the queues between the stages can hold."""
    return sum(_capacity(pipeline, queue_size) for pipeline in plan.pipelines)


def most_under_way(plan: Plan, queue_size: int, *, keeps_order: bool) -> int:
    """Return how many inferences may be started and not be given out yet.

    Where the results' order is kept over pipelines of different speed, a fast one may get ahead of a slow one by what
    it does while an inference passes the slow one, as far as the predictions tell.
    """
    held = capacity(plan, queue_size)
    if not keeps_order or len(plan.pipelines) == 1:
        return held + 1
    slowest_ns = max(_capacity(pipeline, queue_size) * _period_ns(pipeline) for pipeline in plan.pipelines)
    ahead = sum(slowest_ns / max(_period_ns(pipeline), _LEAST_NS) for pipeline in plan.pipelines)
    return held + min(ceil(ahead), _MOST_AHEAD)


def _capacity(pipeline: PlanPipeline, queue_size: int) -> int:
    return sum(stage.replicas + queue_size for stage in pipeline.stages)


def _period_ns(pipeline: PlanPipeline) -> float:
    """Return the predicted time per inference."""
    return max(stage.prediction.time_ns / stage.replicas for stage in pipeline.stages)
