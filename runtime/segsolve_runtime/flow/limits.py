"""How many inferences may be under way, so that memory stays bounded whatever the stages and the caller do."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from segsolve_runtime.contract.plan import Plan, PlanPipeline

_MOST_AHEAD = 4_096
_LEAST_NS = 1e-3  # of a stage that costs nothing


def capacity(plan: Plan, queue_size: int) -> int:
    """Return the number of inferences that all places and the queues between the stages can hold."""
    return sum(_capacity(pipeline, queue_size) for pipeline in plan.pipelines)


def most_under_way(plan: Plan, queue_size: int, parts: Sequence[Fraction] = (), *, keeps_order: bool) -> int:
    """Return how many inferences may be started and not be given out yet.

    Where the results' order is kept over pipelines of different speed, a fast one may get ahead of a slow one by what
    it does while an inference passes the slow one: as far as the predictions tell, or by the parts that pipelines do of
    all inferences, where they share devices with others.
    """
    held = capacity(plan, queue_size)
    if not keeps_order or len(plan.pipelines) == 1:
        return held + 1
    periods = [float(1 / part) for part in parts] or [max(_LEAST_NS, _period_ns(own)) for own in plan.pipelines]
    slowest = max(
        _capacity(pipeline, queue_size) * period for pipeline, period in zip(plan.pipelines, periods, strict=True)
    )
    return held + min(ceil(sum(slowest / period for period in periods)), _MOST_AHEAD)


def _capacity(pipeline: PlanPipeline, queue_size: int) -> int:
    return sum(stage.replicas + queue_size for stage in pipeline.stages)


def _period_ns(pipeline: PlanPipeline) -> float:
    """Return the predicted time per inference."""
    return max(stage.prediction.time_ns / stage.replicas for stage in pipeline.stages)
