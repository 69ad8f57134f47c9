"""A run that takes frames one at a time and gives a future for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import ClosedError, DevicesLeftError, OutageError, StageError
from segsolve_runtime.flow.engine import Setting
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.run import LONGEST_WAIT_S, Run


@dataclass(slots=True, eq=False)
class _Ticket:
    """A frame that waits for room; they are let in as they came."""

    tensors: Tensors
    future: Future[Result]
    moved: threading.Event | None = None
    error: Exception | None = None


class Submissions(Run):
    """Serves callers in any thread; each result is there as soon as it is ready, whatever comes before it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._open: dict[int, tuple[Job, Future[Result]]] = {}
        self._lobby: deque[_Ticket] = deque()
        self._ended: Exception | None = None
        self._is_told = False

    @property
    def is_over(self) -> bool:
        """Whether it takes nothing more, all that it took is done, and a caller was told why.

        Of an outage nobody else need be told: the next run finds the device back, or waits for it anew.
        """
        is_told = self._is_told or isinstance(getattr(self._ended, "__cause__", None), OutageError)
        return self._is_closed or (is_told and not self._open)

    def submit(self, frame: Tensors, timeout_s: float | None) -> Future[Result]:
        """Take a frame as soon as there is room, and return the future of its outputs.

        Raises:
            TimeoutError: there was no room within `timeout_s`.
            ClosedError: the run was closed.
            StageError: a fault ended the run meanwhile.
            DevicesLeftError: devices were lost meanwhile, and the policy is to give back what is not done.
        """
        ticket = _Ticket(frame, Future())
        with self._lock:
            self._enter(ticket)
            ticket.moved = moved = threading.Event() if ticket in self._lobby else None
        deadline = None if timeout_s is None else monotonic() + timeout_s
        while moved is not None and not moved.is_set():
            left = LONGEST_WAIT_S if deadline is None else deadline - monotonic()
            if left <= 0 and self._leave(ticket):
                raise TimeoutError(f"the pipeline had no room for another frame within {timeout_s} s")
            try:
                moved.wait(max(0.0, min(left, LONGEST_WAIT_S)))
            except BaseException:
                self._leave(ticket)
                raise
        if ticket.error is not None:
            raise ticket.error
        return ticket.future

    def begin(self, frame: Tensors) -> Future[Result]:
        """Take a frame at once, which may have to wait for room, and return the future of its outputs."""
        ticket = _Ticket(frame, Future())
        self._enter(ticket)
        return ticket.future

    def waiting(self) -> int:
        """Return how many frames wait, for room or for a first stage."""
        return len(self._lobby) + self._engine.waiting()

    def close(self) -> None:
        """End all threads; futures without a result get a ClosedError."""
        super().close()
        self._end(ClosedError("the pipeline was closed, or a map was begun, before this frame was done"))

    def _enter(self, ticket: _Ticket) -> None:
        with self._lock:
            if self._ended is not None:
                self._is_told = True
                raise self._ended
            self._lobby.append(ticket)
            self._let_in()
        if self._virtual is not None:
            while self._virtual.advance() or self._lobby:
                self._let_in()

    def _leave(self, ticket: _Ticket) -> bool:
        with self._lock:
            if ticket not in self._lobby:
                return False
            self._lobby.remove(ticket)
            return True

    def _let_in(self) -> None:
        """Take those that wait, in their order, as far as there is room."""
        with self._lock:
            while self._lobby and self._ended is None:
                if not self._engine.has_room():
                    self._engine.tell_when_taken(self._setting.queue_size)
                    if not self._engine.has_room():
                        return
                ticket = self._lobby.popleft()
                if not ticket.future.cancelled():
                    job = self._job(ticket.tensors)
                    job.claim = self._claim_of(job, ticket.future)
                    self._open[job.number] = job, ticket.future
                    self._engine.offer(job)
                if ticket.moved is not None:
                    ticket.moved.set()

    def _claim_of(self, job: Job, future: Future[Result]) -> Callable[[], bool]:
        def claim() -> bool:
            if future.running() or future.set_running_or_notify_cancel():
                return True
            self._open.pop(job.number, None)
            return False

        return claim

    def _taken(self) -> None:
        self._let_in()

    def _finish(self, job: Job) -> None:
        entry = self._open.pop(job.number, None)
        if entry is None:
            return  # it was ended with others before
        future = entry[1]
        if isinstance(job.error, StageError):
            lost = sorted([job.number, *self._open]) if self._policy.on_fault == "stop" else [job.number]
            _fail(future, job.error.losing(lost))
            return
        with self._lock:
            self._flow.deliver(job.accepted_ns, job.ready_ns)
        with suppress(InvalidStateError):  # it was ended meanwhile
            future.set_result(self._result(job))
        if self._engine.gives_back:
            self._stir()

    def _stir(self) -> None:
        engine = self._engine
        if engine.gives_back:
            if engine.is_drained(len(self._open)):
                undone = {n: job.inputs for n, (job, _) in sorted([*self._open.items()])}
                self._end(DevicesLeftError(self._setting.retired, undone))
        elif engine.failure is not None:
            self._end(engine.failure, waiting_only=True)
        else:
            self._let_in()

    def _end(self, error: Exception, *, waiting_only: bool = False) -> None:
        """Take nothing more; end what waits for room, and what is under way if nothing can come of it."""
        with self._lock:
            self._ended = self._ended or error
            lobby = [*self._lobby]
            self._lobby.clear()
            entries = [] if waiting_only else [self._open.pop(number) for number in [*self._open]]
        for ticket in lobby:
            ticket.error = error
            if ticket.moved is None:
                _fail(ticket.future, error)
            else:
                ticket.moved.set()
        for _, future in entries:
            _fail(future, error)


def _fail(future: Future[Result], error: Exception) -> None:
    if future.running() or future.set_running_or_notify_cancel():
        with suppress(InvalidStateError):
            future.set_exception(error)
