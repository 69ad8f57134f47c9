"""The simple uses of a pool that a plan is held against."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from itertools import product

import pytest
from rich.console import Console

from generators.pools import random_pool
from segsolve.pool.answer import COPIES
from segsolve.pool.evaluate import check_pool, score_pool
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage
from segsolve.pool.simple import _placings, simple_shared, ways_beside
from segsolve.pool.solve import solve_pool
from segsolve.report.pool.answer import pool_table
from segsolve.solvers.base import Status, Stop


@pytest.mark.parametrize("seed", range(20))
def test_whole_models_are_placed_as_well_as_can_be(seed: int) -> None:
    problem = random_pool(seed, linked=seed % 2 == 1)

    def placed(where: tuple[int, ...]) -> PoolPlan:
        ops = [tuple(range(len(row[0].ops))) for row in problem.costs]
        stages = [PoolStage(ops=ops[m], devices=(d,)) for m, d in enumerate(where)]
        pipelines = tuple(PoolPipeline(model=m, stages=(stage,)) for m, stage in enumerate(stages))
        return by_first_stage(pipelines, len(problem.pool.devices))

    plans = map(placed, product(range(len(problem.pool.devices)), repeat=problem.models))
    periods = [score_pool(problem, plan).period for plan in plans if not check_pool(problem, plan)]
    found = simple_shared(problem).get("placed")
    assert (score_pool(problem, found).period if found else None) == min(periods, default=None)


def test_alike_devices_are_not_told_apart() -> None:
    assert len(list(_placings([0] * 8, 4))) == 15  # the ways to part four models into groups
    assert list(_placings([0, 0, 1], 2)) == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 2)]


@pytest.mark.parametrize("seed", range(8))
def test_plans_with_copies_too_are_no_worse_than_those_without(seed: int) -> None:
    found = solve_pool(random_pool(seed))
    ways = {way.name: way for way in ways_beside(found) if way.period is not None}
    if any(family.name == COPIES for family in found.families) and found.plan is not None:
        assert ways["copies"].period == found.value == min(w.period for w in ways.values() if w.period is not None)


def test_a_plan_that_is_proven_was_not_stopped() -> None:
    found = solve_pool(random_pool(1))
    stopped = replace(found, stopped_by=Stop.TIME_LIMIT)
    for answer, is_said in ((stopped, False), (replace(stopped, status=Status.FEASIBLE), True)):
        console = Console(width=100, file=StringIO(), record=True)
        console.print(pool_table(answer))
        text = console.export_text()
        assert ("Stopped by: time limit." in text) == is_said
        assert ("Proven: none is better" in text) != is_said
