"""What a strategy is, and how it says what it found: an answer to the plain question, one pipeline for throughput."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from segsolve.cost.plan import check_plan, score_cut
from segsolve.deadline import OutOfTime
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout, Question
from segsolve.search.answer import Answer
from segsolve.solvers.base import Limits, Observer, Status

PLAIN = Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
"""The question that every planner answers."""


class Planner(Protocol):
    """A strategy that segments a chain."""

    name: str

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        """Return the best plan that the strategy finds, its value being the bottleneck; nothing is confirmed yet."""
        ...


def found(
    problem: Problem,
    planner: str,
    cuts: tuple[int, ...] | None,
    bottleneck_ns: int | None,
    *,
    status: Status,
    bound_ns: int = 0,
    found_by: str = "",
    **more: Any,
) -> Answer:
    """Return what a planner says: where it cuts, and what it takes the bottleneck to be; None if it has no plan."""
    return Answer(
        question=PLAIN,
        planner=planner,
        status=status,
        plan=None if cuts is None else cut_at(cuts, len(problem.ops)),
        score=None,
        value=None if bottleneck_ns is None else Fraction(bottleneck_ns),
        bound=Fraction(bound_ns),
        cuts="chain",
        found_by=found_by,
        **more,
    )


@dataclass(frozen=True, slots=True)
class Heuristic:
    """A planner that makes one plan and proves nothing. `segment` returns the positions at which it cuts."""

    name: str
    segment: Callable[[Problem], tuple[int, ...] | None]

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        """Return the strategy's plan if it is valid; a strategy that ignores memory may break `no_spill`."""
        start = time.perf_counter()
        try:
            cuts = self.segment(problem)
        except OutOfTime:
            cuts = None
        wrong = ("no plan found",) if cuts is None else check_plan(problem, cut_at(cuts, len(problem.ops)))
        valid = None if wrong else cuts
        return found(
            problem,
            self.name,
            valid,
            None if valid is None else score_cut(problem, valid).bottleneck_ns,
            status=Status.UNKNOWN if wrong else Status.FEASIBLE,
            found_by=self.name,
            wall_s=time.perf_counter() - start,
            seed=limits.seed,
            note=wrong[0] if wrong else "",
        )
