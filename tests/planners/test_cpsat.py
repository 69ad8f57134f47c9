"""The constraint program: one builder at a time, then the search around it."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from ortools.sat.python import cp_model

from generators.drawn import problems
from generators.problems import chain, large_chain, op_cost
from segsolve.cost.plan import score_plan
from segsolve.cost.table import IMPOSSIBLE, chain_table
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.program import PLANNER
from segsolve.search.chain.table import latency_of, path_of
from segsolve.solvers.base import Limits, Progress, Status, Stop, ignore
from segsolve.solvers.cpsat.cuts import Model, build, hint_path, minimise_bottleneck, minimise_latency
from segsolve.solvers.cpsat.windows import Windows, windows, within_latency

TWO_STAGES = Windows(positions=((0,), (1, 2), (3,)), stages=(((0, 1, 10), (0, 2, 25)), ((1, 3, 30), (2, 3, 20))))


def solved(model: Model) -> tuple[cp_model.CpSolver, int]:
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False  # its handler would stay for the tests that come after
    return solver, int(solver.solve(model.program))


def status(model: Model) -> int:
    return solved(model)[1]


def cuts(model: Model) -> tuple[int, ...]:
    solver, found = solved(model)
    assert found == cp_model.OPTIMAL
    return tuple(solver.value(v) for v in model.cut)


@pytest.mark.parametrize(("cut", "stage_0", "stage_1"), [(1, (0, 1), (1, 3)), (2, (0, 2), (2, 3))])
def test_a_cut_decides_the_ranges_on_both_sides(cut: int, stage_0: tuple[int, int], stage_1: tuple[int, int]) -> None:
    model = build(TWO_STAGES)
    model.program.add(model.cut[1] == cut)
    solver, _ = solved(model)
    chosen = [[arc[:2] for arc, literal in stage if solver.value(literal)] for stage in model.is_range]
    assert chosen == [[stage_0], [stage_1]]


def test_ranges_that_do_not_meet_are_infeasible() -> None:
    model = build(TWO_STAGES)
    model.program.add(model.is_range[0][0][1] == 1)
    model.program.add(model.is_range[1][1][1] == 1)
    assert status(model) == cp_model.INFEASIBLE


def test_a_stage_is_only_one_range() -> None:
    model = build(TWO_STAGES)
    model.program.add(sum(literal for _, literal in model.is_range[0]) == 2)
    assert status(model) == cp_model.INFEASIBLE


def test_a_cut_stays_in_its_window() -> None:
    model = build(TWO_STAGES)
    model.program.add(model.cut[1] == 0)
    assert status(model) == cp_model.INFEASIBLE


def test_the_bottleneck_is_the_slowest_stage() -> None:
    model = build(TWO_STAGES)
    minimise_bottleneck(model, 0, 1000)
    assert cuts(model) == (0, 2, 3)


def test_the_latency_is_the_sum_of_stages() -> None:
    model = build(TWO_STAGES)
    minimise_latency(model)
    assert cuts(model) == (0, 1, 3)


def test_a_hint_covers_unused_stages() -> None:
    model = build(windows(chain_table(chain(op_cost(1), op_cost(1), op_cost(1), tpus=3)), 100))
    hint_path(model, (1, 3))
    assert list(model.program.proto.solution_hint.values) == [0, 1, 3, 3]


@settings(max_examples=100, deadline=None)
@given(problems(max_ops=7, max_tpus=4))
def test_windows_keep_every_plan_that_is_good_enough(problem: Problem) -> None:
    table = chain_table(problem)
    best = solve(problem, planner="brute")
    if best.plan is None or best.objective_ns is None:
        assert windows(table, IMPOSSIBLE - 1).empty
        return
    space = windows(table, best.objective_ns)
    path = path_of(table, best.plan.cuts or ())
    starts = (0, *path, *[table.end] * (table.most_stages - len(path)))
    assert all(start in window for start, window in zip(starts, space.positions, strict=True))
    assert windows(table, best.objective_ns - 1).empty


@settings(max_examples=100, deadline=None)
@given(problems(max_ops=7, max_tpus=4))
def test_windows_within_a_latency_keep_the_plan_that_has_it(problem: Problem) -> None:
    table = chain_table(problem)
    best = solve(problem, planner="brute")
    if best.plan is None or best.objective_ns is None:
        return
    path, space = path_of(table, best.plan.cuts or ()), windows(table, best.objective_ns)
    kept = within_latency(space, latency_of(table, path))
    assert all(
        (a, b) in {arc[:2] for arc in arcs} for arcs, (a, b) in zip(kept.stages, pairwise((0, *path)), strict=False)
    )
    assert not all(within_latency(space, latency_of(table, path) - 1).stages)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_plan_depends_on_neither_seed_nor_workers(workers: int, seed: int) -> None:
    problem = large_chain(80, 5, 3)
    reference = solve(problem)
    result = solve(problem, limits=Limits(workers=workers, seed=seed))
    assert (result.plan, result.objective_ns) == (reference.plan, reference.objective_ns)
    assert result.seed == seed


def test_no_time_keeps_the_best_heuristic() -> None:
    problem = large_chain(200, 6, 1)
    result = solve(problem, limits=Limits(time_limit_s=0.0))
    assert result.stopped_by is Stop.TIME_LIMIT
    assert result.status is Status.FEASIBLE
    assert result.plan is not None
    assert result.objective_ns == score_plan(problem, result.plan).period_ns
    assert 0 < result.bound_ns <= result.objective_ns
    assert result.gap is not None


def test_progress_is_reported_from_the_first_heuristic_on() -> None:
    seen: list[Progress] = []
    result = solve(large_chain(60, 4, 2), observe=seen.append)
    assert seen
    assert all(event.objective_ns is not None and event.bound_ns <= event.objective_ns for event in seen)
    assert seen[-1].objective_ns == result.objective_ns


def test_an_observer_that_fails_fails_the_solve() -> None:
    """An exception inside CP-SAT's callback would abort the process."""

    def observe(event: Progress) -> None:
        if event.objective_ns is not None and event.wall_s > 0:
            raise RuntimeError("the observer failed")

    with pytest.raises(RuntimeError, match="the observer failed"):
        solve(large_chain(60, 4, 2), observe=observe)


def test_ctrl_c_keeps_the_incumbent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interruption comes with the first plan that CP-SAT itself finds, and the search waits for it to arrive."""
    solver_thread = "cp-sat"
    interrupted, arrived = threading.Event(), threading.Event()
    stop_search = cp_model.CpSolver.stop_search

    def stop_search_and_tell(solver: cp_model.CpSolver) -> None:
        stop_search(solver)
        arrived.set()

    def interrupt_once(event: Progress) -> None:
        if threading.current_thread().name == solver_thread and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            # CP-SAT may complete its proof before the main thread hears of the signal, but not in its own callback.
            assert arrived.wait(60)

    # A poor start leaves a large program, so that the search has much to do.
    monkeypatch.setattr("segsolve.search.chain.program.HEURISTICS", ("uniform",))
    monkeypatch.setattr(cp_model.CpSolver, "stop_search", stop_search_and_tell)
    result = PLANNER.solve(large_chain(260, 10, 5), Limits(time_limit_s=300), interrupt_once)
    assert interrupted.is_set()
    assert result.stopped_by is Stop.INTERRUPTED
    assert result.status is Status.FEASIBLE
    assert result.plan is not None
    assert result.objective_ns is not None
    assert result.bound_ns <= result.objective_ns


def test_infeasible_is_a_value() -> None:
    result = PLANNER.solve(chain(op_cost(weight_bytes=9), capacity_bytes=1, no_spill=True), Limits(), ignore)
    assert result.status is Status.INFEASIBLE
    assert result.gap is None


def test_unused_stages_cost_nothing() -> None:
    problem = dataclasses.replace(chain(op_cost(10), op_cost(10), tpus=6), overhead_ns=1000)
    assert solve(problem).plan == cut_at((1,), len(problem.ops))
