"""Answers against an oracle that tries every plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.asked import Asked, asked
from generators.drawn import problems
from generators.enumeration import Point, pipelines, truth
from generators.problems import chain, large_chain, op_cost, transfer
from segsolve.cost.plan import check_plan, score_plan
from segsolve.errors import UsageError
from segsolve.problem import Host, Problem, SharedLink
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Limits, Status, Stop
from tests.trying import best, worth

Draw = Any  # hypothesis' draw function


@st.composite
def questions(draw: Draw, problem: Problem) -> Question:
    """Any objective, layout and cuts, with up to some constraints."""
    objective = draw(st.sampled_from([o for o in Objective if o is not Objective.PARETO]))
    last = len(problem.ops) - 1
    ops = st.integers(0, last)
    some = Constraints.of(
        max_latency_ns=draw(st.none() | st.integers(1, 150)),
        min_fps=draw(st.none() | st.integers(10**6, 10**8)) if objective is not Objective.BATCH else None,
        max_stages=draw(st.none() | st.integers(1, 3)),
        cut_before=tuple(sorted(draw(st.sets(st.sampled_from(problem.cuts), max_size=1)))) if problem.cuts else (),
        keep_together=((0, last),) if last and draw(st.integers(0, 5)) == 0 else (),
        pins=draw(st.sampled_from([(), ((draw(ops), draw(st.integers(0, 2))),)])),
    )
    if objective is Objective.DEVICES and not some.limits:
        some = Constraints.of(**some.values, min_fps=1.0)
    return (
        Question(
            objective=objective,
            layout=draw(st.sampled_from(Layout)),
            cuts=draw(st.sampled_from([Cuts.CHAIN, Cuts.DAG])),
            batch=draw(st.integers(1, 9)),
            constraints=draw(st.sampled_from([some, some.without("pins", "max_stages"), Constraints.of(min_fps=1.0)])),
        )
        if objective is not Objective.BATCH
        else Question(
            objective=objective, layout=Layout.ANY, cuts=Cuts.CHAIN, batch=draw(st.integers(1, 9)), constraints=some
        )
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_plan_is_better(data: st.DataObject) -> None:
    problem = data.draw(problems(max_ops=5, max_tpus=3))
    question = data.draw(questions(problem))
    found = answer(problem, question)
    wanted = best(problem, question, graph=question.cuts is Cuts.DAG)
    if wanted is None:
        assert (found.status, found.plan) == (Status.INFEASIBLE, None)
        return
    assert found.status is Status.OPTIMAL
    assert found.value == found.bound == wanted
    valid(problem, question, found)


def valid(problem: Problem, question: Question, found: Answer) -> None:
    """Check an answer's plan, and that it is worth what the answer says."""
    assert found.plan is not None
    assert found.score is not None
    assert not check_plan(problem, found.plan)
    assert found.score == score_plan(problem, found.plan)
    assert found.value == worth(found.score, found.plan, question)


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=5, max_tpus=3))
def test_the_pareto_front_is_complete_and_minimal(problem: Problem) -> None:
    question = Question(objective=Objective.PARETO, cuts=Cuts.CHAIN)
    found = answer(problem, question)
    points = {Point(p.plan.tpus, p.score.latency_ns, p.score.rate) for p in found.points}
    assert points == truth(problem, asked(question)).points


@settings(max_examples=80, deadline=None)
@given(problems(max_ops=4, max_tpus=3), st.integers(0, 10**7))
def test_the_best_on_a_shared_link(problem: Problem, ns_per_mib: int) -> None:
    linked = replace(problem, link=SharedLink(ns_per_mib=ns_per_mib))
    question = Question(cuts=Cuts.CHAIN)
    found = answer(linked, question)
    wanted = best(linked, question, graph=False)
    assert found.value == wanted
    if found.plan is not None:
        valid(linked, question, found)


def test_a_link_that_limits_is_told() -> None:
    problem = replace(
        chain(op_cost(10, weight_bytes=2**20), tpus=4, capacity_bytes=0), link=SharedLink(ns_per_mib=10**6)
    )
    found = answer(problem)
    assert "shared link limits" in found.note
    assert found.plan is not None
    assert found.plan.tpus == 1  # more would gain nothing


def test_a_slow_stage_is_replicated_rather_than_the_whole() -> None:
    """Two copies of the whole would stream; a pipeline with two devices for its slow operation does not."""
    big = {"weight_bytes": 90, "streamed_bytes": 90}
    problem = chain(
        op_cost(100, streamed_ns=5000, **big), op_cost(200, streamed_ns=5000, **big), tpus=3, capacity_bytes=100
    )
    found = answer(problem)
    assert found.plan is not None
    assert found.plan.layout == "3[1,2]"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("planner", ["cpsat", "dp"])
def test_the_plan_depends_on_neither_workers_nor_planner(workers: int, planner: str) -> None:
    problem = large_chain(60, 5, 3)
    reference = answer(problem)
    found = answer(problem, planner=planner, limits=Limits(workers=workers, seed=workers))
    assert (found.plan, found.value) == (reference.plan, reference.value)


def test_no_time_leaves_the_graph_unsearched_and_says_so() -> None:
    branches = (transfer(-1, 0, 1), transfer(0, 2), transfer(1, 2), transfer(2, is_output=True))
    problem = replace(chain(op_cost(10), op_cost(30), op_cost(11), tpus=3), transfers=branches)
    question = Question(layout=Layout.PIPELINE)
    found = answer(problem, question, planner="dp", limits=Limits(time_limit_s=0.0))
    assert found.stopped_by is Stop.TIME_LIMIT
    assert found.status is Status.FEASIBLE
    assert found.plan is not None
    assert 0 < found.bound <= (found.value or 0)
    assert answer(problem, question).status is Status.OPTIMAL


@pytest.mark.parametrize(
    ("question", "planner", "sentence"),
    [
        (Question(objective=Objective.DEVICES), "cpsat", "fewest devices for what"),
        (Question(objective=Objective.BATCH, constraints=Constraints.of(min_fps=1.0)), "cpsat", "means nothing"),
        (Question(objective=Objective.LATENCY), "greedy", "only cuts one pipeline"),
        (Question(constraints=Constraints.of(cut_before=(9,))), "cpsat", "no operation 9"),
        (Question(constraints=Constraints.of(cut_before=(1,), no_cut_before=(1,))), "cpsat", "is not to"),
    ],
)
def test_questions_that_make_no_sense(question: Question, planner: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        answer(chain(op_cost(1), op_cost(2)), question, planner=planner)


def test_the_oracle_tries_replicas_and_cuts_of_the_graph() -> None:
    """Two branches: the oracle itself must not be blind to what it is to judge."""
    problem = Constraints().restricted(chain(op_cost(1), op_cost(2), op_cost(3), tpus=3))
    parallel = replace(problem, transfers=())
    made = list(pipelines(parallel, Asked(cuts="dag")))
    assert any(len(stage.op_ranges) > 1 for pipeline in made for stage in pipeline.stages)
    assert any(stage.replicas > 1 for pipeline in made for stage in pipeline.stages)


def test_a_graph_of_too_many_cuts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ladder finds what the lattice would have, were it small enough to list."""
    branches = (transfer(-1, 0, 1), transfer(0, 2), transfer(1, 2), transfer(2, 3), transfer(3, is_output=True))
    problem = replace(chain(*(op_cost(10 + i) for i in range(4)), tpus=3), transfers=branches)
    question = Question(layout=Layout.PIPELINE, cuts=Cuts.DAG)
    listed = answer(problem, question)
    monkeypatch.setattr("segsolve.search.ask.lattice_table", lambda _: None)
    found = answer(problem, question)
    assert (found.value, found.status) == (listed.value, Status.OPTIMAL)
    assert found.proof
    assert "execution order" in answer(problem, replace(question, cuts=Cuts.AUTO)).note


def test_where_the_host_limits_a_plan_of_equal_rate_is_the_quickest() -> None:
    """Two stages take the host 20 ns; a cut with stages of 13 and 13 ns is no faster than one with 14 and 6."""
    ops = [op_cost(ns, streamed_ns=100, weight_bytes=40, cache_rank=i) for i, ns in enumerate((10, 4, 6))]
    problem = chain(*ops, tpus=2, ns=0, host=Host(cores=1, serial_ns=10))
    dear = [replace(t, input_ns=3, output_ns=3) if t.producer == 0 else t for t in problem.transfers]
    problem = replace(problem, transfers=tuple(dear))
    free = answer(replace(problem, host=None))
    assert free.plan is not None and free.plan.cuts == (1,)
    found = answer(problem)
    assert found.score is not None and found.plan is not None and found.status is Status.OPTIMAL
    assert found.value == 20 and found.score.latency_ns == 20 and found.plan.cuts == (2,)
