"""Plan folders with given stages, replicas and predictions: segments and all, whether the plan is good or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from segsolve.cost.plan import score_plan
from segsolve.device.model import Device, load_device
from segsolve.graph.read import LoadedModel
from segsolve.plan.folder import write_plan
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Question
from segsolve.search.answer import Answer
from segsolve.solvers.base import Status
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.plan import PLAN_FILE, PlanFolder, load_plan

DEVICE = load_device("edgetpu-pcie")


def even_stages(loaded: LoadedModel, stages: int, replicas: Sequence[int] | None = None) -> Pipeline:
    """Return a pipeline of that many stages, or fewer if it has no more cuts, with about as many operations each."""
    cuts = loaded.graph.cuts
    stages = min(stages, len(cuts) + 1)
    chosen = [cuts[round(i * (len(cuts) + 1) / stages) - 1] for i in range(1, stages)]
    edges = [0, *chosen, len(loaded.graph.ops)]
    counts = list(replicas or [1] * (len(edges) - 1))
    spans = zip(edges, edges[1:], counts, strict=False)
    return Pipeline(stages=tuple(Stage(ops=tuple(range(a, b)), replicas=count) for a, b, count in spans))


def write(loaded: LoadedModel, folder: Path, pipelines: Sequence[Pipeline], device: Device = DEVICE) -> PlanFolder:
    """Write a plan folder of pipelines."""
    plan = Plan(pipelines=tuple(pipelines))
    problem = AnalyticCosts(graph=loaded.graph, device=device).problem(tpus=plan.tpus)
    score = score_plan(problem, plan)
    given = Answer(
        question=Question(),
        planner="given",
        status=Status.FEASIBLE,
        plan=plan,
        score=score,
        value=1 / score.rate,
        bound=Fraction(0),
        cuts="chain",
        found_by="by hand",
    )
    return write_plan(folder, loaded=loaded, device=device, problem=problem, answer=given)


def with_replicas(pipeline: Pipeline, replicas: int) -> Pipeline:
    """Return a pipeline with as many replicas of every stage."""
    return Pipeline(stages=tuple(replace(stage, replicas=replicas) for stage in pipeline.stages))


def predict(folder: PlanFolder, time_ns: Callable[[int], int]) -> PlanFolder:
    """Give the stages of a plan other predicted times, by their number over all pipelines."""
    number, pipelines = 0, []
    for pipeline in folder.plan.pipelines:
        stages = []
        for stage in pipeline.stages:
            predicted = stage.prediction.model_copy(update={"time_ns": time_ns(number)})
            stages.append(stage.model_copy(update={"prediction": predicted}))
            number += 1
        pipelines.append(pipeline.model_copy(update={"stages": stages}))
    changed = folder.plan.model_copy(update={"pipelines": pipelines})
    (folder.root / PLAN_FILE).write_text(digested_json(changed), encoding="utf-8")
    return load_plan(folder.root)
