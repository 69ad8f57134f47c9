"""All exact planners agree with the oracle that tries every plan; every planner keeps its promises."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings

from generators.drawn import problems
from generators.problems import chain, large_chain, op_cost
from segsolve.cost.plan import check_plan, score_plan
from segsolve.cost.table import IMPOSSIBLE, chain_table
from segsolve.problem import Problem
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import HEURISTICS, get_planner, planner_names
from segsolve.solvers.base import Limits, Status, ignore
from segsolve.solvers.probe import exists_plan

EXACT = ("dp", "cpsat")


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_exact_planners_return_the_oracles_very_plan(name: str, problem: Problem) -> None:
    oracle = solve(problem, planner="brute")
    result = solve(problem, planner=name)
    assert (result.status, result.objective_ns, result.plan) == (oracle.status, oracle.objective_ns, oracle.plan)
    if result.plan is not None:
        assert result.bound_ns == result.objective_ns
        assert result.gap == 0
        assert result.proof


@pytest.mark.parametrize("name", planner_names())
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_every_planner_is_honest(name: str, problem: Problem) -> None:
    result = solve(problem, planner=name)
    best = solve(problem, planner="brute").objective_ns
    assert (result.plan is None) == (result.status in (Status.INFEASIBLE, Status.UNKNOWN))
    if result.plan is None or result.objective_ns is None:
        return
    assert best is not None
    assert check_plan(problem, result.plan) == ()
    assert score_plan(problem, result.plan).pipelines[0].bottleneck_ns == result.objective_ns
    assert result.bound_ns <= best <= result.objective_ns


@settings(max_examples=100, deadline=None)
@given(problems())
def test_bounds_and_probe_are_right(problem: Problem) -> None:
    table = chain_table(problem)
    best = solve(problem, planner="brute").objective_ns
    if best is None:
        assert not exists_plan(table.time, problem.tpus, IMPOSSIBLE - 1)
        return
    assert lower_bound(table) <= best
    assert exists_plan(table.time, problem.tpus, best)
    assert not exists_plan(table.time, problem.tpus, best - 1)


@settings(max_examples=60, deadline=None)
@given(problems(max_tpus=4))
def test_one_more_tpu_never_hurts(problem: Problem) -> None:
    fewer = solve(problem, planner="dp").objective_ns
    more = solve(dataclasses.replace(problem, tpus=problem.tpus + 1), planner="dp").objective_ns
    assert fewer is None or (more is not None and more <= fewer)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_scaling_costs_scales_the_optimum(problem: Problem) -> None:
    scaled = dataclasses.replace(
        problem,
        overhead_ns=3 * problem.overhead_ns,
        ops=tuple(
            dataclasses.replace(op, compute_ns=3 * op.compute_ns, streamed_ns=3 * op.streamed_ns) for op in problem.ops
        ),
        transfers=tuple(
            dataclasses.replace(t, input_ns=3 * t.input_ns, output_ns=3 * t.output_ns) for t in problem.transfers
        ),
        measured=tuple(dataclasses.replace(m, time_ns=3 * m.time_ns) for m in problem.measured),
    )
    before, after = solve(problem), solve(scaled)
    assert after.objective_ns == (None if before.objective_ns is None else 3 * before.objective_ns)
    assert after.plan == before.plan


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_cpsat_agrees_with_dynamic_programming_on_long_chains(seed: int, deep: bool) -> None:
    problem = large_chain(150, 6, seed, deep=deep)
    exact, found = solve(problem, planner="dp"), solve(problem, planner="cpsat")
    assert (found.status, found.objective_ns, found.plan) == (Status.OPTIMAL, exact.objective_ns, exact.plan)
    for name in HEURISTICS:
        objective = solve(problem, planner=name).objective_ns
        assert objective is None or (found.objective_ns is not None and objective >= found.objective_ns)


def test_the_greedy_probe_is_not_exact_here() -> None:
    """Why the proof needs the exact probe: a longer first stage can be faster, and greedy passes it by."""
    missed = [
        seed
        for seed in range(40)
        if solve(large_chain(60, 4, seed), planner="greedy").objective_ns
        != solve(large_chain(60, 4, seed), planner="dp").objective_ns
    ]
    assert missed


def test_more_tpus_than_operations() -> None:
    result = solve(chain(op_cost(10), op_cost(10), tpus=16))
    assert result.plan is not None
    assert len(result.plan.pipelines[0].stages) == 2


def test_a_single_operation() -> None:
    for name in planner_names():
        result = solve(chain(op_cost(10), tpus=4), planner=name)
        assert result.plan is not None
        assert result.plan.cuts == ()


def test_an_operation_that_fits_nowhere_makes_no_spill_infeasible() -> None:
    problem = chain(op_cost(weight_bytes=200), op_cost(), capacity_bytes=100, no_spill=True)
    for name in (*EXACT, "brute"):
        result = solve(problem, planner=name)
        assert result.status is Status.INFEASIBLE
        assert result.plan is None
        assert result.proof is not None
    for name in HEURISTICS:
        assert solve(problem, planner=name).status is Status.UNKNOWN


def test_no_spill_spreads_what_streaming_would_allow_together() -> None:
    heavy = op_cost(10, weight_bytes=60, streamed_ns=11)
    ops = (heavy, heavy, op_cost(200))
    priced = solve(chain(*ops, ns=50, tpus=2))
    strict = solve(chain(*ops, ns=50, tpus=2, no_spill=True))
    assert priced.plan is not None
    assert strict.plan is not None
    assert priced.plan.cuts == (2,)
    assert strict.plan.cuts == (1,)


def test_brute_force_refuses_what_it_cannot_finish() -> None:
    result = get_planner("brute").solve(large_chain(60, 8, 0), Limits(), ignore)
    assert result.status is Status.UNKNOWN
    assert "too many" in result.note


def test_ties_are_broken_the_same_way_by_all() -> None:
    problem = chain(*(op_cost(10) for _ in range(8)), tpus=4, ns=0)
    plans = {solve(problem, planner=name).plan for name in (*EXACT, "brute")}
    assert len(plans) == 1
    (plan,) = plans
    assert plan is not None
    assert all(len(stage.ops) == 2 for stage in plan.pipelines[0].stages)
