"""What is answered when the search was stopped before it had a plan: the best layout of those that need no search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore, check_plan, score_plan
from segsolve.deadline import OutOfTime, check
from segsolve.plan.model import Plan, cut_at
from segsolve.problem import Problem
from segsolve.question import Layout, Question
from segsolve.search.answer import Answer
from segsolve.search.baselines import compiler, greedy, uniform
from segsolve.search.bounds import least_value
from segsolve.search.objectives import aim
from segsolve.solvers.base import Confirmation, Limits, Status, Stop

_Found = tuple[Fraction, Plan, PlanScore, str]


class Fallback:
    """The best known plan for a question that came without a table of all stages; found until time is up."""

    def __init__(self, problem: Problem, question: Question, planner: str, limits: Limits) -> None:
        self._problem, self._question, self._planner, self._limits = problem, question, planner, limits
        self._best: _Found | None = None
        self._seen: set[Plan] = set()

    def find(self) -> None:
        """Try the layouts, the simplest first; what was found until time is up stays."""
        try:
            for plan, by in self._layouts():
                self._take(plan, by)
                check()
        except OutOfTime:
            pass

    def answer(self, why: Stop) -> Answer:
        """Return what is known after all."""
        if self._best is None:
            self._take_first()
        value, plan, score, by = self._best or (None, None, None, "")
        bound = least_value(self._problem, self._question)
        is_least = value is not None and 0 < value <= bound
        shown = Confirmation(by="bounds", claim="no plan does less work than this one", strength="exact", seconds=0.0)
        return Answer(
            question=self._question,
            planner=self._planner,
            status=Status.UNKNOWN if plan is None else Status.OPTIMAL if is_least else Status.FEASIBLE,
            plan=plan,
            score=score,
            value=value,
            bound=bound if value is None else min(bound, value),
            cuts="dag" if is_least else "chain",
            found_by=by,
            confirmed_by=(shown,) if is_least else (),
            note="" if is_least else "only layouts that need no search were tried",
            stopped_by=why,
            seed=self._limits.seed,
        )

    def out_of_reach(self, reason: str) -> Answer:
        """Return that no plan keeps the constraints, for a reason that needs no search."""
        return Answer(
            question=self._question,
            planner=self._planner,
            status=Status.INFEASIBLE,
            plan=None,
            score=None,
            value=None,
            bound=Fraction(0),
            cuts="dag",
            found_by="bounds",
            confirmed_by=(Confirmation(by="bounds", claim=reason, strength="exact", seconds=0.0),),
            stopped_by=Stop.FINISHED,
            seed=self._limits.seed,
        )

    def _take_first(self) -> None:
        for plan, by in self._layouts():
            self._take(plan, by)
            if self._best is not None or len(self._seen) > 2:
                return

    def _layouts(self) -> Iterator[tuple[Plan, str]]:
        """Yield pipelines of few and of all devices, side by side as often as there are devices for."""
        tpus = self._problem.tpus
        makers: tuple[tuple[str, Callable[[Problem], tuple[int, ...] | None]], ...] = (
            ("uniform", uniform.segment),
            ("compiler", compiler.segment),
            ("greedy", greedy.segment),
        )
        sizes = [tpus] if self._question.layout is Layout.PIPELINE else sorted({1, tpus, *_divisors(tpus)})
        for name, make in makers:
            for size in sizes:
                cuts = make(replace(self._problem, tpus=size))
                if cuts is not None:
                    one = cut_at(cuts, len(self._problem.ops)).pipelines
                    yield Plan(pipelines=one * (tpus // size if self._repeats else 1)), name

    @property
    def _repeats(self) -> bool:
        return self._question.layout is Layout.ANY and not aim(self._question.objective).is_latency

    def _take(self, plan: Plan, by: str) -> None:
        if plan in self._seen:
            return
        self._seen.add(plan)
        kept = self._question.constraints
        if check_plan(self._problem, plan) or not kept.allow_stages(plan):
            return
        score = score_plan(self._problem, plan)
        if not (kept.allow_latency(score.latency_ns) and kept.allow_rate(score.rate)):
            return
        value = aim(self._question.objective).value(self._question, plan, score)
        if self._best is None or value < self._best[0]:
            self._best = (value, plan, score, by)


def _divisors(number: int) -> set[int]:
    return {d for d in range(1, number + 1) if number % d == 0}
