"""What a worker makes of a job that goes wrong: a record, the same on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from generators.problems import chain, op_cost
from segsolve import solve
from segsolve.batch.jobs import Job, Model, Options, Versions, expand
from segsolve.batch.record import Outcome, Record, answered, from_line, kind_of, to_line
from segsolve.batch.work import run_job
from segsolve.cost.plan import score_cut
from segsolve.errors import SolverFault, UsageError
from segsolve.question import Objective
from segsolve.question.given import parsed
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.search.base import found
from segsolve.solvers.base import Status, Stop
from tests.batch.runs import device


def job(path: Path) -> Job:
    model = Model(name=path.stem, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    (made,) = expand([model], [device()], [3], ["dp"], Options())
    return made


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes((models / "residual.tflite").read_bytes())
    return path


def test_a_result_says_nothing_of_where_and_when(model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.tflite"
    elsewhere.write_bytes(model.read_bytes())
    first, second = run_job(job(model), str(model)), run_job(job(model), str(elsewhere))
    assert first.record == second.record
    assert {"wall_s", "solve_s", "deterministic_s"} == set(first.timing)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (SolverFault("the planner answered wrongly"), "solver_fault", "the planner answered wrongly"),
        (MemoryError(), "out_of_memory", "out of memory"),
        (ValueError("surprise"), "internal", "ValueError: surprise"),
    ],
)
def test_what_goes_wrong_is_recorded(
    monkeypatch: pytest.MonkeyPatch, model: Path, error: Exception, kind: str, message: str
) -> None:
    def fail(*_: object, **__: object) -> Answer:
        raise error

    monkeypatch.setattr("segsolve.search.ask.solve", fail)
    answer = run_job(job(model), str(model))
    assert answer.record is not None
    assert (answer.record.outcome, answer.record.error_kind) == (Outcome.FAILED, kind)
    assert answer.record.error_message == message
    assert ("traceback" in answer.timing) == (kind == "internal")


def test_a_model_that_changes_meanwhile_is_not_taken_for_the_other(models: Path, model: Path) -> None:
    made = job(model)
    model.write_bytes((models / "synthetic-dense-100.tflite").read_bytes())
    record = run_job(made, str(model)).record
    assert record is not None
    assert record.error_message == "net.tflite changed after the batch had begun"


def test_another_version_answers_nothing(model: Path) -> None:
    with pytest.raises(UsageError, match="99"):
        run_job(replace(job(model), versions=Versions(segsolve="99", ortools="99")), str(model))


def test_no_plan_within_the_time_limit_is_a_failure(model: Path) -> None:
    problem = chain(op_cost(1), ns=1)
    result = found(problem, "cpsat", None, None, status=Status.UNKNOWN, stopped_by=Stop.TIME_LIMIT)
    one_tpu = score_cut(problem, ())
    assert answered(job(model), result, one_tpu).error_kind == "no_plan"
    assert answered(job(model), replace(result, stopped_by=Stop.FINISHED), one_tpu).outcome is Outcome.NO_PLAN


def test_no_layout_within_the_time_limit_is_a_failure(model: Path) -> None:
    found = answer(chain(op_cost(1), ns=1, tpus=1))
    stopped = replace(found, status=Status.UNKNOWN, plan=None, score=None, value=None, stopped_by=Stop.TIME_LIMIT)
    one_tpu = score_cut(chain(op_cost(1), ns=1), ())
    assert answered(job(model), stopped, one_tpu).error_kind == "no_plan"
    assert answered(job(model), replace(stopped, status=Status.INFEASIBLE), one_tpu).outcome is Outcome.INFEASIBLE


def test_kinds_are_the_names_of_exit_codes() -> None:
    assert kind_of(UsageError("")) == "usage"
    assert kind_of(KeyError()) == "internal"


def asked(path: Path, planner: str, *, tpus: int = 3, **options: object) -> Record:
    model = Model(name=path.stem, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    (made,) = expand([model], [device()], [tpus], [planner], Options(**options))  # type: ignore[arg-type]
    record = run_job(made, str(path)).record
    assert record is not None
    return record


def test_a_batch_asks_what_solve_asks(models: Path) -> None:
    path = models / "synthetic-conv-16.tflite"
    for planner, layout in (("layouts", "any"), ("dp", "pipeline")):
        record = asked(path, planner, objective=Objective.LATENCY, constraints=parsed({"min_fps": 100}))
        cuts = "auto" if planner == "layouts" else "chain"
        alone = solve(path, tpus=3, objective="latency", layout=layout, cuts=cuts, min_fps=100)
        assert (record.objective_ns, record.period_ns, record.latency_ns, record.layout) == (
            *(alone.objective_ns, alone.period_ns, alone.latency_ns),
            alone.plan.layout if alone.plan else None,
        )
        assert record.asked == "the smallest latency, at least 100 inferences per second"


def test_fewest_devices_are_counted_and_a_front_is_kept(models: Path) -> None:
    path = models / "synthetic-conv-16.tflite"
    fewest = asked(path, "layouts", objective=Objective.DEVICES, constraints=parsed({"min_fps": 100}))
    assert fewest.cost == fewest.tpus_used
    front = asked(path, "layouts", objective=Objective.PARETO)
    assert front.front and front.period_ns == min(period for _, period, _ in front.front)
    assert from_line(to_line(front).encode()) == front


def test_operations_are_those_of_each_model(models: Path) -> None:
    constraints = parsed({"cut_before": ["9"]})
    kept = asked(models / "residual.tflite", "cpsat", constraints=constraints)
    assert 9 in kept.cuts and kept.asked == "throughput, --cut-before 9"
    lost = asked(models / "synthetic-dense-100.tflite", "cpsat", constraints=constraints)
    assert (lost.outcome, lost.error_kind) == (Outcome.FAILED, "usage")
    assert "there is no operation 9" in (lost.error_message or "")


def test_heuristics_answer_no_other_question() -> None:
    with pytest.raises(UsageError, match="'compiler' only cuts one pipeline for throughput"):
        Options(objective=Objective.LATENCY).check(["layouts", "compiler"])
    with pytest.raises(UsageError, match="fewest devices for what"):
        Options(objective=Objective.DEVICES).check(["layouts"])
    assert "compiler" in Options().planners and "compiler" not in Options(constraints={"max_stages": 2}).planners
