"""The search on DAGs and the second solver's word: against every assignment, repeated, interrupted, lied to."""

from __future__ import annotations

import dataclasses
import random
from fractions import Fraction
from typing import Any

import pytest

from generators.dags import random_dag, spilling_dag
from generators.enumeration import least_bottleneck
from generators.problems import chain, large_chain, op_cost
from segsolve.cost.plan import check_pipeline, check_plan
from segsolve.errors import SolverFault
from segsolve.problem import MeasuredStage, Problem
from segsolve.search import wide
from segsolve.search.answer import Answer
from segsolve.search.ask import best_pipeline
from segsolve.search.chain.confirmed import solve
from segsolve.search.ladder.second_solver import Verdict, certify
from segsolve.search.ladder.solve import solve_dag
from segsolve.solvers.base import Limits, Progress, Status, Stop, ignore
from segsolve.solvers.cpsat import engine
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.probe import probe
from segsolve.solvers.ladder.reduce import reduced, relaxed


def measured_dag(seed: int) -> Problem:
    """Some stages take another time than their parts add up to."""
    return with_measured(random_dag(6, 3, seed), seed)


def with_measured(problem: Problem, seed: int) -> Problem:
    rng = random.Random(seed)
    ranges = {tuple(sorted(rng.sample(range(len(problem.ops) + 1), 2))) for _ in range(3)}
    measured = tuple(MeasuredStage(first=a, end=b, time_ns=rng.randint(0, 150)) for a, b in sorted(ranges))
    return dataclasses.replace(problem, measured=measured)


def free_dag(problem: Problem) -> Problem:
    ops = tuple(
        dataclasses.replace(op, compute_ns=0, streamed_ns=0, cpu_ns=None if op.cpu_ns is None else 0)
        for op in problem.ops
    )
    transfers = tuple(dataclasses.replace(t, input_ns=0, output_ns=0) for t in problem.transfers)
    return dataclasses.replace(problem, ops=ops, transfers=transfers, overhead_ns=0)


KINDS: dict[str, Any] = {
    "plain": lambda seed: random_dag(7, 3, seed),
    "cores": lambda seed: random_dag(6, 2, seed, cpus=1),
    "hard memory": lambda seed: random_dag(7, 3, seed, memory=1.5),
    "cores and memory": lambda seed: random_dag(6, 2, seed, cpus=1, memory=1.5),
    "spill": lambda seed: spilling_dag(7, 3, seed),
    "measured": measured_dag,
    "measured and memory": lambda seed: with_measured(random_dag(6, 3, seed, memory=1.4), seed),
    "measured, cores and memory": lambda seed: with_measured(random_dag(5, 1, seed, cpus=1, memory=1.4), seed),
    "measured and overhead": lambda seed: dataclasses.replace(measured_dag(seed), overhead_ns=60),
    "nothing costs anything": lambda seed: free_dag(random_dag(6, 2, seed, cpus=seed % 2)),
}


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("kind", KINDS)
def test_the_optimum_is_that_of_every_assignment_and_highs_agrees(kind: str, seed: int) -> None:
    problem = KINDS[kind](seed)
    best = least_bottleneck(problem)
    result = solve_dag(problem, stages=problem.tpus)
    assert result.objective_ns == best
    assert result.status is (Status.INFEASIBLE if best is None else Status.OPTIMAL)
    dag = reduced(dag_of(problem))
    smaller = relaxed(dag)
    for bound_ns in (10**6,) if best is None else (best - 1, best):
        found = probe(dag, Bounds(dag, problem.tpus), bound_ns)
        assert found is not None and found.exists == (bound_ns == best)
        if smaller is not None and found.exists:
            easier = probe(smaller, Bounds(smaller, problem.tpus), bound_ns)
            assert easier is not None and easier.exists
    if best is None:
        return
    assert result.bound_ns == best
    assert result.plan is not None and result.score is not None
    if not problem.cpus:
        assert not check_pipeline(problem, result.plan.pipelines[0])
        assert result.score.pipelines[0].bottleneck_ns == best
    assert certify(problem, stages=problem.tpus, objective_ns=best).refuted_ns == best - 1
    if not problem.measured:
        with pytest.raises(SolverFault):
            certify(problem, stages=problem.tpus, objective_ns=best + 1 if kind != "spill" else 10**6)


@pytest.mark.parametrize("kind", ["plain", "cores", "hard memory", "cores and memory"])
def test_highs_confirms_where_stages_do_not_choose_what_they_cache(kind: str) -> None:
    for seed in range(15, 25):
        problem = KINDS[kind](seed)
        result = solve_dag(problem, stages=problem.tpus)
        if result.objective_ns is not None:
            found = certify(problem, stages=problem.tpus, objective_ns=result.objective_ns)
            assert found.verdict is Verdict.CONFIRMED


def test_a_chain_has_the_optimum_of_the_chain_planner_when_the_order_is_the_only_one() -> None:
    problem = large_chain(40, 4, 3)
    result = solve_dag(problem, stages=4)
    assert result.status is Status.OPTIMAL
    assert result.objective_ns == solve(problem).objective_ns


def test_operations_between_legal_cuts_stay_together() -> None:
    problem = dataclasses.replace(random_dag(30, 3, 1), cuts=(5, 11, 17, 23))
    result = solve_dag(problem, stages=3)
    assert result.plan is not None
    assert not check_plan(problem, result.plan)


@pytest.mark.parametrize("limits", [Limits(), Limits(workers=2), Limits(workers=4)])
def test_the_plan_does_not_depend_on_the_number_of_workers(limits: Limits) -> None:
    problem = random_dag(60, 4, 3, width=3)
    reference = solve_dag(problem, stages=4)
    found = solve_dag(problem, stages=4, limits=limits)
    assert (found.plan, found.value, found.bound) == (reference.plan, reference.value, reference.bound)


def test_a_hint_is_kept_when_there_is_no_time_for_better() -> None:
    problem = random_dag(80, 4, 1)
    good = solve_dag(problem, stages=4, limits=Limits(time_limit_s=5))
    assert good.plan is not None
    hint = [stage.ops for stage in good.plan.pipelines[0].stages]
    again = solve_dag(problem, stages=4, hint=hint, limits=Limits(time_limit_s=0))
    assert again.objective_ns == good.objective_ns
    assert again.stopped_by in (Stop.TIME_LIMIT, Stop.FINISHED)


def test_a_wide_graph_ends_in_time_with_a_bound() -> None:
    seen: list[Progress] = []
    problem = random_dag(220, 8, 2, width=6)
    result = solve_dag(problem, stages=8, limits=Limits(time_limit_s=3), observe=seen.append)
    assert result.status is Status.FEASIBLE
    assert result.stopped_by is Stop.TIME_LIMIT
    assert result.wall_s < 20
    assert result.objective_ns is not None and 0 < result.bound_ns < result.objective_ns
    assert result.gap is not None and result.gap < 0.25
    objectives = [event.objective_ns for event in seen if event.objective_ns is not None]
    assert objectives == sorted(objectives, reverse=True)
    assert all(event.bound_ns <= (event.objective_ns or event.bound_ns) for event in seen)


def lie(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    honest = engine.run

    def run(*args: Any, **others: Any) -> engine.Solution:
        return dataclasses.replace(honest(*args, **others), **changes)

    monkeypatch.setattr("segsolve.solvers.cpsat.engine.run", run)


def hard() -> Problem:
    """A problem that needs CP-SAT: the start leaves something to prove."""
    return random_dag(40, 4, 5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": Status.INFEASIBLE}, "is known"),
        ({"bound": 10**9}, "bounds the bottleneck"),
        ({"objective": 1}, "by the evaluator"),
    ],
)
def test_an_answer_that_contradicts_a_known_plan_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], says: str
) -> None:
    assert solve_dag(hard(), stages=4).deterministic_s > 0
    lie(monkeypatch, **changes)
    with pytest.raises(SolverFault, match=says):
        solve_dag(hard(), stages=4)


def test_ctrl_c_keeps_the_best_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, status=Status.FEASIBLE, stopped_by=Stop.INTERRUPTED, bound=0)
    result = solve_dag(hard(), stages=4)
    assert result.stopped_by is Stop.INTERRUPTED
    assert result.status is Status.FEASIBLE
    assert result.plan is not None


def test_infeasible_is_a_value() -> None:
    problem = chain(op_cost(1, weight_bytes=9), op_cost(1, weight_bytes=9), capacity_bytes=8, no_spill=True)
    result = solve_dag(problem, stages=2)
    assert (result.status, result.plan, result.gap) == (Status.INFEASIBLE, None, None)


def test_an_interruption_ends_the_search_for_all_numbers_of_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, asked = chain(*(op_cost(10 + n) for n in range(6)), tpus=3), list[int]()

    def interrupted(problem: Problem, *, stages: int, **options: Any) -> Answer:
        asked.append(stages)
        return dataclasses.replace(found, status=Status.FEASIBLE, bound=Fraction(1), stopped_by=Stop.INTERRUPTED)

    found = best_pipeline(problem, "dp")
    monkeypatch.setattr(wide, "solve_and_confirm", interrupted)
    answer = wide.wide_answer(problem, found, Limits(), ignore)
    assert asked == [3] and answer.stopped_by is Stop.INTERRUPTED and answer.bound == 1
