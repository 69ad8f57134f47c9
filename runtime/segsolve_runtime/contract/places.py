"""The places of a plan where something runs: one per pipeline, stage and replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segsolve_runtime.contract.plan import Plan, Stage


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One device's place: the replica of a stage of a pipeline, each counted from 0."""

    pipeline: int
    stage: int
    replica: int = 0

    def describe(self, plan: Plan) -> str:
        """Return words for it that leave out what the plan has only one of: ``stage 2 of pipeline 0, replica 1``."""
        pipeline = f" of pipeline {self.pipeline}" if len(plan.pipelines) > 1 else ""
        is_alone = plan.pipelines[self.pipeline].stages[self.stage].replicas == 1
        return f"stage {self.stage}{pipeline}" + ("" if is_alone else f", replica {self.replica}")


def places(plan: Plan) -> tuple[Place, ...]:
    """Return the places of a plan: pipeline by pipeline, stage by stage, replica by replica."""
    return tuple(
        Place(p, k, r)
        for p, pipeline in enumerate(plan.pipelines)
        for k, stage in enumerate(pipeline.stages)
        for r in range(stage.replicas)
    )


def stage_at(plan: Plan, place: Place) -> Stage:
    """Return the stage that runs at a place."""
    return plan.pipelines[place.pipeline].stages[place.stage]
