"""The loop on synthetic costs: it ends with the optimum under the true ones, and asks for few of them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.drawn import problems
from generators.problems import chain, large_chain, op_cost
from segsolve.cost.plan import check_plan, score_plan
from segsolve.cost.stage import stage_score
from segsolve.problem import MeasuredStage, Problem
from segsolve.refine import End
from segsolve.search.chain.confirmed import solve
from segsolve.solvers.base import Status
from segsolve.tune import Tolerance, tune

OFF = 0.1
TOLERANCE = Tolerance(stage=0.2, change=0.12)
"""Enough for costs that are off by `OFF` either way: 0.8 of the most overestimated is less than any."""


class Machine:
    """Operations take up to `OFF` more or less than predicted, always the same."""

    def __init__(self, problem: Problem, seed: int) -> None:
        rng = random.Random(seed)
        self.problem = dataclasses.replace(problem, measured=())
        self.factors = [rng.uniform(1 - OFF, 1 + OFF) for _ in problem.ops]
        self.asked: list[tuple[int, int]] = []

    def measure(self, first: int, end: int) -> int:
        self.asked.append((first, end))
        return self.true_ns(first, end)

    def true_ns(self, first: int, end: int) -> int:
        stage = stage_score(self.problem, range(first, end))
        work = sum(self.problem.ops[i].compute_ns * self.factors[i] for i in range(first, end))
        return round(work) + stage.time_ns - stage.compute_ns

    def truth(self) -> Problem:
        """The problem with every stage measured."""
        positions = (0, *self.problem.cuts, len(self.problem.ops))
        stages = (MeasuredStage(first=a, end=b, time_ns=self.true_ns(a, b)) for a, b in combinations(positions, 2))
        return dataclasses.replace(self.problem, measured=tuple(stages))


def magnified(problem: Problem) -> Problem:
    """The problem with a thousand times the costs, so that roundings do not matter."""
    return dataclasses.replace(
        problem,
        measured=(),
        overhead_ns=1000 * problem.overhead_ns,
        ops=tuple(
            dataclasses.replace(op, compute_ns=1000 * op.compute_ns, streamed_ns=1000 * op.streamed_ns)
            for op in problem.ops
        ),
        transfers=tuple(
            dataclasses.replace(t, input_ns=1000 * t.input_ns, output_ns=1000 * t.output_ns) for t in problem.transfers
        ),
    )


@settings(max_examples=200, deadline=None)
@given(problems(), st.integers(0, 2**16))
def test_the_loop_ends_with_the_optimum_under_the_true_costs(small: Problem, seed: int) -> None:
    machine = Machine(magnified(small), seed)
    oracle = solve(machine.truth(), planner="brute")
    tuning = tune(machine.problem, machine.measure, tolerance=TOLERANCE)
    least = None if oracle.objective_ns is None else max(1, oracle.objective_ns)  # what costs nothing counts as 1 ns
    assert tuning.period_ns == least
    assert tuning.stopped_by is (End.STANDS if oracle.plan else End.NO_PLAN)
    assert len(machine.asked) == len(set(machine.asked)) == tuning.measurements
    if tuning.plan is not None:
        assert check_plan(tuning.problem, tuning.plan) == ()
        assert max(1, score_plan(tuning.problem, tuning.plan).period_ns) == tuning.period_ns == tuning.bound_ns


@pytest.mark.parametrize("tpus", [2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_few_stages_of_a_long_chain_are_measured(tpus: int, seed: int) -> None:
    machine = Machine(large_chain(60, tpus, seed), seed)
    tuning = tune(machine.problem, machine.measure, tolerance=TOLERANCE, most_iterations=500)
    assert tuning.stopped_by is End.STANDS
    assert tuning.period_ns == solve(machine.truth(), planner="dp").objective_ns
    assert tuning.stages == 61 * 60 // 2
    assert tuning.measurements < tuning.stages / 10


def test_right_costs_need_no_more_than_the_first_plan() -> None:
    problem = chain(*(op_cost(100) for _ in range(8)), tpus=2, ns=3)
    tuning = tune(problem, lambda first, end: stage_score(problem, range(first, end)).time_ns)
    assert (tuning.measurements, len(tuning.iterations), tuning.scale) == (2, 1, 1.0)
    assert tuning.plan == solve(problem).plan
    assert tuning.answer(1.0).status is Status.OPTIMAL


def test_a_slow_operation_moves_the_cut() -> None:
    problem = chain(*(op_cost(100) for _ in range(8)), tpus=2, ns=0)
    tuning = tune(problem, lambda first, end: 100 * (end - first) + 150 * (first == 0), tolerance=Tolerance(change=0.5))
    assert tuning.plan is not None
    assert tuning.plan.cuts == (3,)
    assert tuning.period_ns == 500
    assert [i.best_ns for i in tuning.iterations] == [550, 500]


def test_what_is_known_already_is_not_measured_again() -> None:
    problem = chain(*(op_cost(100) for _ in range(4)), tpus=2, ns=0)
    known = tuple(MeasuredStage(first=a, end=a + 2, time_ns=200) for a in (0, 2))
    tuning = tune(dataclasses.replace(problem, measured=known), _refuse)
    assert (tuning.measurements, tuning.period_ns, tuning.stopped_by) == (0, 200, End.STANDS)


def test_no_plan() -> None:
    problem = chain(op_cost(weight_bytes=200), op_cost(), capacity_bytes=100, no_spill=True)
    tuning = tune(problem, _refuse)
    assert (tuning.plan, tuning.stopped_by) == (None, End.NO_PLAN)


def test_the_limit_keeps_the_best_plan() -> None:
    machine = Machine(large_chain(60, 4, 1), 1)
    tuning = tune(machine.problem, machine.measure, tolerance=TOLERANCE, most_iterations=2)
    assert (tuning.stopped_by, len(tuning.iterations)) == (End.LIMIT, 2)
    assert tuning.plan is not None
    assert tuning.period_ns is not None
    assert tuning.bound_ns <= tuning.period_ns
    assert tuning.answer(1.0).status is Status.FEASIBLE


@pytest.mark.parametrize("calls", [0, 1, 2, 5])
def test_an_interruption_keeps_what_is_there(calls: int) -> None:
    machine = Machine(large_chain(60, 2, 1), 1)
    tuning = tune(machine.problem, _until(calls, machine.measure), tolerance=TOLERANCE)
    assert tuning.stopped_by is End.INTERRUPTED
    assert len(tuning.problem.measured) == tuning.measurements == calls
    assert (tuning.plan is not None) == (calls >= 2)


def test_it_repeats() -> None:
    first, second = (tune(m.problem, m.measure) for m in (Machine(large_chain(60, 4, 2), 2) for _ in range(2)))
    assert first == second


def _until(calls: int, measure: Callable[[int, int], int]) -> Callable[[int, int], int]:
    made: list[tuple[int, int]] = []

    def interrupted(first: int, end: int) -> int:
        if len(made) == calls:
            raise KeyboardInterrupt
        made.append((first, end))
        return measure(first, end)

    return interrupted


def _refuse(first: int, end: int) -> int:
    raise AssertionError(f"{first}-{end - 1} is measured")
