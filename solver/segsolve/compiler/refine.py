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
from segsolve.cost.plan import PlanScore, score_plan
from segsolve.plan.model import Plan, Processor
from segsolve.problem import Problem
from segsolve.search.answer import Answer

CompileStages = Callable[[Sequence[Ops]], Mapping[Ops, StageTruth]]
Solve = Callable[[Problem, bool], Answer]
"""Returns a plan of the least cost; the flag allows stages with gaps."""
Cost = Callable[[PlanScore], int]
MOST_ROUNDS = 10


class End(StrEnum):
    """Why the loop ended."""

    STANDS = "the plan stands"
    WITHOUT_GAPS = "the plan stands among those without gaps"
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
    """What the loop found. `answer` is the solver's last under the corrected costs; None if it was not asked."""

    rounds: tuple[Round, ...]
    best: Round
    truths: Mapping[Ops, StageTruth]
    problem: Problem
    answer: Answer | None
    end: End


def period(score: PlanScore) -> int:
    """Return the cost of a plan whose throughput counts: the time per inference, in ns."""
    return score.period_ns


def refine(
    problem: Problem,
    plan: Plan,
    compile_stages: CompileStages,
    solve: Solve | None,
    *,
    cost: Cost = period,
    most_rounds: int = MOST_ROUNDS,
    observe: Callable[[Round], None] = lambda done: None,
) -> Refinement:
    """Compile a plan, and whatever plans cost less as compiled; without `solve`, only the first.

    The solver can be told what the compiler says of any stage but one with gaps in its range of operations. When it
    comes back with such a plan that is slower than it thinks, it is asked for one without gaps from then on.

    Raises:
        CompilerError: a segment cannot be compiled.
        SolverFault: the solver answered wrongly.
    """
    truths: dict[Ops, StageTruth] = {}
    rounds: list[Round] = []
    answer: Answer | None = None
    end, gaps = End.LIMIT if solve else End.NOT_ASKED, True
    for _ in range(most_rounds if solve else 1):
        rounds.append(_compile(problem, plan, compile_stages, truths))
        observe(rounds[-1])
        if solve is None:
            break
        best = min(cost(done.corrected) for done in rounds)
        answer = solve(corrected(problem, truths), gaps)
        if gaps and _is_mistaken(problem, answer, truths, cost, best):
            gaps, answer = False, solve(corrected(problem, truths), False)
        if answer.plan is None or cost(corrected_score(problem, answer.plan, truths)) >= best:
            end = End.STANDS if gaps else End.WITHOUT_GAPS
            break
        plan = answer.plan
    return Refinement(
        rounds=tuple(rounds),
        best=min(rounds, key=lambda done: cost(done.corrected)),
        truths=truths,
        problem=corrected(problem, truths),
        answer=answer,
        end=end,
    )


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


def _is_mistaken(problem: Problem, answer: Answer, truths: Mapping[Ops, StageTruth], cost: Cost, best: int) -> bool:
    """Whether a plan is thought to be better than all so far, and is known not to be."""
    if answer.plan is None or answer.score is None or cost(answer.score) >= best:
        return False
    return cost(corrected_score(problem, answer.plan, truths)) >= best
