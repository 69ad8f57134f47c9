"""No answer is believed that the evaluator or the exact probe contradicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

from generators.problems import chain, op_cost
from segsolve.errors import SolverFault, UsageError
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.search import strategies
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import get_planner
from segsolve.solvers.base import Limits, Observer, Status

PROBLEM = chain(op_cost(10), op_cost(20), op_cost(30), ns=1)  # optimum: cut before the last, 32 ns


@dataclass
class Liar:
    """A planner that answers as the dynamic program does, apart from one lie."""

    lie: dict[str, object]
    name: str = "liar"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        return replace(get_planner("dp").solve(problem, limits, observe), planner=self.name, **self.lie)  # type: ignore[arg-type]


def answer(monkeypatch: pytest.MonkeyPatch, **lie: object) -> Answer:
    monkeypatch.setattr("segsolve.search.chain.confirmed.get_planner", lambda _: Liar(lie))
    return solve(PROBLEM, planner="liar")


def test_the_truth_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(monkeypatch)
    assert (result.status, result.objective_ns, result.proof) == (
        Status.OPTIMAL,
        32,
        "exact probe: no plan of 0.000031 ms or less",
    )


def test_a_wrong_objective_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SolverFault, match="claims a bottleneck of 31 ns, its plan has 32 ns"):
        answer(monkeypatch, value=Fraction(31))


def test_a_plan_that_is_not_valid_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SolverFault, match="not valid"):
        answer(monkeypatch, plan=cut_at((1, 2), 3))


def test_a_false_optimum_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SolverFault, match="no plan takes less than 52 ns, an exact probe finds one"):
        answer(monkeypatch, plan=cut_at((1,), 3), value=Fraction(52), bound=Fraction(52))


def test_a_false_infeasibility_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SolverFault, match="finds one"):
        answer(monkeypatch, status=Status.INFEASIBLE, plan=None, value=None)


def test_the_bound_of_a_heuristic_is_the_cheap_one(monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(monkeypatch, status=Status.FEASIBLE, plan=cut_at((1,), 3), value=Fraction(52), bound=Fraction(0))
    assert (result.status, result.bound_ns, result.proof) == (Status.FEASIBLE, 32, None)


def test_a_plan_that_meets_the_cheap_bound_is_optimal(monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(monkeypatch, status=Status.FEASIBLE, bound=Fraction(0))
    assert (result.status, result.gap, result.proof) == (Status.OPTIMAL, 0, "bounds: no plan of 0.000031 ms or less")


def test_an_unknown_planner_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="no planner 'magic'"):
        solve(PROBLEM, planner="magic")


def test_every_planner_is_called_what_it_is_registered_as() -> None:
    assert [get_planner(name).name for name in strategies.planner_names()] == list(strategies.planner_names())
