"""The best cuts of orders, and the bounds that need no search, against the evaluator and every assignment."""

from __future__ import annotations

import dataclasses
import time

import pytest

from generators.asked import Asked
from generators.dags import random_dag, spilling_dag
from generators.enumeration import least_bottleneck, pipelines
from generators.problems import large_chain
from segsolve.cost.segment_table import SegmentTable
from segsolve.problem import MeasuredStage, Problem
from segsolve.search.ladder.start import Start, find_start
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.intervals import accelerator_times, best_cuts
from tests.trying import bottleneck


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


@pytest.mark.parametrize("tpus", [4, 9])
def test_a_chain_has_the_times_of_the_segment_table(tpus: int) -> None:
    problem = large_chain(40, tpus, 1)
    problem = dataclasses.replace(problem, measured=(MeasuredStage(first=3, end=9, time_ns=77),))
    assert (accelerator_times(dag_of(problem), range(40)) == SegmentTable(problem).time).all()


@pytest.mark.parametrize("seed", range(50))
def test_a_start_is_priced_as_the_evaluator_does_and_never_beats_the_optimum(seed: int) -> None:
    problem = small(seed)
    found, best = start(problem), least_bottleneck(problem)
    if found is None:
        assert best is None or problem.no_spill
        return
    dag = dag_of(problem)
    stages = [(dag.members(part.groups), part.on_cpu) for part in found.parts]
    assert bottleneck(problem, stages) == found.bottleneck_ns
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
    best = least_bottleneck(problem)
    if best is None:
        return
    bounds = Bounds(dag_of(problem), problem.tpus)
    assert bounds.lower_bound() <= best
    space = bounds.windows(best)
    assert not space.empty
    if problem.cpus:
        return
    for pipeline in pipelines(problem, Asked(layout="pipeline", cuts="dag")):
        if pipeline.bottleneck_ns <= best:
            stage_of = {op: k for k, stage in enumerate(pipeline.stages) for op in stage.ops}
            assert all(space.earliest[op] <= stage_of[op] <= space.latest[op] for op in stage_of)


def test_an_order_without_a_plan_says_so() -> None:
    problem = dataclasses.replace(random_dag(5, 2, 0, memory=1.0), capacity_bytes=0)
    assert best_cuts(dag_of(problem), range(5), 2) is None
