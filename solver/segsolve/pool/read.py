"""Reads a pool's plan back from its folder."""

from __future__ import annotations

from fractions import Fraction

from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, Resident
from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.pool import PoolFolder


def plan_of(folder: PoolFolder) -> PoolPlan:
    """Return the plan that a folder holds."""
    pipelines: list[PoolPipeline] = []
    first = {}
    for m, (model, plan) in enumerate(zip(folder.pool.models, folder.plans, strict=True)):
        first[model.name], where = len(pipelines), folder.device_of(model.name)
        for p, pipeline in enumerate(plan.plan.pipelines):
            stages = [
                PoolStage(ops=stage.ops, devices=tuple(where[Place(p, k, r)] for r in range(stage.replicas)))
                for k, stage in enumerate(pipeline.stages)
            ]
            share = Fraction(model.shares[p]) if model.shares else None
            pipelines.append(PoolPipeline(model=m, stages=tuple(stages), share=share))
    residents = tuple(
        tuple(Resident(first[r.model] + r.pipeline, r.stage) for r in device.residents)
        for device in folder.pool.devices
    )
    return PoolPlan(pipelines=tuple(pipelines), residents=residents)
