"""Small pools against all of their plans: the best is found, no bound is above it, and the checker agrees."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from generators.pools import best_exclusive_period, best_exclusive_rate, best_shared_period, random_copies, random_pool
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import Cut, PoolCertificate
from segsolve.checker.pool.prices import check_plan, cost_of
from segsolve.checker.pool.resources import least_value
from segsolve.checker.pool.worth import prove_shared
from segsolve.cost.states import prefixes
from segsolve.cost.table import StageTable
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.arcs import arcs_of
from segsolve.pool.certificate import certificate
from segsolve.pool.columns import best_limited
from segsolve.pool.evaluate import check_pool, score_pool
from segsolve.pool.exclusive import best_exclusive
from segsolve.pool.model import Sharing
from segsolve.pool.resources import ResourceBound
from segsolve.pool.simple import simple_plans
from segsolve.pool.solve import solve_pool
from segsolve.question import Cuts, Layout, Question
from segsolve.search.ask import answer as plain_answer
from segsolve.solvers.base import Status


def _certificate(answer: PoolAnswer) -> PoolCertificate:
    """Return the certificate of an answer as the checker reads it."""
    assert answer.plan is not None
    document = certificate(answer, answer.plan)
    assert document is not None
    return PoolCertificate.model_validate(document | {"binding": {"pool_sha256": "0" * 64, "models": []}})


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


@pytest.mark.parametrize("seed", [*range(40), 48, 70])
def test_without_sharing_the_optimum_is_exact_where_links_and_host_limit(seed: int) -> None:
    problem = random_pool(seed, models=2, devices=4, linked=seed % 2 == 0, hosted=seed % 3 != 0)
    asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.NEVER))
    answer, best = solve_pool(asked), best_exclusive_period(problem)
    if best is None:
        assert answer.status is Status.INFEASIBLE
        return
    assert answer.plan is not None
    assert answer.value is not None
    assert check_pool(asked, answer.plan) == ()
    assert answer.value == score_pool(asked, answer.plan).period == pytest.approx(best, rel=1e-6)
    assert answer.status is Status.OPTIMAL
    assert answer.certified <= answer.bound == answer.value
    read = _certificate(answer)
    check_plan(read)
    assert cost_of(read).period == answer.value


@pytest.mark.parametrize("seed", range(30))
def test_one_model_on_unequal_tpus_gets_the_best_of_all_ways_to_use_them(seed: int) -> None:
    problem = random_pool(7000 + seed, models=1, devices=4, kinds=3, linked=seed % 3 == 1, hosted=seed % 3 == 2)
    answer, best = solve_pool(problem), best_exclusive_period(problem)
    assert answer.status is Status.OPTIMAL
    assert answer.value is not None
    assert best is not None
    assert float(answer.value) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_one_model_on_identical_tpus_is_the_plain_optimum_where_link_and_host_limit(seed: int) -> None:
    """But for what the plain question rounds: what an inference takes of either is whole ns there."""
    problem = random_pool(8000 + seed, models=1, kinds=1, devices=4, linked=seed % 2 == 0, hosted=seed % 2 == 1)
    link = problem.pool.links[0][1] if problem.pool.links else None
    plain = plain_answer(replace(problem.costs[0][0], link=link), Question(layout=Layout.ANY, cuts=Cuts.CHAIN))
    answer = solve_pool(problem)
    assert plain.value is not None
    assert answer.value is not None
    assert float(answer.value) == pytest.approx(float(problem.workload.weights[0] * plain.value), rel=0.005)


def test_counting_links_and_host_gains_over_the_optimum_that_leaves_them_aside() -> None:
    better = 0
    for seed in range(20):
        problem = random_pool(seed, models=2, devices=4, linked=seed % 2 == 0, hosted=seed % 3 != 0)
        tables = [[StageTable(p, prefixes(p)) for p in row] for row in problem.costs]
        alone = best_exclusive(problem, tables)
        if alone is not None:
            limited = best_limited(problem, tables)
            assert limited is not None
            assert limited.plan is not None
            free, counted = score_pool(problem, alone.plan).period, score_pool(problem, limited.plan).period
            assert counted <= free
            better += counted < free
    assert better


@pytest.mark.parametrize(
    ("seed", "linked", "hosted"),
    [
        *((seed, linked, False) for seed in range(24) for linked in (False, True)),
        *((seed, seed % 2 == 0, True) for seed in range(24, 34)),
    ],
)
def test_with_sharing_the_best_is_found_and_no_bound_is_above_it(seed: int, linked: bool, hosted: bool) -> None:
    problem = random_pool(1000 + seed, linked=linked, hosted=hosted)
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


@pytest.mark.parametrize("seed", range(6))
def test_on_one_tpu_there_are_no_copies_whose_bound_is_open(seed: int) -> None:
    problem = random_pool(seed, kinds=1, devices=1, hosted=seed % 2 == 0)
    answer, best = solve_pool(problem), best_shared_period(problem)
    assert answer.status is Status.OPTIMAL or best.denominator > 1
    assert answer.value == best
    assert answer.narrow is None


def test_what_regions_prove_is_not_above_the_optimum_and_the_checker_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsolve.pool.shared._MOST_PATTERNS", 0)  # so that CP-SAT does not know all patterns
    monkeypatch.setattr("segsolve.pool.bound.PatternBound.probe", lambda *_: None)
    monkeypatch.setattr("segsolve.pool.bound._ROUNDS", 2)  # so that potentials of a region are soon given up
    monkeypatch.setattr("segsolve.pool.bound._FAR", 100.0)
    split = 0
    for seed in range(5000, 5024):
        problem = random_pool(seed, linked=seed % 4 == 3)
        if problem.models == 1:
            continue
        asked = replace(problem, workload=replace(problem.workload, sharing=Sharing.ALWAYS))
        answer, best = solve_pool(asked), best_shared_period(problem)
        assert answer.value is not None
        assert answer.bound <= best <= answer.value
        if answer.shared is None or len(answer.shared.nodes) == 1:
            continue
        split += 1
        proven = _certificate(answer)
        assert proven.shared is not None
        prove_shared(proven, proven.shared)
        nodes = proven.shared.nodes
        cut = next(node for node in nodes if isinstance(node, Cut))
        model, first, last = cut.split
        end = len(problem.costs[model][0].cuts) + 1
        for altered in (
            nodes[:-1],
            [*nodes, nodes[-1]],
            nodes[1:],
            [node for node in nodes if node is not cut],
            [Cut(split=[model, 0, last]) if node is cut else node for node in nodes],
            [Cut(split=[model, first, end]) if node is cut else node for node in nodes],
            [Cut(split=[9, first, last]) if node is cut else node for node in nodes],
        ):
            with pytest.raises(CertificateFault):
                prove_shared(proven, proven.shared.model_copy(update={"nodes": altered}))
    assert split


@pytest.mark.parametrize("seed", range(12))
def test_the_best_of_all_is_the_answer(seed: int) -> None:
    problem = random_pool(2000 + seed, linked=seed % 3 == 1, hosted=seed % 3 == 2)
    answer, rate = solve_pool(problem), best_exclusive_rate(problem)
    best = best_shared_period(problem)
    best = min(best, 1 / rate) if rate and seed % 3 == 0 else best
    assert answer.value is not None
    assert answer.bound <= answer.value <= best
    if problem.models > 1:
        assert answer.narrow is not None
        assert answer.bound <= answer.narrow[0] <= best
        assert answer.value <= min(score_pool(problem, plan).period for plan in simple_plans(problem).values())


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_with_copies_is_below_the_resource_bound_and_the_checker_finds_the_same(seed: int) -> None:
    problem = random_pool(5000 + seed, linked=seed % 2 == 1, hosted=seed % 3 == 1)
    found = ResourceBound(problem, [[arcs_of(p) for p in row] for row in problem.costs]).raised()
    assert found is not None
    prices, period = found
    plan = random_copies(problem, seed)
    answer = PoolAnswer(
        problem=problem,
        status=Status.FEASIBLE,
        plan=plan,
        score=score_pool(problem, plan),
        value=Fraction(1),
        bound=Fraction(0),
        found_by="nobody",
        over="",
    )
    read = _certificate(answer)
    assert least_value(read, list(prices.all)) == period
    for number in range(30):
        plan = random_copies(problem, 100 * seed + number)
        assert check_pool(problem, plan) == ()
        assert score_pool(problem, plan).period >= period


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
