"""The value of every plan of a small problem, by the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.question import Question
from tests.layouts.oracle import plans, worth


def all_values(problem: Problem, question: Question, *, graph: bool) -> Iterator[tuple[Fraction, Plan]]:
    """Yield the value of every plan that is allowed."""
    limit, least = question.constraints.max_latency_ns, question.constraints.min_fps
    for plan, score in plans(problem, question, dag=graph):
        is_slow = least is not None and score.rate * 10**9 < Fraction(least)
        if not is_slow and (limit is None or score.latency_ns <= limit):
            yield worth(score, plan, question), plan
