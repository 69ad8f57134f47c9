"""A run that takes frames one at a time and gives a future for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from time import monotonic

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import ClosedError, DevicesLeftError, StageError
from segsolve_runtime.flow.job import Job, Outcome
from segsolve_runtime.flow.run import LONGEST_WAIT_S, Run, Setting


class Submissions(Run):
    """Serves callers in any thread; each result is there as soon as it is ready, whatever comes before it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, keeps_order=False)
        self._open: dict[int, tuple[Job, Future[Result]]] = {}
        self._settled: list[tuple[Future[Result], Result | Exception]] = []
        self._failure: Exception | None = None

    def submit(self, frame: Tensors, timeout_s: float | None) -> Future[Result]:
        """Take a frame as soon as there is room, and return the future of its outputs.

        Raises:
            TimeoutError: there was no room within `timeout_s`.
            ClosedError: the run was closed.
            StageError: an earlier fault ended the run.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        with self._changed:
            while not self._is_open_for_more():
                left = LONGEST_WAIT_S if deadline is None else deadline - monotonic()
                if left <= 0:
                    raise TimeoutError(f"the pipeline had no room for another frame within {timeout_s} s")
                self._changed.wait(min(left, LONGEST_WAIT_S))
            future: Future[Result] = Future()
            future.set_running_or_notify_cancel()
            job = self._accept(frame)
            self._open[job.number] = job, future
            self._pump()
        self._after_report()
        return future

    def close(self) -> None:
        """End all threads; futures without a result get a ClosedError."""
        super().close()
        with self._changed:
            self._settle(
                [*self._open], ClosedError("the pipeline was closed, or a map was begun, before this frame was done")
            )
        self._after_report()

    def _is_open_for_more(self) -> bool:
        if self._is_closed:
            raise ClosedError("the pipeline was closed, or a map was begun")
        if self._failure is not None:
            raise self._failure
        return self._has_room()

    def _release(self, job: Job, outcome: Outcome) -> None:
        self._dispatch.under_way -= 1
        entry = self._open.pop(job.number, None)
        if entry is None:
            return  # it was lost with others before it came to its end
        if isinstance(outcome, Mapping):
            self._flow.deliver(job.accepted_ns, job.ready_ns)
            result = Result({name: outcome[name] for name in self._outputs}, number=job.number)
            self._settled.append((entry[1], result))
            return
        assert isinstance(outcome, StageError)
        self._settled.append((entry[1], outcome))
        if self._policy.on_fault == "stop":
            waiting = [other.number for other in self._dispatch.source]
            self._failure = outcome.losing([job.number, *waiting])
            self._settle(waiting, self._failure)

    def _fail(self, error: StageError) -> None:
        self._failure = error.losing(sorted({error.inference, *self._open}))
        self._settle([*self._open], self._failure)

    def _give_back(self) -> None:
        undone = {n: job.inputs for n, (job, _) in sorted(self._open.items())}
        self._failure = DevicesLeftError(self._setting.retired, undone)
        self._settle([*self._open], self._failure)

    def _concerns_caller(self) -> bool:
        return self._failure is not None or self._has_room()

    def _settle(self, numbers: Iterable[int], error: Exception) -> None:
        self._settled += [(self._open.pop(number)[1], error) for number in numbers]

    def _after_report(self) -> None:
        """Give results to their futures without the lock: what waits for a future runs here."""
        if not self._settled:
            return
        with self._changed:
            settled, self._settled = self._settled, []
        for future, result in settled:
            if isinstance(result, Result):
                future.set_result(result)
            else:
                future.set_exception(result)
