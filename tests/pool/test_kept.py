"""What is asked of a pool's plans beside rates: constraints of each model, the least worst latency at some rates."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from generators.pools import exclusive_plans, random_copies, random_placement, random_pool
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.kept import check_kept
from segsolve.checker.pool.prices import check_plan, cost_of
from segsolve.checker.pool.resources import least_value
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.arcs import arcs_of
from segsolve.pool.certificate import certificate
from segsolve.pool.evaluate import check_pool, keeps, score_pool
from segsolve.pool.latency import LatencyBound, least_latency_ns
from segsolve.pool.model import Goal, Pin, PoolProblem, Sharing
from segsolve.pool.plan import PoolPlan
from segsolve.pool.solve import solve_pool
from segsolve.question.kept import Constraints
from segsolve.solvers.base import Status


def asked(problem: PoolProblem, *kept: Constraints, **workload: Any) -> PoolProblem:
    """Return a problem with constraints for each of its models."""
    demands = tuple(replace(d, kept=own) for d, own in zip(problem.workload.demands, kept, strict=True))
    return replace(problem, workload=replace(problem.workload, demands=demands or problem.workload.demands, **workload))


def drawn(problem: PoolProblem, seed: int) -> list[Constraints]:
    """Return constraints that may make sense."""
    rng, found = random.Random(seed), []
    for row in problem.costs:
        cuts, work = row[0].cuts, sum(op.streamed_ns for op in row[0].ops)
        cut = rng.choice(cuts) if rng.random() < 0.3 else None
        found.append(
            Constraints.of(
                max_latency_ns=int(work * rng.uniform(0.6, 2.0)) if rng.random() < 0.6 else None,
                max_stages=rng.randint(2 if cut else 1, 2) if rng.random() < 0.4 else None,
                cut_before=[cut] if cut else None,
                keep_together=[[0, 1]] if rng.random() < 0.3 and cut != 1 else None,
            )
        )
    return found


def pinned(problem: PoolProblem, seed: int) -> PoolProblem:
    """Return a problem with some operations of some models pinned to kinds."""
    rng, demands = random.Random(seed), []
    for demand, row in zip(problem.workload.demands, problem.costs, strict=True):
        ops = len(row[0].ops)
        first = rng.randrange(ops)
        pin = Pin(first=first, last=rng.choice((first, ops - 1)), kind=rng.choice(problem.pool.kinds).name)
        demands.append(replace(demand, pins=(pin,) if rng.random() < 0.6 else ()))
    return replace(problem, workload=replace(problem.workload, demands=tuple(demands)))


def of_two_kinds() -> PoolProblem:
    drawn_ones = (random_pool(seed, models=2, devices=3) for seed in range(99))
    return next(problem for problem in drawn_ones if len(problem.pool.kinds) > 1)


def read(answer: PoolAnswer, plan: PoolPlan) -> PoolCertificate:
    document = certificate(answer, plan)
    assert document is not None
    return PoolCertificate.model_validate(document | {"binding": {"pool_sha256": "0" * 64, "models": []}})


@pytest.mark.parametrize("seed", range(60))
def test_the_best_plan_that_keeps_the_constraints_is_found(seed: int) -> None:
    problem = random_pool(seed, models=2, devices=3, linked=seed % 4 == 1, hosted=seed % 4 == 2)
    problem = asked(problem, *drawn(problem, seed), sharing=Sharing.NEVER)
    problem = pinned(problem, seed) if seed % 3 == 0 else problem
    answer = solve_pool(problem)
    best = min((period for period, _, plan in exclusive_plans(problem) if keeps(problem, plan)), default=None)
    if best is None:
        assert answer.status is Status.INFEASIBLE
        return
    assert answer.plan is not None
    assert answer.value is not None
    assert check_pool(problem, answer.plan) == ()
    assert answer.status is Status.OPTIMAL
    assert float(answer.value) == pytest.approx(best, rel=1e-6)
    found = read(answer, answer.plan)
    check_plan(found)
    check_kept(found, cost_of(found))


def test_what_cannot_be_cut_into_stages_that_may_run_has_no_plan() -> None:
    problem = of_two_kinds()
    kinds = [kind.name for kind in problem.pool.kinds]
    kept = [Constraints.of(keep_together=[[0, 1]]), *(Constraints() for _ in problem.costs[1:])]
    problem = asked(problem, *kept)
    pins = tuple(Pin(first=op, last=op, kind=kinds[op]) for op in (0, 1))
    first, *others = problem.workload.demands
    workload = replace(problem.workload, demands=(replace(first, pins=pins), *others))
    answer = solve_pool(replace(problem, workload=workload))
    assert answer.status is Status.INFEASIBLE
    assert "operation 0 on" in answer.note


def test_a_latency_below_the_work_of_a_model_is_impossible_and_what_can_be_had_is_said() -> None:
    problem = of_two_kinds()
    for row, demand in zip(problem.costs, problem.workload.demands, strict=True):
        least = least_latency_ns([arcs_of(costs) for costs in row], None)
        assert least is not None
        limits = [Constraints.of(max_latency_ns=least - 1) if d is demand else None for d in problem.workload.demands]
        kept = [limit or Constraints() for limit in limits]
        answer = solve_pool(asked(problem, *kept))
        assert answer.status is Status.INFEASIBLE
        assert f"{demand.model} takes {least / 1e6:.3f} ms at least" in answer.note
        for seed in range(100):
            plan = random_placement(problem, seed)
            assert score_pool(problem, plan).latency_ns(problem.workload.demands.index(demand)) >= least


@pytest.mark.parametrize("goal", Goal)
def test_rates_that_no_plan_makes_are_said_to_be(goal: Goal) -> None:
    problem = of_two_kinds()
    best = solve_pool(problem).value
    assert best is not None
    workload = replace(problem.workload, scale_fps=Fraction(10**12) / best, goal=goal)
    answer = solve_pool(replace(problem, workload=workload))
    assert not answer.keeps_rates
    assert answer.note.startswith("no plan makes more than")
    assert goal is Goal.RATES or answer.status is Status.FEASIBLE


def test_a_certificate_of_a_plan_that_runs_elsewhere_is_refused() -> None:
    answer = solve_pool(of_two_kinds())
    assert answer.plan is not None
    kinds, refused = [kind.name for kind in answer.problem.pool.kinds], []
    for kind in kinds:
        document = certificate(answer, answer.plan)
        assert document is not None
        document["models"][0]["pins"] = [{"first": 0, "last": 0, "kind": kind}]
        try:
            check_plan(PoolCertificate.model_validate(document | {"binding": {"pool_sha256": "0" * 64, "models": []}}))
        except CertificateFault as fault:
            refused.append(str(fault))
    assert len(refused) >= len(kinds) - 1
    assert all("operations that belong on kind" in text for text in refused)


def test_constraints_matter() -> None:
    """Else the test above shows nothing: of its problems many have another optimum without them."""
    other = 0
    for seed in range(60):
        free = random_pool(seed, models=2, devices=3, linked=seed % 4 == 1, hosted=seed % 4 == 2)
        free = replace(free, workload=replace(free.workload, sharing=Sharing.NEVER))
        kept = asked(free, *drawn(free, seed))
        other += solve_pool(free).value != solve_pool(kept).value
    assert other > 10


@pytest.mark.parametrize("seed", range(40))
def test_the_least_worst_latency_at_some_rates_is_found(seed: int) -> None:
    problem = random_pool(seed, models=2, devices=3, linked=seed % 4 == 1, hosted=seed % 4 == 2)
    plans = [(Fraction(period), score.worst_latency_ns) for period, score, _ in exclusive_plans(problem)]
    if not plans:
        return
    slack = Fraction(seed % 5 * 2 + 11, 10)
    wanted = 10**9 / (min(period for period, _ in plans) * slack)
    problem = asked(problem, *(Constraints() for _ in problem.costs), goal=Goal.LATENCY, scale_fps=wanted)
    problem = replace(problem, workload=replace(problem.workload, sharing=Sharing.NEVER))
    answer = solve_pool(problem)
    assert answer.plan is not None
    assert answer.keeps_rates
    assert answer.value == min(latency for period, latency in plans if period * wanted <= 10**9)
    assert answer.status is Status.OPTIMAL
    assert answer.certified <= answer.bound


@settings(deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_no_plan_that_makes_the_rates_is_below_the_latency_bound_and_the_checker_finds_the_same(
    seed: int, has_copies: bool
) -> None:
    problem = random_pool(seed, linked=seed % 2 == 1, hosted=seed % 3 == 1)
    plan = random_copies(problem, seed) if has_copies else random_placement(problem, seed)
    score = score_pool(problem, plan)
    assume(score.period < 10**9)
    goal = replace(problem.workload, goal=Goal.LATENCY, scale_fps=score.scale_fps)
    problem = replace(problem, workload=goal)
    arcs = [[arcs_of(p) for p in row] for row in problem.costs]
    found = LatencyBound(problem, arcs, score.scale_fps).raised()
    assert found is not None
    prices, least = found
    assert least <= score.worst_latency_ns
    answer = PoolAnswer(
        problem=problem,
        status=Status.FEASIBLE,
        plan=plan,
        score=score_pool(problem, plan),
        value=Fraction(score.worst_latency_ns),
        bound=Fraction(0),
        found_by="nobody",
        over="",
        prices=prices,
    )
    assert least_value(read(answer, plan), list(prices.all)) == least


def test_models_that_share_a_tpu_wait_for_each_other_in_the_latency_bound() -> None:
    """On one TPU every model waits for all others: no worst latency is below what all take together."""
    seen = 0
    for problem in map(random_pool, range(60)):
        if len(problem.pool.devices) > 1 or problem.models == 1:
            continue
        arcs = [[arcs_of(p) for p in row] for row in problem.costs]
        found = LatencyBound(problem, arcs, Fraction(1, 10**3)).raised()
        least = [least_latency_ns(own, None) or 0 for own in arcs]
        assert found is not None
        assert found[1] >= sum(least) > max(least)
        seen += 1
    assert seen


@pytest.mark.parametrize("sharing", [Sharing.ALWAYS, Sharing.AUTO])
def test_shared_plans_keep_them_too(sharing: Sharing) -> None:
    kept = 0
    for seed in range(24):
        problem = random_pool(seed, models=3, devices=3, hosted=seed % 3 == 0)
        if problem.models == 1:
            continue
        problem = asked(problem, *drawn(problem, seed), sharing=sharing)
        problem = pinned(problem, seed) if seed % 2 else problem
        answer = solve_pool(problem)
        drawn_plans = [random_placement(problem, 1000 * seed + number) for number in range(100)]
        periods = [score_pool(problem, plan).period for plan in drawn_plans if keeps(problem, plan)]
        if answer.plan is not None:
            assert answer.value is not None
            assert check_pool(problem, answer.plan) == ()
            assert answer.bound <= answer.value <= min(periods, default=answer.value)
            kept += any(own.kept for own in problem.workload.demands)
        else:
            assert not periods
    assert kept > 8


def test_a_certificate_of_a_plan_that_keeps_less_is_refused() -> None:
    problem = random_pool(3, models=2, devices=3)
    plain = solve_pool(asked(problem, *(Constraints() for _ in problem.costs), sharing=Sharing.NEVER))
    assert plain.plan is not None
    stages = max(len(pipeline.stages) for pipeline in plain.plan.pipelines)
    latency = score_pool(problem, plain.plan).latency_ns(0)
    tight = [{"max_latency_ns": latency - 1}, {"cut_before": [1]}, {"keep_together": [[0, 1]]}, {"max_stages": 1}]
    refused = []
    for kept in tight:
        document = certificate(plain, plain.plan)
        assert document is not None
        document["models"][0]["constraints"] = kept
        found = PoolCertificate.model_validate(document | {"binding": {"pool_sha256": "0" * 64, "models": []}})
        try:
            check_plan(found)
            check_kept(found, cost_of(found))
        except CertificateFault as fault:
            refused.append(str(fault))
    assert any("worst latency" in text for text in refused)
    assert len(refused) >= 2 + (stages > 1)
