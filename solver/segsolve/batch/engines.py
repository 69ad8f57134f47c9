"""Where jobs run: behind `concurrent.futures.Executor`, in processes here or on a cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, Protocol, TypeVar

from segsolve.batch.pool_jobs import AnyJob
from segsolve.batch.work import Work, run_job
from segsolve.errors import ExitCode, SegsolveError
from segsolve_runtime.shortage import shortage

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class EngineFault(SegsolveError):
    """What runs the jobs is gone, so that no job can be done."""

    exit_code = ExitCode.RUN_FAILED


class Engine(Protocol):
    """An executor, and what the loop must know of it."""

    @property
    def slots(self) -> int:
        """Jobs to keep submitted, so that no worker waits for the next one."""
        ...

    def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
        """Start a job; `with_model` when a worker answered that it lacks the model.

        Raises:
            BrokenExecutor: worker processes died; `revive` before going on.
            ModelError: the model cannot be read any more.
        """
        ...

    def revive(self) -> None:
        """Go on after workers died.

        Raises:
            EngineFault: it cannot go on.
        """
        ...

    def abandon(self) -> None:
        """Stop now, whatever runs."""
        ...


class LocalExecutor(ProcessPoolExecutor):
    """Processes that end with this one, even when it is killed, and that Ctrl-C does not reach.

    The standard library's own would wait for work forever after a SIGKILL of their parent, and would all print a
    traceback at Ctrl-C. Started afresh (spawn), because OR-Tools and LiteRT have threads, which a fork breaks.
    """

    def __init__(self, processes: int) -> None:
        context = get_context("spawn")
        lifeline, self._lifeline = context.Pipe(duplex=False)
        try:
            super().__init__(processes, mp_context=context, initializer=_live_with_parent, initargs=(lifeline,))
        except OSError as error:
            if shortage(error):
                raise
            raise EngineFault(
                f"worker processes cannot be started: {error.strerror}", "their semaphores are files in /dev/shm"
            ) from error

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Submit a call; a worker that this starts inherits a signal mask without Ctrl-C."""
        with _interrupts_blocked():
            return super().submit(fn, *args, **kwargs)

    def abandon(self) -> None:
        """End the workers at once."""
        self._lifeline.close()
        self.shutdown(wait=True, cancel_futures=True)


class LocalEngine:
    """Worker processes on this machine, which read models by their paths."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self.executor = LocalExecutor(processes)

    @property
    def slots(self) -> int:
        """One job in each process and one waiting: a job may take no longer than handing over the next."""
        return 2 * self._processes

    def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
        """Start a job."""
        return self.executor.submit(run_job, job, *(model.path for model in job.sources))

    def revive(self) -> None:
        """Start new processes."""
        self.executor.abandon()
        self.executor = LocalExecutor(self._processes)

    def abandon(self) -> None:
        """Stop now."""
        self.executor.abandon()


@contextmanager
def local_engine(processes: int) -> Iterator[LocalEngine]:
    """Run an engine of local processes, all of which are gone in the end."""
    engine = LocalEngine(processes)
    try:
        yield engine
        engine.executor.shutdown()
    finally:
        engine.abandon()


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _live_with_parent(lifeline: Connection) -> None:
    threading.Thread(target=_exit_with_parent, args=(lifeline,), name="lifeline", daemon=True).start()


def _exit_with_parent(lifeline: Connection) -> None:
    """Wait for the end of the pipe: the parent holds its only other end, and never sends anything."""
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from the processes that are started meanwhile; here it takes effect at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before: Any = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
