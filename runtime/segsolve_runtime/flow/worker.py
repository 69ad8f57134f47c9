"""One place at work, in a thread of its own: what comes in is run and reported, until there is nothing more to come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.flow.clock import Clock, Report
from segsolve_runtime.flow.job import Job, Outcome
from segsolve_runtime.flow.routes import Route

THREAD_NAME = "segsolve-stage-"


class Worker:
    """Runs the inferences that are sent to one place, one after the other."""

    def __init__(
        self, place: Place, route: Route, runner: StageRunner, clock: Clock, report: Callable[[Report], None]
    ) -> None:
        self._place, self._route, self._runner = place, route, runner
        self._clock, self._report = clock, report
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        # As a daemon, it cannot keep a program alive that never closed its pipeline, or whose device hangs.
        name = f"{THREAD_NAME}{place.pipeline}.{place.stage}.{place.replica}"
        self.thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def send(self, job: Job) -> None:
        """Give the place an inference."""
        self._inbox.put(job)

    def end(self) -> None:
        """Let the thread end after the inference that it is at; may be called from anywhere, also by a finaliser."""
        self._inbox.put(None)

    def _loop(self) -> None:
        while (job := self._inbox.get()) is not None:
            start_ns = self._clock.stamp()
            outcome = self._infer(job)
            self._clock.hold(self._place)
            self._report(Report(self._place, job, outcome, start_ns, self._clock.stamp()))

    def _infer(self, job: Job) -> Outcome:
        tensors = job.tensors
        try:
            made = self._runner.run({name: tensors[name] for name in self._route.takes})
            return {name: made[name] if name in made else tensors[name] for name in self._route.keeps}
        except BaseException as cause:  # a thread that died silently would leave the caller waiting
            return cause
