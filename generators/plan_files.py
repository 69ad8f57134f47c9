"""Plans as their files say them, for any problem: without a network or segments."""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.cost.stage import StageScore, stage_score
from segsolve.plan.model import Plan, Stage
from segsolve.plan.question import recorded
from segsolve.problem import Problem
from segsolve.question import Objective, Question
from segsolve_runtime.contract import plan as planfile


def plan_file(
    problem: Problem, plan: Plan, question: Question, value: Fraction, bound: Fraction | None = None
) -> planfile.Plan:
    """Write a plan down as its file would have it: an optimal one, or one that no more than a bound is known of."""
    score = score_plan(problem, plan)
    names = [f"{t.name} {k}" for k, t in enumerate(problem.transfers)]
    is_time = question.objective in (Objective.THROUGHPUT, Objective.LATENCY, Objective.BATCH)
    objective = -(-value // 1) if is_time else score.period_ns
    return planfile.Plan(
        model=planfile.ModelReference(
            name=f"{problem.name}.tflite", sha256="0" * 64, bytes=1, operations=len(problem.ops)
        ),
        device=planfile.Device(
            name="generated",
            memory_bytes=problem.capacity_bytes,
            link_ns_per_mib=problem.link.ns_per_mib if problem.link else None,
            host=planfile.Host(**asdict(problem.host)) if problem.host else None,
        ),
        solution=_solution(problem, plan, question, score, int(objective)).model_copy(
            update={}
            if bound is None
            else {"status": "feasible", "bound_ns": int(bound), "gap": float(1 - bound / value)}
        ),
        tensors=[planfile.TensorSpec(name=name, dtype="int8", shape=[1]) for name in names],
        inputs=[name for name, t in zip(names, problem.transfers, strict=True) if t.producer < 0],
        outputs=[name for name, t in zip(names, problem.transfers, strict=True) if t.producer >= 0 and t.is_output],
        pipelines=[
            planfile.PlanPipeline(stages=[_stage(problem, names, p, stage) for stage in pipeline.stages])
            for p, pipeline in enumerate(plan.pipelines)
        ],
        provenance={},
    )


def _solution(
    problem: Problem, plan: Plan, question: Question, score: PlanScore, objective_ns: int
) -> planfile.Solution:
    return planfile.Solution(
        planner="test",
        status="optimal",
        objective=question.objective.value,
        layout=plan.layout,
        cuts="chain",
        objective_ns=objective_ns,
        bound_ns=objective_ns,
        gap=0.0,
        proof=None,
        stopped_by="finished",
        wall_s=0.0,
        seed=0,
        throughput_fps=score.throughput_fps,
        latency_ns=score.latency_ns,
        tpus_requested=problem.tpus,
        question=recorded(question, no_spill=problem.no_spill),
    )


def _stage(problem: Problem, names: list[str], pipeline: int, stage: Stage) -> planfile.Stage:
    held, score = set(stage.ops), stage_score(problem, stage.ops)
    named = list(zip(names, problem.transfers, strict=True))
    return planfile.Stage(
        file=f"{pipeline}_{stage.ops[0]}_{len(held)}_{hash(stage.ops)}.tflite",
        sha256="0" * 64,
        bytes=1,
        first_op=stage.ops[0],
        last_op=stage.ops[-1],
        op_ranges=[list(span) for span in stage.op_ranges],
        replicas=stage.replicas,
        inputs=[name for name, t in named if t.producer not in held and held & set(t.consumers)],
        outputs=[name for name, t in named if t.producer in held and (t.is_output or set(t.consumers) - held)],
        prediction=_prediction(score),
    )


def _prediction(score: StageScore) -> planfile.StagePrediction:
    members = set(planfile.StagePrediction.model_fields)
    values = {name: getattr(score, name) for name in members}
    return planfile.StagePrediction(**values | {"spilled_ops": list(score.spilled_ops)})
