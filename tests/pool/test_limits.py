"""Pools at the edges of what is supported: refused in a sentence, or answered as any other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.pool_limits import faults_of
from generators.pools import best_exclusive_period, extreme_pool, multiplied, random_pool
from segsolve.errors import DeviceError
from segsolve.pool.evaluate import score_pool
from segsolve.pool.model import MOST_PERIOD_NS, PoolProblem, Sharing
from segsolve.pool.solve import solve_pool
from segsolve.problem import SharedLink
from segsolve.solvers.base import Status


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_extreme_pools_have_answers_that_hold_or_are_refused(first: int) -> None:
    solved = 0
    for seed in range(first, first + 10):
        try:
            problem = extreme_pool(seed)
        except DeviceError:
            continue
        solved += 1
        _, faults = faults_of(problem, seconds=0.2)
        assert not faults, (seed, faults)
    assert solved >= 3


@pytest.mark.parametrize("seed", range(8))
def test_a_host_that_takes_millions_of_times_as_long_as_all_else(seed: int) -> None:
    """What pipelines could do and do is then nothing to the tolerances of HiGHS, unless time is counted in periods."""
    problem = _multiplied(random_pool(seed, models=2, devices=3, hosted=True), host=2**24)
    asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.NEVER))
    answer, best = solve_pool(asked), best_exclusive_period(asked)
    if best is None:
        assert answer.status is Status.INFEASIBLE
        return
    assert answer.status is Status.OPTIMAL and answer.plan is not None
    assert float(score_pool(asked, answer.plan).period) == pytest.approx(best, rel=1e-6)


def test_more_memory_than_any_model_takes_costs_nothing() -> None:
    known = random_pool(4, models=3, devices=3)
    roomy, endless = (solve_pool(_multiplied(known, roomier=more)) for more in (2**10, 2**43))
    assert roomy.value == endless.value and endless.problem.costs[0][0].capacity_bytes > 2**52


@pytest.mark.parametrize("cost", ["slower", "larger"])
def test_sums_that_could_overflow_are_refused(cost: str) -> None:
    known = random_pool(4, models=3, devices=3)
    with pytest.raises(DeviceError, match=r"the models of a pool may .* check the unit|up to \d+ in a period"):
        _multiplied(known, **{cost: MOST_PERIOD_NS // 2**7})


def test_a_link_that_could_overflow_is_refused() -> None:
    known = random_pool(3, models=2, devices=2, linked=True)
    links = tuple((name, SharedLink(ns_per_mib=2**60)) for name, _ in known.pool.links)
    with pytest.raises(DeviceError, match="take a link"):
        replace(known, pool=replace(known.pool, links=links))


def _multiplied(problem: PoolProblem, **by: int) -> PoolProblem:
    return replace(problem, costs=tuple(tuple(multiplied(p, **by) for p in row) for row in problem.costs))
