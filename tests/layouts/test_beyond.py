"""Nothing is called the best, or impossible, that was not searched: pipelines of more TPUs than are tried."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.certificates import checked
from generators.asked import asked
from generators.drawn import problems, questions
from generators.enumeration import Point, truth
from generators.problems import chain, op_cost
from segsolve.errors import UsageError
from segsolve.problem import Problem, SharedLink
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search import inquiry, untried
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Status
from tests.trying import best

MOST = 2
LINKS = st.none() | st.integers(0, 10**7)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pipelines of up to two TPUs tried, so that an oracle can try them all."""
    monkeypatch.setattr(inquiry, "MOST_TPUS", MOST)
    monkeypatch.setattr(untried, "MOST_TPUS", MOST)


SETTINGS = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.usefixtures("few")
@SETTINGS
@given(st.data(), LINKS)
def test_what_is_claimed_is_true(data: st.DataObject, ns_per_mib: int | None) -> None:
    problem = data.draw(problems(max_ops=4, max_tpus=3))
    link = None if ns_per_mib is None else SharedLink(ns_per_mib=ns_per_mib)
    problem = replace(problem, overhead_ns=problem.overhead_ns + 1, measured=(), link=link)
    asked = data.draw(questions(problem))
    question = replace(asked, cuts=data.draw(st.sampled_from([Cuts.CHAIN, Cuts.DAG])))
    try:
        found = answer(problem, question, planner="dp")
    except UsageError:
        return
    if question.objective is Objective.PARETO:
        _check_front(problem, question, found)
        return
    wanted = best(problem, question, graph=question.cuts is Cuts.DAG)
    if found.status is Status.OPTIMAL:
        assert found.value == found.bound == wanted
        assert found.proof
    if found.status is Status.INFEASIBLE:
        assert wanted is None
    if wanted is not None:
        assert found.bound <= wanted
    if found.status in (Status.FEASIBLE, Status.UNKNOWN):
        assert found.proof is None
        assert found.certificate is None or found.best_over == "execution order"
        assert found.note
    if found.certificate is not None:
        assert checked(problem, found).is_certified


def _check_front(problem: Problem, question: Question, found: Answer) -> None:
    """A front is called complete, or impossible, only if no plan is missing."""
    if found.status not in (Status.OPTIMAL, Status.INFEASIBLE):
        assert (found.certificate, found.proof) == (None, None)
        return
    points = {Point(p.plan.tpus, p.score.latency_ns, p.score.rate) for p in found.points}
    assert points == truth(problem, asked(question)).points


def many(**others: Any) -> Problem:
    """Two operations that do not fit one TPU together, on more TPUs than one pipeline is tried with."""
    work = (op_cost(1000, weight_bytes=80, streamed_ns=1900), op_cost(1300, weight_bytes=80, streamed_ns=2000))
    return replace(chain(*work, tpus=70, ns=10, overhead_ns=20), **others)


LINK = SharedLink(ns_per_mib=3 * 10**9)  # two bytes at least per inference: some 6 us
ASKED = [
    Question(),
    Question(constraints=Constraints.of(max_latency_ns=2390)),
    Question(objective=Objective.BATCH, batch=300),
    Question(objective=Objective.DEVICES, constraints=Constraints.of(min_fps=2.95e7)),
    Question(objective=Objective.PARETO),
]


@pytest.mark.parametrize("question", ASKED, ids=lambda q: f"{q.objective} {q.constraints.most_latency_ns}")
@pytest.mark.parametrize("link", [None, LINK], ids=["free", "linked"])
def test_more_tpus_than_were_tried(question: Question, link: SharedLink | None) -> None:
    problem = many(link=link)
    found = answer(problem, question, planner="dp")
    assert found.status in (Status.FEASIBLE, Status.UNKNOWN), found.proof
    assert (found.certificate, found.proof) == (None, None)
    assert "pipelines of more than 64 TPUs were not tried" in found.note
    assert found.plan is None or found.plan.tpus <= problem.tpus


def test_the_smallest_latency_of_few_stages_is_known() -> None:
    """Replicas do not shorten it, and there are two operations."""
    found = answer(many(), Question(objective=Objective.LATENCY), planner="dp")
    assert (found.status, found.value) == (Status.OPTIMAL, Fraction(2380))
    single = answer(many(), Question(objective=Objective.BATCH, layout=Layout.PIPELINE, batch=9), planner="dp")
    assert (single.status, single.plan and single.plan.layout) == (Status.OPTIMAL, "2")


@pytest.mark.parametrize("link", [None, SharedLink(ns_per_mib=1)], ids=["free", "linked"])
def test_few_devices_of_many_are_certified(link: SharedLink | None) -> None:
    problem = many(link=link)
    question = Question(objective=Objective.DEVICES, constraints=Constraints.of(min_fps=1e6))
    found = answer(problem, question, planner="dp")
    assert (found.status, found.value) == (Status.OPTIMAL, Fraction(3))
    assert checked(problem, found).is_certified


def test_what_the_work_alone_decides() -> None:
    """Equal operations without transfers keep all TPUs busy; and no number of them is fast enough for what is not."""
    whole = replace(chain(op_cost(10), tpus=80, ns=0), transfers=())
    found = answer(whole, planner="dp")
    assert (found.status, found.value) == (Status.OPTIMAL, found.bound)
    assert found.proof
    for kept in (Constraints.of(min_fps=9e9), Constraints.of(max_latency_ns=9)):
        nothing = answer(whole, Question(constraints=kept), planner="dp")
        assert nothing.status is Status.INFEASIBLE
        assert nothing.proof


def test_a_pipeline_that_needs_more_stages_is_not_called_impossible() -> None:
    """Seventy layers, each of which fills a TPU: one pipeline of seventy is the only plan."""
    layers = [op_cost(100, name=f"op{i}", weight_bytes=60) for i in range(70)]
    problem = chain(*layers, tpus=70, capacity_bytes=100, overhead_ns=1, no_spill=True)
    nothing = answer(problem, planner="dp")
    assert (nothing.status, nothing.plan) == (Status.UNKNOWN, None)
    assert "more than 64" in nothing.note
    found = answer(problem, Question(layout=Layout.PIPELINE), planner="dp")
    assert found.status is Status.OPTIMAL
    assert found.plan is not None and found.plan.tpus == 70
