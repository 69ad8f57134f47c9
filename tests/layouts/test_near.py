"""Graphs whose cuts are too many to list: plans near the best ones known are tried, and called no more than found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.drawn import problems, questions
from generators.problems import chain, op_cost, transfer
from segsolve.cost.plan import check_plan
from segsolve.errors import UsageError
from segsolve.problem import Problem
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.report.answer import instead
from segsolve.search.ask import answer
from segsolve.search.attainable import attainable
from segsolve.search.bounds import least_work
from segsolve.solvers.base import Limits, Status
from tests.trying import best

LENGTH = 60  # two branches of so many operations have more ideals than are listed


def braided(tpus: int) -> Problem:
    """Two branches whose operations take turns in the execution order, so that each cut of it cuts both."""
    ends = 2 * LENGTH
    branches = [transfer(i, i + 2, ns=40) for i in range(ends - 2)]
    into, out = transfer(-1, 0, 1), [transfer(ends - 2, ends), transfer(ends - 1, ends)]
    ops = [op_cost(10 + i % 7, weight_bytes=10, streamed_ns=40 + i % 7) for i in range(ends + 1)]
    return replace(
        chain(*ops, tpus=tpus, capacity_bytes=350),
        transfers=(into, *branches, *out, transfer(ends, is_output=True)),
        overhead_ns=5,
    )


@pytest.mark.parametrize("layout", Layout)
def test_braided_branches_are_told_apart(layout: Layout) -> None:
    order = answer(braided(4), Question(layout=layout, cuts=Cuts.CHAIN))
    found = answer(braided(4), Question(layout=layout))
    assert found.plan is not None and order.value is not None and found.value is not None
    assert found.value < order.value and not check_plan(braided(4), found.plan)
    assert found.status is Status.OPTIMAL or (found.best_over is None and found.certificate is None)
    assert found.bound <= found.value
    assert answer(braided(4), Question(layout=layout)).plan == found.plan


def test_what_no_cut_of_the_order_keeps_is_found_elsewhere() -> None:
    kept = Constraints.of(min_fps=1e9 / 500)
    for objective in (Objective.LATENCY, Objective.THROUGHPUT, Objective.DEVICES):
        question = Question(objective=objective, constraints=kept)
        assert answer(braided(4), replace(question, cuts=Cuts.CHAIN)).status is Status.INFEASIBLE
        found = answer(braided(4), question)
        assert found.score is not None and found.score.rate * 500 >= 1


def test_one_tpu_has_one_plan_whatever_its_graph() -> None:
    """Its weights stream, so that work alone does not show that nothing is better."""
    found = answer(braided(1), Question())
    assert found.status is Status.OPTIMAL and found.cuts == "dag" and found.best_over is None
    kept = Constraints.of(min_fps=1e9 / (float(found.bound) - 1))
    assert answer(braided(1), Question(constraints=kept)).status is Status.INFEASIBLE


@pytest.mark.parametrize("asked", [{"max_latency_ns": 5}, {"min_fps": 1e9}])
def test_what_no_cut_of_the_graph_can_keep_is_refused_for_sure(asked: dict[str, float]) -> None:
    found = answer(braided(4), Question(constraints=Constraints.of(**asked)))
    assert found.status is Status.INFEASIBLE and found.cuts == "dag"
    assert found.proof is not None and "however the graph is cut" in found.proof


def test_what_may_be_had_is_said_to_be_no_more_than_known() -> None:
    asked = Question(constraints=Constraints.of(max_latency_ns=least_work(braided(4))))
    assert answer(braided(4), asked).status is Status.UNKNOWN
    (found,) = attainable(braided(4), asked, Limits())
    assert found.answer.status is Status.FEASIBLE and "that is known is" in instead(found, asked)


def test_a_limit_of_time_is_used_up_for_better_plans() -> None:
    found = answer(braided(4), Question(), limits=Limits(time_limit_s=1.0))
    assert found.plan is not None and found.status in (Status.FEASIBLE, Status.OPTIMAL)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(problem=problems(max_ops=5, max_tpus=3), data=st.data())
def test_no_more_is_said_than_is_true(problem: Problem, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = replace(problem, overhead_ns=problem.overhead_ns + 1, measured=())
    asked = data.draw(questions(problem, [o for o in Objective if o is not Objective.PARETO]))
    question = replace(asked, cuts=Cuts.AUTO)
    with monkeypatch.context() as patched:
        patched.setattr("segsolve.search.ask.lattice_table", lambda _: None)
        try:
            found = answer(problem, question, planner="dp")
        except UsageError:
            return
    wanted = best(problem, question, graph=True)
    if found.status is Status.OPTIMAL:
        assert found.value == wanted
    if wanted is not None:
        assert found.status is not Status.INFEASIBLE and found.bound <= wanted
    if found.value is not None:
        assert wanted is not None and found.value >= wanted
        order = best(problem, question, graph=False)
        assert order is None or found.value <= order
