"""What confirms an optimum: the lattice of ideals, bounds, the second solver, or nobody."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import pytest

from generators.dags import random_dag, spilling_dag
from segsolve.cost.table import lattice_table
from segsolve.errors import SolverFault
from segsolve.search.ladder import confirm
from segsolve.search.ladder.confirm import solve_and_confirm
from segsolve.search.ladder.solve import solve_dag
from segsolve.solvers.base import Limits, Status
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.probe import probe
from segsolve.solvers.probe import exists_plan
from segsolve_runtime.contract.wording import exact_ms


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spills", [False, True])
def test_the_lattice_agrees_to_the_ns(seed: int, spills: bool) -> None:
    problem = spilling_dag(18, 4, seed) if spills else random_dag(20, 4, seed, width=2)
    table = lattice_table(problem)
    assert table is not None
    result = solve_dag(problem, stages=4)
    if result.objective_ns is None:
        assert not exists_plan(table.time, 4, 10**9)
        return
    assert result.status is Status.OPTIMAL
    assert exists_plan(table.time, 4, result.objective_ns)
    assert not exists_plan(table.time, 4, result.objective_ns - 1)


def test_few_ideals_are_probed() -> None:
    result = solve_and_confirm(random_dag(20, 3, 1, width=2), stages=3)
    (said,) = result.confirmed_by
    assert result.objective_ns is not None
    worse = f"a bottleneck of {exact_ms(result.objective_ns - 1)} or less"
    assert said.claim.startswith(f"no pipeline of at most 3 accelerators has {worse}, over ")
    assert (said.by, said.strength) == ("exact probe", "exact")


def test_many_ideals_need_the_second_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MOST_IDEALS", 1)
    result = solve_and_confirm(random_dag(40, 4, 5), stages=4)
    assert [said.by for said in result.confirmed_by] in (["highs"], ["bounds"])


def test_cores_are_probed_too() -> None:
    result = solve_and_confirm(random_dag(12, 2, 3, cpus=1), stages=2)
    assert result.status is Status.OPTIMAL
    (said,) = result.confirmed_by
    assert said.by in ("exact probe", "bounds")
    assert "2 accelerators and 1 CPU core has" in said.claim


def test_the_second_solver_says_how_sure_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MOST_IDEALS", 1)
    result = solve_and_confirm(random_dag(40, 4, 5), stages=4)
    (said,) = result.confirmed_by
    assert said.by == "highs"
    assert said.strength == "within one part in 100,000"


def test_a_probe_that_has_no_time_says_nothing() -> None:
    dag = dag_of(random_dag(20, 3, 1, width=2))
    assert probe(dag, Bounds(dag, 3), 10**6, is_late=lambda: True) is None


def test_without_any_it_is_the_solvers_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MOST_IDEALS", 1)
    result = solve_and_confirm(random_dag(60, 4, 3), stages=4, certificate_s=0.0)
    assert (result.status, result.confirmed_by) == (Status.OPTIMAL, ())
    assert result.note == "optimal (solver's word): HiGHS did not finish within 0 s"


def test_a_probe_that_finds_better_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(*args: Any, **others: Any) -> Any:
        return dataclasses.replace(solve_dag(*args, **others), value=Fraction(10**9))

    monkeypatch.setattr(confirm, "solve_dag", poor)
    with pytest.raises(SolverFault, match="an exact probe finds a plan below"):
        solve_and_confirm(random_dag(12, 2, 1), stages=2)


def test_what_is_not_closed_has_no_proof() -> None:
    result = solve_and_confirm(random_dag(220, 8, 2, width=6), stages=8, limits=Limits(time_limit_s=0.5))
    assert (result.status, result.confirmed_by, result.note) == (Status.FEASIBLE, (), "")
