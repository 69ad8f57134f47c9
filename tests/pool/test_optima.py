"""Small pools against all of their plans: the best is found, no bound is above it, and the checker agrees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators.pools import best_exclusive_rate, best_shared_period, random_pool
from segsolve.pool.evaluate import check_pool, score_pool
from segsolve.pool.model import Sharing
from segsolve.pool.solve import solve_pool
from segsolve.question import Cuts, Layout, Question
from segsolve.search.ask import answer as plain_answer
from segsolve.solvers.base import Status


@pytest.mark.parametrize("seed", range(40))
def test_without_sharing_the_optimum_is_exact(seed: int) -> None:
    problem = random_pool(seed)
    asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.NEVER))
    answer, best = solve_pool(asked), best_exclusive_rate(problem)
    if not best:
        assert answer.status is Status.INFEASIBLE
        return
    assert answer.status is Status.OPTIMAL
    assert answer.value == answer.bound == 1 / best
    assert answer.plan is not None
    assert check_pool(asked, answer.plan) == ()
    assert score_pool(asked, answer.plan).period == answer.value


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("linked", [False, True])
def test_with_sharing_the_best_is_found_and_no_bound_is_above_it(seed: int, linked: bool) -> None:
    problem = random_pool(1000 + seed, linked=linked)
    if problem.models == 1:
        pytest.skip("one model shares with none")
    asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.ALWAYS))
    answer, best = solve_pool(asked), best_shared_period(problem)
    assert answer.value is not None
    assert answer.bound <= best <= answer.value
    assert answer.value == best  # few patterns: CP-SAT has them all
    assert answer.status is Status.OPTIMAL or best.denominator > 1
    assert answer.plan is not None
    assert check_pool(asked, answer.plan) == ()
    assert score_pool(asked, answer.plan).period == answer.value


@pytest.mark.parametrize("seed", range(12))
def test_the_better_of_both_is_the_answer(seed: int) -> None:
    problem = random_pool(2000 + seed)
    answer, rate = solve_pool(problem), best_exclusive_rate(problem)
    best = best_shared_period(problem)
    best = min(best, 1 / rate) if rate else best
    assert answer.value is not None
    assert answer.bound <= best <= answer.value


def test_a_model_may_have_no_stage_on_a_kind_within_the_period() -> None:
    for seed in range(100_000, 100_012):
        problem = random_pool(seed, linked=seed % 4 == 3)
        if problem.models == 2:
            asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.ALWAYS))
            assert solve_pool(asked).value == best_shared_period(problem)


@pytest.mark.parametrize("seed", range(4000, 4020))
def test_one_model_on_identical_tpus_is_the_plain_optimum(seed: int) -> None:
    problem = random_pool(seed, models=1, kinds=1)
    plain = plain_answer(problem.costs[0][0], Question(layout=Layout.ANY, cuts=Cuts.CHAIN))
    pooled = solve_pool(problem)
    assert plain.value is not None
    assert pooled.value == pooled.bound == problem.workload.weights[0] * plain.value
