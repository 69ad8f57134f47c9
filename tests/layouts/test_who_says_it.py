"""Whatever an answer names as solver or proof has run: the runs are counted for every objective and constraint."""

from __future__ import annotations

from typing import Any

import pytest

from generators.problems import chain, op_cost
from segsolve.problem import SharedLink
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.search.strategies import EXACT
from segsolve.solvers.base import Status
from segsolve.solvers.cpsat import engine

NET = chain(
    *(op_cost(20 + 7 * (k % 3), weight_bytes=40, streamed_ns=200, cache_rank=k) for k in range(8)),
    tpus=4,
    capacity_bytes=130,
    overhead_ns=2,
)
KEPT = {
    "free": Constraints(),
    "latency": Constraints.of(max_latency_ns=400),
    "rate": Constraints.of(min_fps=1e6),
    "stages": Constraints.of(max_stages=3),
    "cut": Constraints.of(cut_before=(3,)),
    "no cut": Constraints.of(no_cut_before=(4,)),
    "together": Constraints.of(keep_together=((2, 3),)),
    "pin": Constraints.of(pins=((5, 1),)),
}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per run of CP-SAT, appended by what calls the solver itself."""
    found: list[str] = []
    real = engine._solve_interruptibly

    def counted(*args: Any, **others: Any) -> bool:
        found.append("cp-sat")
        return real(*args, **others)

    monkeypatch.setattr(engine, "_solve_interruptibly", counted)
    return found


def names(found: Answer) -> set[str]:
    return {found.found_by, *(c.by for c in found.confirmed_by)}


@pytest.mark.parametrize("planner", EXACT)
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("objective", Objective)
def test_cp_sat_is_named_where_it_ran_and_only_there(
    objective: Objective, kept: str, layout: Layout, planner: str, runs: list[str]
) -> None:
    constraints = KEPT[kept]
    if objective is Objective.DEVICES and not constraints.limits:
        constraints = Constraints.of(**{**constraints.values, "min_fps": 1e6})
    if objective is Objective.BATCH and constraints.least_fps is not None:
        constraints = constraints.without("min_fps")
    question = Question(objective=objective, layout=layout, cuts=Cuts.CHAIN, batch=3, constraints=constraints)
    found = answer(NET, question, planner=planner)
    assert found.status is Status.OPTIMAL
    assert ("cp-sat" in names(found)) == bool(runs)
    if planner == "dp":
        assert not runs
    elif objective is not Objective.BATCH or layout is Layout.PIPELINE:
        assert runs, "CP-SAT has the program of every question"
    assert found.confirmed_by[0].by == "evaluator"
    assert all(c.claim and c.strength and c.seconds >= 0 for c in found.confirmed_by)


@pytest.mark.parametrize("kept", [Constraints.of(min_fps=1e9), Constraints.of(max_latency_ns=1)])
def test_that_there_is_no_plan_is_said_by_what_ran(kept: Constraints, runs: list[str]) -> None:
    found = answer(NET, Question(cuts=Cuts.CHAIN, constraints=kept))
    assert found.status is Status.INFEASIBLE
    assert ("cp-sat" in names(found)) == bool(runs)


def test_on_a_link(runs: list[str]) -> None:
    narrow = chain(*(op_cost(20, weight_bytes=40) for _ in range(6)), tpus=3, capacity_bytes=500)
    narrow = type(narrow)(**{**_fields(narrow), "link": SharedLink(ns_per_mib=2**26)})
    found = answer(narrow, Question(cuts=Cuts.CHAIN))
    assert found.score is not None and found.score.limited_by == ("link",)
    assert ("cp-sat" in names(found)) == bool(runs)


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
