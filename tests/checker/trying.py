"""The best of everything, by trying every plan with the evaluator; for the smallest problems."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, product

from segsolve.evaluate import PlanScore, check_pipeline, score_pipeline, score_plan
from segsolve.plan import Pipeline, Plan, Stage
from segsolve.problem import Problem
from segsolve.question import Constraints, Layout, Objective, Question
from tests.planners.dags import assignments


def all_values(problem: Problem, question: Question, *, graph: bool) -> Iterator[tuple[Fraction, Plan]]:
    """Yield the value of every plan that is allowed."""
    single = question.layout is Layout.PIPELINE
    pipelines = list(all_pipelines(problem, question.constraints, graph=graph, replicate=not single))
    for count in range(1, 2 if single else problem.tpus + 1):
        for chosen in combinations_with_replacement(pipelines, count):
            plan = Plan(pipelines=chosen)
            if plan.tpus <= problem.tpus:
                score = score_plan(problem, plan)
                if _is_kept(score, question.constraints):
                    yield _value(score, plan, question), plan


def all_pipelines(problem: Problem, asked: Constraints, *, graph: bool, replicate: bool) -> Iterator[Pipeline]:
    for count in range(1, problem.tpus + 1):
        for stages in assignments(problem, count):
            contiguous = graph or list(_joined(stages)) == list(range(len(problem.ops)))
            if not all(stages) or not contiguous or not _keeps(stages, asked):
                continue
            for replicas in product(range(1, problem.tpus + 1 if replicate else 2), repeat=count):
                made = zip(stages, replicas, strict=True)
                pipeline = Pipeline(stages=tuple(Stage(ops=ops, replicas=r) for ops, r in made))
                if pipeline.tpus <= problem.tpus and not check_pipeline(problem, pipeline):
                    latency = score_pipeline(problem, pipeline).latency_ns
                    if asked.max_latency_ns is None or latency <= asked.max_latency_ns:
                        yield pipeline


def _joined(stages: tuple[tuple[int, ...], ...]) -> Iterator[int]:
    return (op for stage in stages for op in stage)


def _keeps(stages: tuple[tuple[int, ...], ...], asked: Constraints) -> bool:
    at = {op: k for k, stage in enumerate(stages) for op in stage}
    return (
        (asked.max_stages is None or len(stages) <= asked.max_stages)
        and all(max(at[o] for o in at if o < op) < min(at[o] for o in at if o >= op) for op in asked.cut_before)
        and all(op == 0 or at[op] == at[op - 1] for op in asked.no_cut_before)
        and all(len({at[op] for op in group}) == 1 for group in asked.keep_together)
        and all(at[op] == wanted for op, wanted in asked.pins)
    )


def _is_kept(score: PlanScore, asked: Constraints) -> bool:
    return asked.min_fps is None or score.rate * 10**9 >= Fraction(asked.min_fps)


def _value(score: PlanScore, plan: Plan, question: Question) -> Fraction:
    match question.objective:
        case Objective.LATENCY:
            return Fraction(score.latency_ns)
        case Objective.BATCH:
            return Fraction(score.batch_ns(question.batch))
        case Objective.DEVICES:
            return Fraction(plan.tpus)
        case _:
            return 1 / score.rate
