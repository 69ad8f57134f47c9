"""One use of a pipeline: what its frames have in common, whoever gives them and takes the results."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import StageError
from segsolve_runtime.flow.engine import Ends, Engine, Setting
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.metrics import Metrics, metrics_of
from segsolve_runtime.flow.records import FlowRecord
from segsolve_runtime.flow.threads import ThreadEngine
from segsolve_runtime.flow.virtual import VirtualEngine

LONGEST_WAIT_S = 0.5
"""A caller's wait is begun anew so often: a signal (Ctrl-C) that comes just before it would wait for its end."""


class Run(ABC):
    """An engine while it serves callers; made for one use."""

    def __init__(self, setting: Setting, *, most_under_way: int | None = None) -> None:
        self._setting, self._policy = setting, setting.policy
        self._outputs = tuple(setting.plan.outputs)
        ends = Ends(finish=self._finish, taken=self._taken, stir=self._stir)
        self._virtual = VirtualEngine(setting, ends) if setting.clocks == "virtual" else None
        self._engine: Engine = self._virtual or ThreadEngine(setting, ends, most_under_way)
        # Reentrant, because a finaliser may close a run from within any allocation, also under its own lock.
        self._lock = threading.RLock()
        self._flow = FlowRecord()
        self._is_closed = False
        self._next_number = 0

    def start(self) -> None:
        """Begin (DevicesLeftError if so many devices were lost before that no pipeline is whole)."""
        self._engine.start()

    def close(self) -> None:
        """Let every place end its current inference; one that hangs is left alone."""
        self._is_closed = True
        self._engine.close()

    @property
    def failure(self) -> StageError | None:
        """Why the run begins nothing more."""
        return self._engine.failure

    def waiting(self) -> int:
        """Return how many frames wait."""
        return self._engine.waiting()

    def metrics(self) -> Metrics:
        """Return what was measured so far."""
        return metrics_of(
            now_ns=self._engine.now(),
            flow=self._flow,
            stages=self._engine.stages(),
            waiting=self._engine.waiting(),
            slots=self._engine.slots(),
            faults=self._engine.faults,
        )

    @property
    def age_ns(self) -> int:
        """The ns since it began, from where its timeline counts."""
        return self._engine.now()

    @abstractmethod
    def _finish(self, job: Job) -> None:
        """Take an inference that is done or failed, in any thread."""

    @abstractmethod
    def _taken(self) -> None:
        """Take note that there may be room for another frame, in any thread."""

    @abstractmethod
    def _stir(self) -> None:
        """Take note that something went wrong, in any thread."""

    def _job(self, tensors: Tensors) -> Job:
        """Return the inference of a frame that is taken now."""
        now = self._engine.now()
        job = Job(self._next_number, tensors if self._policy.keeps_inputs else {}, tensors, now, None, now)
        self._next_number += 1
        self._flow.accept(now)
        return job

    def _result(self, job: Job) -> Result:
        outcome = job.tensors
        return Result({name: outcome[name] for name in self._outputs}, number=job.number)
