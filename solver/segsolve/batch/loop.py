"""Keeps an engine busy until every job has its record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, replace

from segsolve.batch.engines import Engine
from segsolve.batch.log import RecordLog
from segsolve.batch.pool_jobs import AnyJob
from segsolve.batch.record import Record, failed, kind_of
from segsolve.batch.work import Work
from segsolve.errors import ModelError, SegsolveError

ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A job on its way; `deaths` counts the workers that died while it was on one of them."""

    job: AnyJob
    deaths: int = 0
    with_model: bool = False


class Loop:
    """Submits jobs in order, records what comes back, and finds out which job kills its worker."""

    def __init__(
        self, jobs: Iterable[AnyJob], engine: Engine, log: RecordLog, observe: Callable[[Record], None]
    ) -> None:
        self._engine, self._log, self._observe = engine, log, observe
        self._waiting = deque(_Task(job=job) for job in jobs)
        # When a pool breaks, any of the jobs in it may be the cause. They go on one at a time, so that the next
        # death has one suspect, and a job that is innocent is not blamed for its neighbour.
        self._suspects: deque[_Task] = deque()
        self._running: dict[Future[Work], _Task] = {}
        self._broken = False

    def run(self) -> None:
        """Return when all jobs have records.

        Raises:
            EngineFault: the engine is gone.
            UsageError: a worker is not fit for the jobs.
        """
        while self._waiting or self._suspects or self._running:
            if not self._broken:
                self._fill()
            for future in wait(self._running, return_when=FIRST_COMPLETED).done if self._running else ():
                self._collect(self._running.pop(future), future)
            if self._broken and not self._running:
                self._engine.revive()
                self._broken = False

    def _fill(self) -> None:
        slots = 1 if self._suspects else self._engine.slots
        while not self._broken and len(self._running) < slots and (self._suspects or self._waiting):
            self._submit((self._suspects or self._waiting).popleft())

    def _submit(self, task: _Task) -> None:
        try:
            self._running[self._engine.submit(task.job, with_model=task.with_model)] = task
        except BrokenExecutor:  # a worker died while it was idle: nobody's fault
            self._broken = True
            self._again(task)
        except ModelError as error:
            self._record(failed(task.job, kind_of(error), str(error), error.hint))

    def _collect(self, task: _Task, future: Future[Work]) -> None:
        try:
            answer = future.result()
        except (BrokenExecutor, CancelledError):
            self._broken = True
            self._blame(replace(task, deaths=task.deaths + 1))
        except SegsolveError:
            raise
        except Exception as error:
            kind = type(error).__name__
            self._record(failed(task.job, "worker", f"the worker could not run it: {kind}"), error=str(error))
        else:
            if answer.record is None:
                self._again(replace(task, with_model=True))
            else:
                self._record(answer.record, **answer.timing)

    def _again(self, task: _Task) -> None:
        (self._suspects if task.deaths else self._waiting).appendleft(task)

    def _blame(self, task: _Task) -> None:
        if task.deaths < ATTEMPTS:
            self._suspects.append(task)
        else:
            message = f"its worker died {ATTEMPTS} times"
            self._record(failed(task.job, "worker", message, "does the machine have enough memory for it?"))

    def _record(self, record: Record, **timing: object) -> None:
        self._log.append(record, timing)
        self._observe(record)
