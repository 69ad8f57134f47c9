"""The loop: compile a plan's segments, correct their times by the compiler's reports, solve again, until it stands.

A plan stands when the best plan under the corrected costs consists of stages that were all compiled, so that the
compiler has the last word on each. Of stages that were never part of a best plan the memory is corrected by the error
that the others had: where that is too pessimistic about them, a better plan can be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from segsolve.compiler.truth import Ops, StageTruth, corrected, corrected_score
from segsolve.evaluate import PlanScore, score_plan
from segsolve.plan import Plan, Processor
from segsolve.planners.base import SolveResult
from segsolve.problem import Problem

CompileStages = Callable[[Sequence[Ops]], Mapping[Ops, StageTruth]]
Solve = Callable[[Problem], tuple[SolveResult, Plan | None]]
MOST_ROUNDS = 10


class End(StrEnum):
    """Why the loop ended."""

    STANDS = "the plan stands"
    LIMIT = "round limit"
    NOT_ASKED = "not solved again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: a plan, its costs by the device model and by the compiler's reports, and how many stages were new."""

    plan: Plan
    predicted: PlanScore
    corrected: PlanScore
    compiled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """What the loop found. `result` is that of the solver under the corrected costs; None if it was not asked."""

    rounds: tuple[Round, ...]
    truths: Mapping[Ops, StageTruth]
    problem: Problem
    result: SolveResult | None
    end: End

    @property
    def best(self) -> Round:
        """The round with the plan that is fastest as compiled."""
        return min(self.rounds, key=lambda r: r.corrected.period_ns)


def refine(
    problem: Problem,
    plan: Plan,
    compile_stages: CompileStages,
    solve: Solve | None,
    *,
    most_rounds: int = MOST_ROUNDS,
    observe: Callable[[Round], None] = lambda done: None,
) -> Refinement:
    """Compile a plan, and whatever plans are better as compiled; without `solve`, only the first.

    Raises:
        CompilerError: a segment cannot be compiled.
        SolverFault: the solver answered wrongly.
    """
    truths: dict[Ops, StageTruth] = {}
    rounds: list[Round] = []
    result: SolveResult | None = None
    for _ in range(most_rounds):
        rounds.append(_compile(problem, plan, compile_stages, truths))
        observe(rounds[-1])
        if solve is None:
            return _refinement(rounds, truths, problem, None, End.NOT_ASKED)
        result, better = solve(corrected(problem, truths))
        best = min(done.corrected.period_ns for done in rounds)
        if better is None or corrected_score(problem, better, truths).period_ns >= best:
            return _refinement(rounds, truths, problem, result, End.STANDS)
        plan = better
    return _refinement(rounds, truths, problem, result, End.LIMIT)


def tpu_stages(plan: Plan) -> tuple[Ops, ...]:
    """Return the operations of each different stage of a plan that runs on an Edge TPU."""
    stages = (s for pipeline in plan.pipelines for s in pipeline.stages if s.processor is Processor.EDGETPU)
    return tuple(dict.fromkeys(stage.ops for stage in stages))


def _compile(problem: Problem, plan: Plan, compile_stages: CompileStages, truths: dict[Ops, StageTruth]) -> Round:
    new = [ops for ops in tpu_stages(plan) if ops not in truths]
    truths.update(compile_stages(new))
    return Round(
        plan=plan,
        predicted=score_plan(problem, plan),
        corrected=corrected_score(problem, plan, truths),
        compiled=len(new),
    )


def _refinement(
    rounds: list[Round], truths: dict[Ops, StageTruth], problem: Problem, result: SolveResult | None, end: End
) -> Refinement:
    return Refinement(rounds=tuple(rounds), truths=truths, problem=corrected(problem, truths), result=result, end=end)
