"""Time limits and Ctrl-C: whatever is being computed ends, and a plan that needs no search is always there."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from generators.dags import random_dag
from generators.problems import large_chain
from segsolve.cost.plan import check_plan, score_plan
from segsolve.cost.table import StageTable, chain_table, lattice_table
from segsolve.deadline import OutOfTime, check, deadline, left_s
from segsolve.problem import Problem
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.ask import answer
from segsolve.search.baselines import greedy
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import get_planner
from segsolve.solvers.base import Limits, Status, Stop, ignore
from segsolve.solvers.dynamic.paths import Paths

LONG = large_chain(1500, 6, 3)


def test_an_earlier_deadline_stays() -> None:
    with deadline(1000.0), deadline(2000.0):
        assert 999.0 < left_s() <= 1000.0
    with deadline(1000.0), deadline(None):
        assert left_s() <= 1000.0
    assert left_s() == float("inf")
    check()


@pytest.mark.parametrize(
    "work",
    [
        lambda: chain_table(LONG).time,
        lambda: chain_table(LONG).moved_bytes,
        lambda: lattice_table(random_dag(12, 2, 1)),
        lambda: Paths(chain_table(large_chain(40, 3, 0)).time, 3).bottlenecks,
        lambda: Paths(chain_table(large_chain(40, 3, 0)).time, 3, max_stages=2).fewest_devices(10**9),
    ],
)
def test_what_takes_long_ends_when_time_is_up(work: Callable[[], object]) -> None:
    with deadline(0.0), pytest.raises(OutOfTime):
        while True:  # what is made anew only
            work()


QUESTIONS = [
    Question(objective=objective, layout=layout, cuts=cuts)
    for objective in Objective
    if objective is not Objective.DEVICES
    for layout in Layout
    for cuts in (Cuts.AUTO, Cuts.CHAIN)
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q.objective}-{q.layout}-{q.cuts}")
@pytest.mark.parametrize("size", [60, 700])
def test_without_time_there_is_a_valid_plan_and_a_bound_that_holds(question: Question, size: int) -> None:
    problem = large_chain(size, 4, 1)
    found = answer(problem, question, limits=Limits(time_limit_s=0.0))
    assert (found.status, found.stopped_by) == (Status.FEASIBLE, Stop.TIME_LIMIT)
    assert found.plan is not None and found.value is not None
    assert not check_plan(problem, found.plan)
    assert found.score == score_plan(problem, found.plan)
    assert found.found_by in ("uniform", "compiler", "balanced", "profiled", "greedy")
    assert found.bound <= found.value
    if size == 60 and question.objective is not Objective.PARETO:
        best = answer(problem, question)
        assert best.value is not None and found.bound <= best.value <= found.value


def test_constraints_hold_for_what_is_found_without_a_search_too() -> None:
    problem = large_chain(60, 4, 1)
    latency = score_plan(problem, answer(problem, limits=Limits(time_limit_s=0.0)).plan or pytest.fail()).latency_ns
    for kept in (
        Constraints.of(pins=((0, 1),)),
        Constraints.of(keep_together=((0, 59),), cut_before=(30,)),
    ):
        found = answer(problem, Question(constraints=kept), limits=Limits(time_limit_s=0.0))
        assert (found.status, found.plan, found.stopped_by) == (Status.UNKNOWN, None, Stop.TIME_LIMIT)
    for kept in (Constraints.of(max_latency_ns=latency // 2), Constraints.of(min_fps=1e9)):
        found = answer(problem, Question(constraints=kept), limits=Limits(time_limit_s=0.0))
        assert (found.status, found.plan, found.found_by) == (Status.INFEASIBLE, None, "bounds")
    few = answer(problem, Question(constraints=Constraints.of(max_stages=1)), limits=Limits(time_limit_s=0.0))
    assert few.plan is not None and all(len(p.stages) == 1 for p in few.plan.pipelines)


@pytest.mark.parametrize("layout", Layout)
def test_ctrl_c_while_a_table_is_built_gives_a_plan(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    problem = large_chain(62, 4, 7)
    monkeypatch.setattr(StageTable, "time", property(interrupted))
    found = answer(problem, Question(layout=layout))
    assert (found.status, found.stopped_by) == (Status.FEASIBLE, Stop.INTERRUPTED)
    assert found.plan is not None and not check_plan(problem, found.plan)


@pytest.mark.parametrize("name", ["greedy", "profiled", "cpsat"])
def test_a_long_chain_is_planned_as_with_a_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = large_chain(150, 5, 2)
    short = get_planner(name).solve(problem, Limits(), ignore)
    monkeypatch.setattr("segsolve.search.chain.table._MANY", 10)
    long = get_planner(name).solve(problem, Limits(), ignore)
    assert short.objective_ns is not None and long.objective_ns is not None
    assert abs(long.objective_ns - short.objective_ns) <= short.objective_ns * (0.05 if name == "greedy" else 0)


def test_a_greedy_fill_that_is_cut_short_is_still_a_plan() -> None:
    cut = greedy.segment(LONG)
    assert cut is not None and len(cut) < LONG.tpus
    exact = solve(large_chain(700, 4, 2))
    quick = greedy.segment(large_chain(700, 4, 2))
    assert exact.objective_ns is not None and quick is not None


def test_a_limit_that_is_long_enough_changes_nothing() -> None:
    problem: Problem = large_chain(80, 4, 5)
    free, limited = answer(problem), answer(problem, limits=Limits(time_limit_s=600.0))
    assert (free.status, free.plan, free.value) == (limited.status, limited.plan, limited.value)
    assert limited.value == Fraction(limited.value or 0)
