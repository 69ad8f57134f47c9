"""The constraint program with replicas: each builder alone, then its optimum against the dynamic program."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from ortools.sat.python import cp_model

from generators.drawn import problems
from segsolve.cost.segment_table import IMPOSSIBLE, SegmentTable
from segsolve.problem import Problem
from segsolve.solvers.base import Limits, Status
from segsolve.solvers.cpsat.paths import Stage, is_confirmed, keep_below, minimise, one_path, stages
from segsolve.solvers.dynamic.paths import Paths

# Two ways from state 0 to state 2: directly on two devices, or over state 1 on one each.
DIRECT = Stage((0, 0), (2, 2), 50)
FIRST, SECOND = Stage((0, 0), (1, 1), 40), Stage((1, 1), (2, 2), 60)


def solved(program: cp_model.CpModel) -> tuple[cp_model.CpSolver, int]:
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False
    return solver, int(solver.solve(program))


@pytest.mark.parametrize(
    ("forced", "possible"),
    [({DIRECT}, True), ({FIRST, SECOND}, True), ({FIRST}, True), ({DIRECT, FIRST}, False), ({DIRECT, SECOND}, False)],
)
def test_one_path(forced: set[Stage], possible: bool) -> None:
    program = cp_model.CpModel()
    chosen = {arc: program.new_bool_var(str(arc)) for arc in (DIRECT, FIRST, SECOND)}
    one_path(program, chosen, 2)
    for arc in forced:
        program.add(chosen[arc] == 1)
    solver, status = solved(program)
    assert (status in (cp_model.OPTIMAL, cp_model.FEASIBLE)) == possible
    if possible:
        taken = {arc for arc, literal in chosen.items() if solver.value(literal)}
        assert taken in ({DIRECT}, {FIRST, SECOND})


def test_the_bottleneck_is_no_less_than_any_chosen_share() -> None:
    program = cp_model.CpModel()
    chosen = {arc: program.new_bool_var(str(arc)) for arc in (FIRST, SECOND)}
    bottleneck = program.new_int_var(0, 1000, "bottleneck")
    keep_below(program, chosen, bottleneck, 0)
    program.add(chosen[FIRST] == 1)
    program.add(chosen[SECOND] == 1)
    program.minimize(bottleneck)
    solver, _ = solved(program)
    assert solver.value(bottleneck) == 60


@settings(max_examples=120, deadline=None)
@given(problems(max_ops=7, max_tpus=5))
def test_it_agrees_with_the_dynamic_program(problem: Problem) -> None:
    table = SegmentTable(problem)
    best = Paths(table.time, problem.tpus).bottlenecks[-1]
    if best >= IMPOSSIBLE:
        assert stages(table.time, problem.tpus, 10**9) == ()
        return
    upper = best + 7
    answer = minimise(stages(table.time, problem.tpus, upper), table.end, 0, upper, Limits())
    assert answer.status is Status.OPTIMAL
    assert answer.objective == best
    assert is_confirmed(answer, best)
    assert is_confirmed(answer, best + 1) is False
