"""A run that takes frames from an iterator and gives the results in their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import ClosedError, DevicesLeftError, StageError
from segsolve_runtime.flow.job import Job, Outcome
from segsolve_runtime.flow.run import LONGEST_WAIT_S, Run, Setting

FEEDER_NAME = "segsolve-frames"


class Stream(Run):
    """Serves one iterator. Results wait for those of earlier frames; an exception takes its frame's turn."""

    def __init__(self, setting: Setting, *, drops_oldest: bool = False) -> None:
        super().__init__(setting, keeps_order=not drops_oldest)
        if drops_oldest and self._clock.is_virtual:
            raise ValueError("on a virtual clock all frames come at once; none can be dropped for a later one")
        self._drops_oldest = drops_oldest
        self._open: dict[int, Job] = {}
        self._done: dict[int, tuple[Job, Outcome]] = {}
        self._ready: deque[tuple[Job, Outcome]] = deque()
        self._next_result = 0
        self._has_ended = False
        self._source_error: Exception | None = None
        self._failure: StageError | None = None
        self._gives_back = False

    def results(self, frames: Iterable[Tensors]) -> Iterator[Result]:
        """Yield the outputs by name for each frame, in order; start and end the run.

        Frames are taken one by one, and only while there is room for them; where the oldest are dropped, as they come.

        Raises:
            ClosedError: the run was closed meanwhile.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done.
            StageError: an inference failed for good; the results of all frames before it were yielded.
            Exception: one that `frames` raised, after the results of all frames before it.
        """
        try:
            self.start()
            if self._drops_oldest:
                threading.Thread(target=self._feed, args=(frames,), name=FEEDER_NAME, daemon=True).start()
            yield from self._exchange(iter(() if self._drops_oldest else frames))
        finally:
            self.close()

    def _exchange(self, frames: Iterator[Tensors]) -> Iterator[Result]:
        while True:
            with self._changed:
                entry = self._wait()
            if entry is not None:
                yield self._deliver(*entry)
            elif self._has_ended:
                break
            else:
                self._pull(frames)
        if self._source_error is not None:
            raise self._source_error

    def _wait(self) -> tuple[Job, Outcome] | None:
        """Wait for a result and return it, or None when a frame can be taken or all is done."""
        while True:
            if self._is_closed:
                raise ClosedError("the pipeline was closed, or another map was begun, before this map ended")
            if self._ready:
                return self._ready.popleft()
            if self._gives_back or self._failure is not None:
                raise self._told()
            if self._has_ended and not self._open:
                return None
            if not self._has_ended and not self._drops_oldest and self._has_room():
                return None
            self._changed.wait(LONGEST_WAIT_S)

    def _pull(self, frames: Iterator[Tensors]) -> None:
        """Take the next frame, in the caller's thread."""
        try:
            frame = next(frames, None)
        except Exception as error:
            self._source_error, frame = error, None
        with self._changed:
            if frame is None:
                self._has_ended = True
            else:
                self._offer(frame)
            self._pump()

    def _feed(self, frames: Iterable[Tensors]) -> None:
        """Take frames as they come, in a thread of their own; the oldest that waits makes room for a new one."""
        try:
            for frame in frames:
                with self._changed:
                    if self._is_closed:
                        return
                    if not self._has_room():
                        self._drop()
                    self._offer(frame)
                    self._pump()
        except Exception as error:
            self._source_error = error
        with self._changed:
            self._has_ended = True
            self._pump()
            self._changed.notify_all()

    def _offer(self, frame: Tensors) -> None:
        job = self._accept(frame)
        self._open[job.number] = job

    def _drop(self) -> None:
        job = self._dispatch.drop_oldest()
        if job is not None:
            self._flow.dropped += 1
            del self._open[job.number]
            self._done[job.number] = (job, {})
            self._bring_forward()

    def _deliver(self, job: Job, outcome: Outcome) -> Result:
        if isinstance(outcome, StageError):
            raise outcome.losing(sorted(self._open))
        assert isinstance(outcome, Mapping)
        with self._changed:
            del self._open[job.number]
            self._flow.deliver(job.accepted_ns, job.ready_ns)
            if self._drops_oldest:
                self._dispatch.under_way -= 1
                self._pump()
        return Result({name: outcome[name] for name in self._outputs}, number=job.number)

    def _release(self, job: Job, outcome: Outcome) -> None:
        self._done[job.number] = (job, outcome)
        self._bring_forward()

    def _bring_forward(self) -> None:
        """Make ready what has come to its turn."""
        while (entry := self._done.pop(self._next_result, None)) is not None:
            if self._next_result in self._open:
                self._ready.append(entry)
                # Where frames are dropped, a result counts until it is taken: those after it should be fresh.
                self._dispatch.under_way -= not self._drops_oldest
            self._next_result += 1

    def _fail(self, error: StageError) -> None:
        self._failure = error

    def _give_back(self) -> None:
        self._gives_back = True

    def _told(self) -> Exception:
        """Return the error that ends the run, with what has no result."""
        if self._gives_back or self._failure is None:
            return DevicesLeftError(self._setting.retired, {n: job.inputs for n, job in sorted(self._open.items())})
        return self._failure.losing(sorted(self._open))

    def _concerns_caller(self) -> bool:
        if self._ready or self._gives_back or self._failure is not None:
            return True
        if self._has_ended:
            return not self._open
        return not self._drops_oldest and self._is_hungry()

    def _is_hungry(self) -> bool:
        """Tell whether the caller should be woken for a frame; it takes more while it is awake for results anyway."""
        return self._has_room() if self._clock.is_virtual else not self._dispatch.source

    def _may_bring_more(self) -> bool:
        return self._clock.is_virtual and not self._has_ended and self._has_room()
