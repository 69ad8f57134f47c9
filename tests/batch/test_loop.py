"""Who is blamed when workers die, on an engine whose deaths are scripted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from segsolve.batch.engines import EngineFault
from segsolve.batch.log import RecordLog
from segsolve.batch.loop import ATTEMPTS, Loop
from segsolve.batch.pool_jobs import AnyJob
from segsolve.batch.record import Outcome, Record, failed
from segsolve.batch.work import NEEDS_MODEL, Work
from segsolve.errors import ModelError, UsageError
from tests.batch.runs import jobs

JOBS = jobs(planners=("compiler", "uniform", "balanced", "profiled", "dp", "cpsat"))


class Scripted:
    """An engine that answers at once, as told per planner; a death takes along what was submitted before it."""

    slots = 3

    def __init__(self, script: Callable[[AnyJob, bool], Work | Exception]) -> None:
        self._script = script
        self._open: list[Future[Work]] = []
        self.submitted: list[str] = []
        self.revived = 0
        self.broken = False

    def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
        if self.broken:
            raise BrokenProcessPool
        self.submitted.append(job.planner)
        future: Future[Work] = Future()
        match self._script(job, with_model):
            case BrokenExecutor() as death:
                self.broken = True
                for other in (*self._open, future):
                    other.set_exception(death)
                self._open = []
            case Exception() as error:
                future.set_exception(error)
            case answer:
                future.set_result(answer)
        return future

    def waits(self) -> Future[Work]:
        """A future that stays open until a death takes it along."""
        self._open.append(Future())
        return self._open[-1]

    def revive(self) -> None:
        self.revived += 1
        self.broken = False

    def abandon(self) -> None:
        raise AssertionError("nobody asked for it")


def answer(job: AnyJob) -> Work:
    return Work(record=failed(job, "answered", ""))


def run(engine: Scripted, folder: Path, todo: Sequence[AnyJob] = JOBS) -> dict[str, Record]:
    heard: list[Record] = []
    with RecordLog(folder) as log:
        Loop(todo, engine, log, heard.append).run()
    assert [r.key for r in heard] == list(log.records)
    assert len(heard) == len(todo)
    return {r.planner: r for r in heard}


def kinds(records: dict[str, Record]) -> dict[str, str | None]:
    return {planner: record.error_kind for planner, record in records.items() if record.error_kind != "answered"}


def test_every_job_gets_its_record(tmp_path: Path) -> None:
    engine = Scripted(lambda job, _: answer(job))
    assert kinds(run(engine, tmp_path)) == {}
    assert engine.submitted == [job.planner for job in JOBS]


def test_a_job_that_kills_its_worker_is_found_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    engine = Scripted(lambda job, _: BrokenProcessPool() if job.planner == "balanced" else answer(job))
    records = run(engine, tmp_path)
    assert kinds(records) == {"balanced": "worker"}
    assert records["balanced"].error_message == f"its worker died {ATTEMPTS} times"
    assert engine.submitted.count("balanced") == engine.revived == ATTEMPTS


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    deaths = iter([BrokenProcessPool()])
    engine = Scripted(lambda job, _: next(deaths, answer(job)) if job.planner == "dp" else answer(job))
    assert kinds(run(engine, tmp_path)) == {}
    assert engine.revived == 1


def test_a_pool_that_broke_while_idle_is_nobodys_fault(tmp_path: Path) -> None:
    engine = Scripted(lambda job, _: answer(job))
    engine.broken = True
    assert kinds(run(engine, tmp_path)) == {}
    assert engine.submitted == [job.planner for job in JOBS]


def test_suspects_go_on_one_at_a_time(tmp_path: Path) -> None:
    class Neighbours(Scripted):
        """The first three run together; the third kills the worker, and always will."""

        def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
            if job.planner in {"compiler", "uniform"} and job.planner not in self.submitted:
                self.submitted.append(job.planner)
                return self.waits()
            return super().submit(job, with_model=with_model)

    engine = Neighbours(lambda job, _: BrokenProcessPool() if job.planner == "balanced" else answer(job))
    assert kinds(run(engine, tmp_path)) == {"balanced": "worker"}
    assert engine.submitted[:6].count("compiler") == engine.submitted[:6].count("uniform") == 2


def test_cancelled_by_the_cluster_is_done_again(tmp_path: Path) -> None:
    lost = iter([CancelledError()])
    engine = Scripted(lambda job, _: next(lost, answer(job)) if job.planner == "dp" else answer(job))
    assert kinds(run(engine, tmp_path)) == {}
    assert engine.submitted.count("dp") == 2


def test_a_cluster_that_is_gone_ends_the_batch(tmp_path: Path) -> None:
    class Gone(Scripted):
        def revive(self) -> None:
            raise EngineFault("the scheduler is lost")

    engine = Gone(lambda job, _: CancelledError())
    with RecordLog(tmp_path) as log, pytest.raises(EngineFault):
        Loop(JOBS, engine, log, lambda _: None).run()
    assert log.records == {}


def test_a_worker_that_lacks_the_model_gets_it(tmp_path: Path) -> None:
    engine = Scripted(lambda job, with_model: answer(job) if with_model or job.planner != "dp" else NEEDS_MODEL)
    assert kinds(run(engine, tmp_path)) == {}
    assert engine.submitted.count("dp") == 2


def test_a_model_that_is_gone_when_a_worker_asks_is_a_record(tmp_path: Path) -> None:
    class Unreadable(Scripted):
        def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
            if job.planner == "dp":
                raise ModelError("it does not exist")
            return super().submit(job, with_model=with_model)

    records = run(Unreadable(lambda job, _: answer(job)), tmp_path)
    assert kinds(records) == {"dp": "bad_model"}


def test_a_fault_of_the_machinery_is_a_record(tmp_path: Path) -> None:
    engine = Scripted(lambda job, _: RuntimeError("at 0x7f") if job.planner == "dp" else answer(job))
    records = run(engine, tmp_path)
    assert (records["dp"].outcome, records["dp"].error_kind) == (Outcome.FAILED, "worker")
    assert (
        records["dp"].error_message == "the worker could not run it: RuntimeError"
    )  # the rest differs from run to run


def test_a_worker_of_another_version_ends_the_batch(tmp_path: Path) -> None:
    engine = Scripted(lambda job, _: UsageError("a worker runs another version"))
    with RecordLog(tmp_path) as log, pytest.raises(UsageError):
        Loop(JOBS, engine, log, lambda _: None).run()
