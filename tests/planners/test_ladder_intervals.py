"""The best cuts of orders, and the bounds that need no search, against the evaluator and every assignment."""

from __future__ import annotations

import dataclasses
import time

import pytest

from segsolve.problem import Problem
from segsolve.search.ladder.start import Start, find_start
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.intervals import best_cuts
from tests.planners.dags import assignments, best_by_trying, bottleneck, random_dag, spilling_dag


def small(seed: int) -> Problem:
    kinds = (
        random_dag(6, 3, seed),
        random_dag(6, 2, seed, cpus=1),
        random_dag(6, 3, seed, memory=1.4),
        random_dag(5, 1, seed, cpus=2, memory=1.2),
        spilling_dag(6, 3, seed),
    )
    return kinds[seed % len(kinds)]


def start(problem: Problem, rounds: int = 30) -> Start | None:
    until = time.perf_counter() + 100
    return find_start(dag_of(problem), problem.tpus, lower_bound_ns=0, rounds=rounds, seed=0, hint=None, until=until)


@pytest.mark.parametrize("seed", range(50))
def test_a_start_is_priced_as_the_evaluator_does_and_never_beats_the_optimum(seed: int) -> None:
    problem = small(seed)
    found, best = start(problem), best_by_trying(problem, problem.tpus)
    if found is None:
        assert best is None or problem.no_spill
        return
    dag = dag_of(problem)
    stages = tuple(dag.members(part.groups) for part in found.parts)
    kinds = "".join("c" if part.on_cpu else "a" for part in found.parts)
    assert bottleneck(problem, stages, kinds) == found.bottleneck_ns
    assert best is not None
    assert found.bottleneck_ns >= best


def test_starts_repeat_and_more_rounds_are_never_worse() -> None:
    problem = random_dag(120, 5, 2, width=4)
    few, many = start(problem, 12), start(problem, 60)
    assert start(problem, 60) == many
    assert few is not None and many is not None
    assert many.bottleneck_ns <= few.bottleneck_ns


@pytest.mark.parametrize("seed", range(50))
def test_bounds_hold_for_every_assignment(seed: int) -> None:
    problem = small(seed)
    best = best_by_trying(problem, problem.tpus)
    if best is None:
        return
    bounds = Bounds(dag_of(problem), problem.tpus)
    assert bounds.lower_bound() <= best
    space = bounds.windows(best)
    assert not space.empty
    if problem.cpus:
        return
    kinds = "a" * problem.tpus
    for stages in assignments(problem, problem.tpus):
        value = bottleneck(problem, stages, kinds)
        if value is not None and value <= best and all(stages[k] for k in range(sum(map(bool, stages)))):
            stage_of = {op: k for k, ops in enumerate(stages) for op in ops}
            assert all(space.earliest[op] <= stage_of[op] <= space.latest[op] for op in stage_of)


def test_an_order_without_a_plan_says_so() -> None:
    problem = dataclasses.replace(random_dag(5, 2, 0, memory=1.0), capacity_bytes=0)
    assert best_cuts(dag_of(problem), range(5), 2) is None
