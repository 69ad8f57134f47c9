"""A run that takes frames from an iterator and gives the results in their order."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import ClosedError, DevicesLeftError, InputError, StageError
from segsolve_runtime.flow.engine import Setting
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.limits import capacity, most_under_way
from segsolve_runtime.flow.run import LONGEST_WAIT_S, Run

FEEDER_NAME = "segsolve-frames"


class Stream(Run):
    """Serves one iterator. Results wait for those of earlier frames; an exception takes its frame's turn."""

    def __init__(self, setting: Setting, *, drops_oldest: bool = False, yields_errors: bool = False) -> None:
        if drops_oldest and setting.clocks == "virtual":
            raise ValueError("on a virtual clock all frames come at once; none can be dropped for a later one")
        held = capacity(setting.plan, setting.queue_size)
        # Where frames are dropped, a result counts until it is taken: those after it should be fresh.
        super().__init__(setting, most_under_way=held + 1 if drops_oldest else None)
        self._drops_oldest, self._yields_errors = drops_oldest, yields_errors
        self._most_open = most_under_way(setting.plan, setting.queue_size, setting.parts, keeps_order=True) - 1
        self._open: dict[int, Job] = {}
        self._came: SimpleQueue[Job | None] = SimpleQueue()
        self._done: dict[int, Job | None] = {}
        self._next_result = 0
        self._has_ended = False
        self._source_error: BaseException | None = None
        self._pid = os.getpid()

    def results(self, frames: Iterable[Tensors | InputError]) -> Iterator[Result | StageError | InputError]:
        """Yield the outputs by name for each frame, in order; start and end the run.

        Frames are taken one by one, and only while there is room for them; where the oldest are dropped, as they come.

        Raises:
            ClosedError: the run was closed meanwhile, or the process forked.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done.
            StageError: an inference failed for good; the results of all frames before it were yielded.
            BaseException: one that `frames` raised, after the results of all frames before it.
        """
        try:
            self.start()
            if self._drops_oldest:
                threading.Thread(target=self._feed, args=(frames,), name=FEEDER_NAME, daemon=True).start()
            yield from self._exchange(iter(() if self._drops_oldest else frames))
        finally:
            self.close()

    def close(self) -> None:
        """End all threads, and whoever waits for a result."""
        if self._pid != os.getpid():  # the threads are the parent's
            return
        super().close()
        self._came.put(None)

    def _exchange(self, frames: Iterator[Tensors | InputError]) -> Iterator[Result | StageError | InputError]:
        while True:
            self._check_open()
            while self._next_result in self._done:
                job = self._done.pop(self._next_result)
                self._next_result += 1
                if job is not None:
                    yield self._deliver(job)
                    self._check_open()
            if not self._came.empty():
                self._receive()
            elif self._has_ended and not self._open:
                break
            elif self._engine.gives_back and self._engine.is_drained(self._undone()):
                raise self._left()
            elif self._may_pull():
                self._pull(frames)
            else:
                self._wait()
        if self._source_error is not None:
            raise self._source_error

    def _check_open(self) -> None:
        if self._pid != os.getpid():
            raise ClosedError("the pipeline belongs to the process that opened it; a child of it must open its own")
        if self._is_closed:
            raise ClosedError("the pipeline was closed, or another map was begun, before this map ended")

    def _may_pull(self) -> bool:
        if self._has_ended or self._drops_oldest or len(self._open) >= self._most_open:
            return False
        if self._engine.failure is not None:
            return not self._open
        return self._engine.has_room()

    def _pull(self, frames: Iterator[Tensors | InputError]) -> None:
        """Take the next frame, in the caller's thread."""
        if self._engine.failure is not None:
            raise self._engine.failure
        try:
            frame = next(frames, None)
        except Exception as error:
            self._source_error, frame = error, None
        if frame is None:
            self._has_ended = True
        else:
            self._offer(frame)

    def _offer(self, frame: Tensors | InputError) -> None:
        job = self._job({} if isinstance(frame, InputError) else frame)
        self._open[job.number] = job
        if isinstance(frame, InputError):
            job.error = frame
            self._came.put(job)
        else:
            self._engine.offer(job)

    def _wait(self) -> None:
        """Wait until there is something to do."""
        if self._virtual is not None:
            self._virtual.advance(may_come=not self._has_ended)
            return
        wants_frame = not self._has_ended and not self._drops_oldest and len(self._open) < self._most_open
        if wants_frame:
            self._engine.tell_when_taken(1)
            if self._may_pull():
                return
        self._receive(LONGEST_WAIT_S)

    def _receive(self, timeout_s: float = 0) -> None:
        try:
            job = self._came.get(timeout_s > 0, timeout_s or None)
        except Empty:
            return
        if job is None:
            return
        self._done[job.number] = None if job.is_dropped else job
        if job.is_dropped:
            del self._open[job.number]

    def _feed(self, frames: Iterable[Tensors | InputError]) -> None:
        """Take frames as they come, in a thread of their own; the oldest that waits makes room for a new one."""
        try:
            for frame in frames:
                if self._is_closed or self._engine.failure is not None:
                    break
                while not self._engine.has_room():
                    self._drop()
                self._offer(frame)
        except BaseException as error:  # also SystemExit and the like: it is for the caller
            self._source_error = error
        self._has_ended = True
        self._stir()

    def _drop(self) -> None:
        for job in self._engine.withdraw(1):
            self._flow.dropped += 1
            job.is_dropped = True
            self._came.put(job)

    def _deliver(self, job: Job) -> Result | StageError | InputError:
        if isinstance(job.error, StageError) and not self._yields_errors:
            raise job.error.losing(sorted([*self._open]))
        del self._open[job.number]
        if self._drops_oldest:
            self._engine.done()
        if job.error is not None:
            return job.error
        self._flow.deliver(job.accepted_ns, job.ready_ns)
        return self._result(job)

    def _undone(self) -> int:
        return len(self._open) - sum(job is not None for job in self._done.values())

    def _finish(self, job: Job) -> None:
        self._came.put(job)

    def _taken(self) -> None:
        self._came.put(None)

    def _stir(self) -> None:
        self._came.put(None)

    def _left(self) -> DevicesLeftError:
        """Return the error that ends the run and gives back what has no result."""
        return DevicesLeftError(self._setting.retired, {n: job.inputs for n, job in sorted(self._open.items())})
