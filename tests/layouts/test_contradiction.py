"""Constraints that no plan keeps: the set that is named contradicts, and would not without any one of it."""

from __future__ import annotations

import random
from dataclasses import replace

from generators.problems import small_problem
from segsolve.errors import UsageError
from segsolve.problem import Problem
from segsolve.question import Constraints, Question
from segsolve.question.constraint import Constraint
from segsolve.search.ask import answer
from segsolve.search.contradiction import contradiction
from segsolve.solvers.base import Limits, Status


def drawn(rng: random.Random, problem: Problem) -> Constraints:
    last = len(problem.ops) - 1
    ops = sorted(rng.sample(range(last + 1), min(3, last + 1)))
    work = sum(op.compute_ns for op in problem.ops)
    return Constraints.of(
        cut_before=[op for op in ops if op in problem.cuts] if rng.random() < 0.7 else None,
        pins=[(op, rng.randrange(problem.tpus)) for op in ops[:2]] if rng.random() < 0.7 else None,
        keep_together=[(ops[0], ops[-1])] if ops[0] < ops[-1] and rng.random() < 0.3 else None,
        max_stages=rng.randint(1, 3) if rng.random() < 0.5 else None,
        max_latency_ns=max(1, int(work * rng.uniform(0.3, 3))) if rng.random() < 0.5 else None,
        min_fps=1e9 / max(1, work * rng.uniform(0.3, 2)) if rng.random() < 0.5 else None,
    )


def is_possible(problem: Problem, parts: list[Constraint], *, no_spill: bool) -> bool:
    question = Question(constraints=Constraints.joined(parts))
    found = answer(replace(problem, no_spill=no_spill), question, planner="cpsat")
    assert found.plan is not None or found.status is Status.INFEASIBLE
    return found.plan is not None


def test_what_is_named_contradicts_and_no_part_of_it_does() -> None:
    sizes = []
    for seed in range(150):
        rng = random.Random(seed)
        problem = small_problem(seed)
        if len(problem.ops) > 10:
            continue
        asked = Question(constraints=drawn(rng, problem))
        try:
            asked.constraints.check(problem)
        except UsageError:
            continue
        if answer(problem, asked, planner="dp").status is not Status.INFEASIBLE:
            continue
        found = contradiction(problem, asked, Limits())
        parts = list(found.constraints)
        if not found.is_smallest:  # time was up, on a busy machine
            continue
        assert {*parts} <= {part for each in asked.constraints for part in each.parts}
        assert not is_possible(problem, parts, no_spill=found.no_spill)
        for part in parts:
            assert is_possible(problem, [one for one in parts if one is not part], no_spill=found.no_spill)
        assert not found.no_spill or is_possible(problem, parts, no_spill=False)
        sizes.append(len(parts) + found.no_spill)
    assert len(sizes) > 10 and max(sizes) > 2, sizes


def test_constraints_fall_into_parts_and_are_joined_again() -> None:
    kept = Constraints.of(pins=[(0, 0), (3, 1)], keep_together=[(1, 2), (4, 5)], cut_before=[3], max_stages=3)
    parts = [part for each in kept for part in each.parts]
    assert len(parts) == 6
    assert Constraints.joined(parts) == kept


def test_no_time_leaves_the_whole_set() -> None:
    problem = small_problem(0)
    asked = Question(constraints=Constraints.of(max_latency_ns=1, min_fps=1e9))
    found = contradiction(problem, asked, Limits(time_limit_s=1e-9))
    assert list(found.constraints) == list(asked.constraints)
    assert not found.is_smallest
