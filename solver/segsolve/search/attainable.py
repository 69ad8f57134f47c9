"""What can be had where a latency or a rate that is asked for cannot: the least of the one, the most of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from segsolve.problem import Problem
from segsolve.question import Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Limits

_KINDS = {"max_latency_ns": Objective.LATENCY, "min_fps": Objective.THROUGHPUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainable:
    """The best answer without one constraint, whose key is `key`; all others hold. It may not be proven."""

    key: str
    answer: Answer


def attainable(problem: Problem, asked: Question, limits: Limits) -> Iterator[Attainable]:
    """Yield what can be had in place of each limit of a question that no plan answers, while the others hold."""
    kept = asked.constraints.values
    for key, objective in _KINDS.items():
        if key not in kept:
            continue
        others = asked.constraints.without(key)
        found = answer(problem, replace(asked, objective=objective, constraints=others), limits=limits)
        if found.plan is not None:
            yield Attainable(key=key, answer=found)
