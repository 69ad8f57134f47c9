"""The layouts that one would think of without a search, held against the optimum over all layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.question import Layout as AllowedLayout
from segsolve.question import Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer, best_pipeline
from segsolve.solvers.base import Limits, Observer, Status, Stop, ignore

_PLANNER = "dp"  # exact, and the fastest for one pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A plan and its cost; `answer` is what the search over all layouts knows of it, None for one made by rule."""

    plan: Plan
    score: PlanScore
    answer: Answer | None = None

    @property
    def value(self) -> Fraction:
        """Time per inference in ns, not rounded."""
        return 1 / self.score.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """The simple layouts of a problem's TPUs, by the size of their pipelines, and the best of all layouts.

    `simple` are N copies of the whole model, N / d copies of the best pipeline of d TPUs for the d that divide N, and
    one pipeline of N; those that no plan allows are left out, and what two rules lead to is there once.
    """

    problem: Problem
    simple: tuple[Layout, ...]
    best: Layout | None
    answer: Answer

    @property
    def all(self) -> tuple[Layout, ...]:
        """The simple layouts and then the best; a simple one that is the best stands there as that alone."""
        best = self.best
        if best is None:
            return self.simple
        return (*(s for s in self.simple if (s.plan.layout, s.value) != (best.plan.layout, best.value)), best)

    def over_bound(self, layout: Layout) -> Fraction | None:
        """Return by what share a layout takes longer than the bound of all; 0 for an optimum, None without bound."""
        bound = self.answer.bound
        if not bound:
            return None if layout.value else Fraction(0)
        return max(Fraction(0), layout.value / bound - 1)

    @property
    def is_interrupted(self) -> bool:
        """Whether the search ended before its time."""
        return self.answer.stopped_by is Stop.INTERRUPTED


def layouts_beside(
    problem: Problem, *, keeps_state: bool = False, limits: Limits | None = None, observe: Observer = ignore
) -> Layouts:
    """Return the simple layouts and the best of all, found and proven within `limits`.

    Of a model that keeps state from one inference to the next there is one pipeline: copies would each keep their own.

    Raises:
        SolverFault: two ways to the same optimum disagree.
    """
    question = Question(layout=AllowedLayout.PIPELINE) if keeps_state else Question()
    found = answer(problem, question, limits=limits, observe=observe)
    best = None
    if found.plan is not None and found.score is not None:
        best = Layout(plan=found.plan, score=found.score, answer=found)
    simple = {layout.plan.layout: layout for layout in _simple(problem, keeps_state)}
    return Layouts(problem=problem, simple=tuple(simple.values()), best=best, answer=found)


def _simple(problem: Problem, keeps_state: bool) -> Iterator[Layout]:
    for tpus in (d for d in range(1, problem.tpus + 1) if problem.tpus % d == 0):
        if keeps_state and tpus < problem.tpus:
            continue
        pipeline = best_pipeline(replace(problem, tpus=tpus), _PLANNER)
        if pipeline.plan is None or pipeline.status is not Status.OPTIMAL:
            continue
        plan = Plan(pipelines=pipeline.plan.pipelines * (problem.tpus // tpus))
        yield Layout(plan=plan, score=score_plan(problem, plan))
