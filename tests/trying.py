"""All plans of a small problem, priced by the evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from generators.asked import asked
from generators.enumeration import plans
from segsolve.cost.plan import PlanScore, check_plan, score_plan
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import Problem
from segsolve.question import Objective, Question

Stages = Sequence[tuple[Sequence[int], bool]]
"""The operations of each stage, and whether it is on a core."""


def best(problem: Problem, question: Question, *, graph: bool) -> Fraction | None:
    """Return the best value of a question's objective, None if no plan keeps the constraints."""
    return min((value for value, _ in all_values(problem, question, graph=graph)), default=None)


def all_values(problem: Problem, question: Question, *, graph: bool) -> Iterator[tuple[Fraction, Plan]]:
    """Yield the value of every plan that is allowed."""
    for plan in plans(problem, replace(asked(question), cuts="dag" if graph else "chain")):
        yield worth(score_plan(problem, plan), plan, question), plan


def worth(score: PlanScore, plan: Plan, question: Question) -> Fraction:
    """Return what a plan is worth by the objective, in its unit."""
    match question.objective:
        case Objective.LATENCY:
            return Fraction(score.latency_ns)
        case Objective.BATCH:
            return Fraction(score.batch_ns(question.batch))
        case Objective.DEVICES:
            return Fraction(plan.tpus)
        case _:
            return 1 / score.rate


def bottleneck(problem: Problem, stages: Stages) -> int | None:
    """Return the slowest stage of a pipeline by the evaluator, None if it is not valid; empty stages are none."""
    made = [Stage(ops=tuple(ops), processor=Processor.CPU if on_core else Processor.EDGETPU) for ops, on_core in stages]
    plan = Plan(pipelines=(Pipeline(stages=tuple(stage for stage in made if stage.ops)),))
    return None if check_plan(problem, plan) else score_plan(problem, plan).pipelines[0].bottleneck_ns
