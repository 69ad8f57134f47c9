"""Whole models where there is no time to look for a plan: the answer is a plan, and what is said of it true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators.pools import random_pool
from segsolve.pool.evaluate import check_pool, score_pool
from segsolve.pool.fallback import whole_models
from segsolve.pool.model import Sharing
from segsolve.pool.solve import solve_pool
from segsolve.solvers.base import Limits, Status


@pytest.mark.parametrize("sharing", Sharing)
@pytest.mark.parametrize("seed", range(12))
def test_no_time_at_all_leaves_a_plan(seed: int, sharing: Sharing) -> None:
    problem = random_pool(seed, linked=seed % 2 == 1)
    problem = replace(problem, workload=replace(problem.workload, sharing=sharing))
    whole = whole_models(problem)
    found = solve_pool(problem, limits=Limits(time_limit_s=1e-6))
    best = solve_pool(problem)
    if whole is None:
        return
    assert not check_pool(problem, whole)
    assert found.plan is not None and found.value is not None and best.value is not None
    assert found.bound <= best.value <= min(found.value, score_pool(problem, whole).period)
    assert found.status in (Status.FEASIBLE, Status.OPTIMAL)


@pytest.mark.parametrize("seed", range(12))
def test_no_time_at_all_leaves_what_simple_uses_come_to(seed: int) -> None:
    problem = random_pool(seed)
    found = solve_pool(problem, limits=Limits(time_limit_s=0.0))
    if found.simple_shared:
        kept = [score_pool(problem, plan).period for plan in found.simple_shared.values()]
        assert found.value is not None and found.value <= min(kept)


def test_no_tpu_is_left_over_where_models_may_have_replicas() -> None:
    for seed in range(12):
        problem = random_pool(seed)
        if (plan := whole_models(problem)) is not None and len(problem.pool.kinds) == 1:
            assert all(plan.residents)


def test_models_that_may_not_share_need_a_tpu_each() -> None:
    problem = next(p for p in map(random_pool, range(100)) if p.models > len(p.pool.devices))
    never = replace(problem, workload=replace(problem.workload, sharing=Sharing.NEVER))
    assert whole_models(never) is None
