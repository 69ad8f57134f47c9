"""The ladder model: each builder alone, then the whole against every assignment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from ortools.sat.python import cp_model

from generators.dags import random_dag, spilling_dag
from generators.enumeration import least_bottleneck
from generators.problems import chain, op_cost, transfer
from segsolve.problem import Problem
from segsolve.solvers.cpsat import ladder
from segsolve.solvers.cpsat.ladder import Ladder, Load
from segsolve.solvers.cpsat.ladder_memory import weights_fit, weights_stream
from segsolve.solvers.ladder.bounds import Windows
from segsolve.solvers.ladder.dag import Dag, dag_of
from segsolve.solvers.ladder.intervals import Part
from tests.trying import bottleneck


def wide(dag: Dag, stages: int) -> Windows:
    return Windows(stages=stages, earliest=(0,) * len(dag), latest=(stages - 1,) * len(dag))


def program(problem: Problem, tpus: int | None = None) -> Ladder:
    dag = dag_of(problem)
    tpus = problem.tpus if tpus is None else tpus
    return ladder.build(dag, wide(dag, tpus + problem.cpus), tpus)


def place(model: Ladder, *stages: int) -> None:
    """Fix the stage of each group."""
    for group, stage in enumerate(stages):
        for k, literal in model.ladder[group].items():
            model.program.add(literal == (stage <= k))


def solve(model: Ladder, minimise: Sequence[Load] = ()) -> tuple[int, list[int]]:
    """Return the status, and each load's value when their sum is as small as possible."""
    expressions = [load.expression() for load in minimise]
    model.program.minimize(cp_model.LinearExpr.sum(expressions))
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False
    status = int(solver.solve(model.program))
    values = [int(solver.value(e)) for e in expressions] if status == cp_model.OPTIMAL else []
    return status, values


def loads(model: Ladder) -> list[Load]:
    return [Load() for _ in model.stages]


def two(*, ns: int = 0, **others: Any) -> Problem:
    return chain(op_cost(10), op_cost(20), ns=ns, **others)


def test_what_is_reached_stays_reached() -> None:
    model = program(two(tpus=3))
    model.program.add(model.reached(0, 0) == 1)
    model.program.add(model.reached(0, 1) == 0)
    assert solve(model)[0] == cp_model.INFEASIBLE


@pytest.mark.parametrize(("stages", "possible"), [((0, 0), True), ((0, 1), True), ((1, 0), False)])
def test_edges_run_forward_or_stay(stages: tuple[int, int], possible: bool) -> None:
    model = program(two())
    place(model, *stages)
    assert (solve(model)[0] == cp_model.OPTIMAL) is possible


def test_windows_decide_without_variables() -> None:
    dag = dag_of(two())
    model = ladder.build(dag, Windows(stages=3, earliest=(0, 2), latest=(0, 2)), 3)
    assert [model.reached(0, k) for k in (-1, 0, 1)] == [False, True, True]
    assert [model.reached(1, k) for k in (0, 1, 2)] == [False, False, True]
    assert not any(model.ladder)


def test_a_stage_computes_its_groups() -> None:
    model = program(two())
    place(model, 0, 1)
    found = loads(model)
    ladder.computation(model, found)
    assert solve(model, found)[1] == [10, 20]


@pytest.mark.parametrize(
    ("stages", "paid"), [((0, 0, 0), [0, 0, 0]), ((0, 0, 1), [7, 0, 0]), ((0, 1, 2), [7, 0, 0]), ((1, 2, 2), [0, 7, 0])]
)
def test_a_tensor_leaves_its_makers_stage_once(stages: tuple[int, ...], paid: list[int]) -> None:
    model = program(chain(*(op_cost(0) for _ in range(3)), tpus=3, transfers=(transfer(0, 1, 2, ns=7),)))
    place(model, *stages)
    found = loads(model)
    ladder.tensor_out(model, model.dag.tensors[0], 0, found)
    assert solve(model, found)[1] == paid


@pytest.mark.parametrize(
    ("stages", "paid"), [((0, 0, 0), [0, 0, 0]), ((0, 0, 1), [0, 7, 0]), ((0, 1, 2), [0, 7, 7]), ((0, 2, 2), [0, 0, 7])]
)
def test_a_tensor_enters_every_stage_that_reads_it_once(stages: tuple[int, ...], paid: list[int]) -> None:
    model = program(chain(*(op_cost(0) for _ in range(3)), tpus=3, transfers=(transfer(0, 1, 2, ns=7),)))
    place(model, *stages)
    found = loads(model)
    ladder.tensor_in(model, model.dag.tensors[0], 0, found)
    assert solve(model, found)[1] == paid


def test_an_input_enters_every_stage_that_reads_it() -> None:
    model = program(chain(op_cost(0), op_cost(0), tpus=2, transfers=(transfer(-1, 0, 1, ns=7),)))
    place(model, 0, 1)
    found = loads(model)
    ladder.tensor_in(model, model.dag.tensors[0], 0, found)
    assert solve(model, found)[1] == [7, 7]


def test_used_stages_pay_overhead_and_with_cores_empty_ones_do_not() -> None:
    model = program(dataclasses.replace(two(tpus=3, overhead_ns=5), cpus=1))
    place(model, 0, 2)
    found = loads(model)
    ladder.overheads(model, found)
    assert solve(model, found)[1] == [5, 0, 5, 0]


def on_cores() -> Problem:
    ops = (op_cost(10, cpu_ns=30), op_cost(20, cpu_ns=None), op_cost(5, cpu_ns=40, on_accelerator=False))
    return chain(*ops, ns=0, tpus=1, cpus=1)


@pytest.mark.parametrize(
    ("stages", "core", "possible"),
    [((0, 1, 1), 0, False), ((0, 0, 1), 1, True), ((0, 0, 1), 0, False), ((1, 1, 1), 1, False)],
)
def test_groups_are_where_a_processor_can_run_them(stages: tuple[int, ...], core: int, possible: bool) -> None:
    model = program(on_cores())
    place(model, *stages)
    model.program.add(model.on_cpu[core] == 1)
    assert (solve(model)[0] == cp_model.OPTIMAL) is possible


def test_there_are_exactly_as_many_cores_as_the_problem_has() -> None:
    model = program(two(tpus=2, cpus=1))
    model.program.add(cp_model.LinearExpr.sum(list(model.on_cpu)) == 0)
    assert solve(model)[0] == cp_model.INFEASIBLE


def test_a_core_pays_its_groups_times_only() -> None:
    model = program(chain(op_cost(10, cpu_ns=30), op_cost(20, cpu_ns=50), tpus=1, cpus=1))
    place(model, 0, 1)
    assert solve(model, ladder.cpu_loads(model))[1] == [30, 50]


@pytest.mark.parametrize(("capacity", "possible"), [(49, False), (50, True)])
def test_weights_fit_beside_the_activations(capacity: int, possible: bool) -> None:
    ops = (op_cost(1, weight_bytes=20, scratch_bytes=10), op_cost(1, weight_bytes=20, scratch_bytes=5))
    model = program(chain(*ops, capacity_bytes=capacity, no_spill=True))
    place(model, 0, 0)
    weights_fit(model)
    assert (solve(model)[0] == cp_model.OPTIMAL) is possible


def test_layers_are_cached_in_order_each_that_still_fits() -> None:
    """Of 30 bytes the scratch takes 5; the first layer takes 20, the second does not fit, the third does."""
    ops = [
        op_cost(1, streamed_ns=1 + extra, weight_bytes=weight, cache_rank=rank, scratch_bytes=5)
        for rank, (weight, extra) in enumerate(((20, 100), (6, 10), (5, 1000)))
    ]
    model = program(chain(*ops, capacity_bytes=30))
    place(model, 0, 0, 0)
    found = loads(model)
    weights_stream(model, found)
    assert solve(model, found)[1] == [10, 0]


def test_first_fit_is_not_the_best_choice_and_still_the_rule() -> None:
    """Caching the second layer instead would save more; the first comes first."""
    ops = (
        op_cost(1, streamed_ns=2, weight_bytes=20, cache_rank=0),
        op_cost(1, streamed_ns=101, weight_bytes=20, cache_rank=1),
    )
    model = program(chain(*ops, capacity_bytes=30))
    place(model, 0, 0)
    found = loads(model)
    weights_stream(model, found)
    assert solve(model, found)[1] == [100, 0]


def test_the_bottleneck_is_the_largest_load_of_what_runs_each_stage() -> None:
    model = program(chain(op_cost(10, cpu_ns=15), op_cost(20, cpu_ns=50), ns=0, tpus=1, cpus=1))
    found = ladder.minimise_bottleneck(model, ladder.accelerator_loads(model), ladder.cpu_loads(model), 0, 1000)
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False
    assert solver.solve(model.program) == cp_model.OPTIMAL
    assert solver.value(found) == 20
    parts = ladder.parts_of(model, [solver.value(v) for v in ladder.decisions(model)])
    assert parts == (Part(groups=(0,), on_cpu=True), Part(groups=(1,), on_cpu=False))


def test_a_hint_is_a_complete_plan() -> None:
    model = program(chain(op_cost(10, cpu_ns=15), op_cost(20, cpu_ns=50), ns=0, tpus=2, cpus=1))
    ladder.hint_parts(model, (Part(groups=(0,), on_cpu=True), Part(groups=(1,), on_cpu=False)))
    for literal in ladder.decisions(model):
        index = list(model.program.proto.solution_hint.vars).index(literal.index)
        model.program.add(literal == model.program.proto.solution_hint.values[index])
    assert solve(model)[0] == cp_model.OPTIMAL


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", ["plain", "cores", "hard memory", "cores and memory", "spill"])
def test_the_optimum_is_that_of_every_assignment(kind: str, seed: int) -> None:
    problem = {
        "plain": lambda: random_dag(6, 3, seed),
        "cores": lambda: random_dag(5, 2, seed, cpus=1),
        "hard memory": lambda: random_dag(6, 3, seed, memory=1.5),
        "cores and memory": lambda: random_dag(5, 1, seed, cpus=2, memory=1.2),
        "spill": lambda: spilling_dag(6, 3, seed),
    }[kind]()
    best = least_bottleneck(problem)
    model = program(problem)
    accelerators = ladder.accelerator_loads(model)
    if problem.no_spill:
        weights_fit(model)
    else:
        weights_stream(model, accelerators)
    ladder.minimise_bottleneck(model, accelerators, ladder.cpu_loads(model), 0, 10_000)
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False
    status = solver.solve(model.program)
    if best is None:
        assert status == cp_model.INFEASIBLE
        return
    assert status == cp_model.OPTIMAL
    assert round(solver.objective_value) == best
    parts = ladder.parts_of(model, [solver.value(v) for v in ladder.decisions(model)])
    assert bottleneck(problem, [(model.dag.members(part.groups), part.on_cpu) for part in parts]) == best
