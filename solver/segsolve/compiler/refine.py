"""Costs that the vendor's compiler reports: compile a plan's segments, correct their times, solve again (`refine`).

A plan stands when the best plan under the corrected costs consists of stages that were all compiled, so that the
compiler has the last word on each. Of stages that were never part of a best plan the memory is corrected by the error
that the others had: where that is too pessimistic about them, a better plan can be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from segsolve.compiler.truth import Ops, StageTruth, corrected, corrected_score
from segsolve.cost.plan import PlanScore, score_plan
from segsolve.plan.model import Plan, Processor
from segsolve.problem import Problem
from segsolve.refine import End as Ends
from segsolve.refine import Proposal
from segsolve.refine import refine as refined
from segsolve.search.answer import Answer

CompileStages = Callable[[Sequence[Ops]], Mapping[Ops, StageTruth]]
Solve = Callable[[Problem, bool], Answer]
"""Returns a plan of the least cost; the flag allows stages with gaps."""
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


def refine(
    problem: Problem,
    plan: Plan,
    compile_stages: CompileStages,
    solve: Solve | None,
    *,
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
    loop = _Compiled(problem=problem, compile_stages=compile_stages, solve=solve, tell=observe)
    start = Proposal(plan=plan, cost_ns=0)
    end = End.NOT_ASKED
    if solve is None:
        loop.observe(start, None)
    elif refined(loop, most_rounds=most_rounds, start=start).end is Ends.STANDS:
        end = End.STANDS if loop.gaps else End.WITHOUT_GAPS
    else:
        end = End.LIMIT
    return Refinement(
        rounds=tuple(loop.rounds),
        best=min(loop.rounds, key=lambda done: done.corrected.period_ns),
        truths=loop.truths,
        problem=corrected(problem, loop.truths),
        answer=loop.answer,
        end=end,
    )


@dataclass(kw_only=True)
class _Compiled:
    """The observer of `refine` that compiles stages."""

    problem: Problem
    compile_stages: CompileStages
    solve: Solve | None
    tell: Callable[[Round], None]
    truths: dict[Ops, StageTruth] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    answer: Answer | None = None
    gaps: bool = True

    def propose(self, best_ns: int | None) -> Proposal[Plan]:
        """Return the solver's plan under the corrected costs, and what it costs as far as the reports go."""
        assert self.solve is not None and best_ns is not None
        self.answer = self.solve(corrected(self.problem, self.truths), self.gaps)
        if self.gaps and self._is_mistaken(self.answer, best_ns):
            self.gaps, self.answer = False, self.solve(corrected(self.problem, self.truths), False)
        plan = self.answer.plan
        return Proposal(plan=plan, cost_ns=best_ns if plan is None else self._cost_ns(plan))

    def observe(self, proposal: Proposal[Plan], best_ns: int | None) -> int | None:
        """Compile what is new of a plan."""
        assert proposal.plan is not None
        new = [ops for ops in tpu_stages(proposal.plan) if ops not in self.truths]
        self.truths.update(self.compile_stages(new))
        self.rounds.append(
            Round(
                plan=proposal.plan,
                predicted=score_plan(self.problem, proposal.plan),
                corrected=corrected_score(self.problem, proposal.plan, self.truths),
                compiled=len(new),
            )
        )
        self.tell(self.rounds[-1])
        return min(done.corrected.period_ns for done in self.rounds)

    def _cost_ns(self, plan: Plan) -> int:
        return corrected_score(self.problem, plan, self.truths).period_ns

    def _is_mistaken(self, answer: Answer, best_ns: int) -> bool:
        """Whether a plan is thought to be better than all so far, and is known not to be."""
        if answer.plan is None or answer.score is None or answer.score.period_ns >= best_ns:
            return False
        return self._cost_ns(answer.plan) >= best_ns


def tpu_stages(plan: Plan) -> tuple[Ops, ...]:
    """Return the operations of each different stage of a plan that runs on an Edge TPU."""
    stages = (s for pipeline in plan.pipelines for s in pipeline.stages if s.processor is Processor.EDGETPU)
    return tuple(dict.fromkeys(stage.ops for stage in stages))
