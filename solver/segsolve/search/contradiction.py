"""Which constraints contradict each other where no plan keeps all of them: a set of which none can be left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from segsolve.deadline import deadline, is_over, left_s
from segsolve.problem import Problem
from segsolve.question import Constraints, Objective, Question
from segsolve.question.constraint import Constraint
from segsolve.search.ask import answer
from segsolve.solvers.base import Limits, Status, Stop

_MOST_S = 10.0  # what an explanation may take

_Part = Constraint | None  # None stands for the weights that must all be on chip


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Constraints that no plan keeps together.

    `no_spill` says whether weights on chip are one of them. `is_smallest` says that all but any one of them can be
    kept together; otherwise time was up before that was known.
    """

    constraints: Sequence[Constraint]
    no_spill: bool
    is_smallest: bool


def contradiction(problem: Problem, asked: Question, limits: Limits) -> Contradiction:
    """Return what contradicts, of constraints that no plan keeps: what is not needed for that is left out, one by one.

    Raises:
        KeyboardInterrupt: Ctrl-C came.
    """
    is_sure = True

    def is_impossible(parts: Sequence[_Part]) -> bool:
        nonlocal is_sure
        if is_over():
            is_sure = False
            return False
        kept = Constraints.joined(part for part in parts if part is not None)
        question = replace(asked, objective=Objective.THROUGHPUT, constraints=kept)
        tried = replace(problem, no_spill=problem.no_spill and None in parts)
        found = answer(tried, question, planner="dp", limits=replace(limits, time_limit_s=left_s()))
        if found.stopped_by is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        is_sure &= found.plan is not None or found.status is Status.INFEASIBLE
        return found.status is Status.INFEASIBLE

    weights: list[_Part] = [None] if problem.no_spill else []
    with deadline(min(_MOST_S, limits.time_limit_s or _MOST_S)):
        kinds = _needed([*weights, *asked.constraints], is_impossible)
        is_sure = True  # what could not be left out as a whole is looked at again in parts
        needed = _needed([part for kind in kinds for part in (kind.parts if kind else (None,))], is_impossible)
    left = [part for part in needed if part is not None]
    return Contradiction(constraints=left, no_spill=None in needed, is_smallest=is_sure)


def _needed(parts: Sequence[_Part], is_impossible: Callable[[Sequence[_Part]], bool]) -> list[_Part]:
    """Leave out what is impossible without it, too."""
    left = list(parts)
    for part in parts:
        others = [one for one in left if one is not part]
        if is_impossible(others):
            left = others
    return left
