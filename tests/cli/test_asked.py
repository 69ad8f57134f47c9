"""The question that plan.json records is the one that was asked, and reports say it in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.drawn import problems, questions
from generators.problems import chain, op_cost
from segsolve.errors import ExitCode
from segsolve.library import plans
from segsolve.library.costs import quiet
from segsolve.plan.question import asked, recorded
from segsolve.problem import SharedLink
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.report.asked import asked_for
from segsolve.solvers.base import Status
from segsolve_runtime.contract import plan as planfile

from ..checker.cases import solved
from .tool import inside


@given(st.data(), st.booleans())
def test_what_is_recorded_is_what_was_asked(data: st.DataObject, no_spill: bool) -> None:
    question = data.draw(questions(data.draw(problems(max_ops=5))))
    record = recorded(question, no_spill=no_spill)
    read = planfile.Question.model_validate(json.loads(record.model_dump_json()))
    batch = question.batch if question.objective is Objective.BATCH else Question().batch
    assert asked(read) == replace(question, batch=batch)
    assert read.no_spill == no_spill


def solution(question: Question, *, no_spill: bool = False) -> planfile.Solution:
    problem = chain(op_cost(10), op_cost(20), tpus=8)
    case = solved(problem, Question())
    assert case is not None
    return case.plan.solution.model_copy(update={"question": recorded(question, no_spill=no_spill)})


LIMITS = Constraints.of(max_latency_ns=20_000_000, min_fps=60.0, max_stages=3)
CUTS = Constraints.of(cut_before=(3,), no_cut_before=(4,), keep_together=((1, 5),), pins=((7, 0),))
LINES = [
    (Question(), "throughput on 8 TPUs, any layout"),
    (
        Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN, objective=Objective.BATCH, batch=50),
        "a batch of 50 on 8 TPUs, one pipeline, cuts of the execution order only",
    ),
    (
        Question(objective=Objective.DEVICES, constraints=LIMITS),
        "the fewest TPUs on up to 8 TPUs, any layout, at most 20.00 ms, at most 3 stages, at least 60 "
        "inferences per second",
    ),
    (
        Question(constraints=CUTS),
        "throughput on 8 TPUs, any layout, a stage begins at operation 3, operations 1 and 5 together, none "
        "begins at operation 4, operation 7 in stage 0",
    ),
]


@pytest.mark.parametrize(("question", "line"), LINES)
def test_the_line(question: Question, line: str) -> None:
    assert asked_for(solution(question)) == f"Asked for: {line}"


def test_what_no_plan_recorded_is_not_shown() -> None:
    assert asked_for(solution(Question()).model_copy(update={"question": None})) == ""
    assert asked_for(solution(Question(), no_spill=True)).endswith("no weights streamed for want of room")


def test_solve_records_and_report_shows_it(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    options = ("--objective", "latency", "--max-latency", "20ms", "--max-stages", "2", "--layout", "pipeline")
    done = inside("solve", net, "--tpus", "2", *options, "--tpu-memory", "6MiB", "--no-verify", "-o", folder)
    assert done.code == ExitCode.OK, done.stderr
    record: dict[str, Any] = json.loads((folder / "plan.json").read_text())["solution"]["question"]
    assert (record["objective"], record["max_latency_ns"], record["max_stages"]) == ("latency", 20_000_000, 2)
    assert inside("report", folder, "--model", net, "-o", tmp_path / "x.html").code == ExitCode.OK
    line = "Asked for: the smallest latency on 2 TPUs, one pipeline, at most 20.00 ms, at most 2 stages."
    assert line in (tmp_path / "x.html").read_text()


def test_a_plan_without_the_record_is_still_read() -> None:
    problem = chain(op_cost(10), op_cost(20))
    case = solved(problem, Question())
    assert case is not None
    document = case.plan.model_dump(mode="json")
    del document["solution"]["question"]
    assert planfile.Plan.model_validate(document).solution.question is None


LOST = chain(*(op_cost(100, weight_bytes=60, streamed_ns=500) for _ in range(4)), tpus=3, capacity_bytes=130)
AGAIN = [
    Question(objective=Objective.LATENCY),
    Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN),
    Question(objective=Objective.BATCH, batch=7),
    Question(constraints=Constraints.of(cut_before=(1,), keep_together=((2, 3),))),
    Question(objective=Objective.DEVICES, constraints=Constraints.of(min_fps=1e6)),
]


@pytest.mark.parametrize("question", AGAIN)
def test_another_plan_answers_the_same_question(question: Question) -> None:
    found = plans._answer(LOST, solution(question), quiet)
    assert (found.question, found.status) == (question, Status.OPTIMAL)


def test_limits_that_too_few_devices_cannot_keep_are_given_up_aloud() -> None:
    heard: list[str] = []
    kept = Constraints.of(min_fps=1e9, max_stages=2)
    found = plans._answer(LOST, solution(Question(objective=Objective.DEVICES, constraints=kept)), heard.append)
    assert "going on without" in heard[0]
    assert found.plan is not None
    assert found.question == Question(constraints=Constraints.of(max_stages=2))


def test_what_is_not_planned_on_a_shared_link_does_not_end_the_run() -> None:
    whole = chain(op_cost(10, weight_bytes=2**20), tpus=2, capacity_bytes=0, overhead_ns=1)
    narrow = replace(whole, link=SharedLink(ns_per_mib=1000))
    asked = Question(objective=Objective.LATENCY, constraints=Constraints.of(min_fps=2e6))
    found = plans._answer(narrow, solution(asked), quiet)
    assert found.plan is not None
    assert found.question.constraints == Constraints()


def test_of_a_front_the_most_throughput_goes_on() -> None:
    assert plans._answer(LOST, solution(Question(objective=Objective.PARETO)), quiet).question == Question()
