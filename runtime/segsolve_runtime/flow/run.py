"""One use of a pipeline: its threads, its records, and what happens when a place reports."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.places import Place, places, stage_at
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import DeviceLostError, DevicesLeftError, StageError, StageTimeoutError
from segsolve_runtime.flow.clock import ClockFactory, Report
from segsolve_runtime.flow.dispatch import Dispatcher, Seat
from segsolve_runtime.flow.faults import Fault, FaultKind, FaultPolicy
from segsolve_runtime.flow.job import Job, Outcome
from segsolve_runtime.flow.lanes import lanes_of
from segsolve_runtime.flow.limits import most_under_way
from segsolve_runtime.flow.metrics import Metrics, metrics_of
from segsolve_runtime.flow.records import FlowRecord, SlotRecord
from segsolve_runtime.flow.routes import routes
from segsolve_runtime.flow.watchdog import Watchdog
from segsolve_runtime.flow.worker import Worker

_MOST_FAULTS = 1_000
LONGEST_WAIT_S = 0.5
"""A caller's wait is begun anew so often: a signal (Ctrl-C) that comes just before it would wait for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all runs of a pipeline share. `retired` are the places that were lost in earlier runs, and why."""

    plan: Plan
    runners: Mapping[Place, StageRunner]
    clocks: ClockFactory
    queue_size: int
    policy: FaultPolicy
    recorded: int | None
    retired: dict[Place, str]
    hung: set[Place] = field(default_factory=set)


class Run(ABC):
    """The threads of all places while they serve one caller; made for one use."""

    def __init__(self, setting: Setting, *, keeps_order: bool) -> None:
        plan = setting.plan
        self._setting, self._policy = setting, setting.policy
        self._outputs = tuple(plan.outputs)
        self._clock = setting.clocks({place: stage_at(plan, place).prediction.time_ns for place in places(plan)})
        self._dispatch = Dispatcher(
            [[stage.replicas for stage in pipeline.stages] for pipeline in plan.pipelines],
            setting.queue_size,
            most_under_way(plan, setting.queue_size, keeps_order=keeps_order),
        )
        if self._clock.is_virtual and plan.device.link_ns_per_mib:
            self._dispatch.share_link(lanes_of(plan))
        # Reentrant, because a finaliser may close a run from within any allocation, also under its own lock.
        self._changed = threading.Condition(threading.RLock())
        self._flow, self._slots = FlowRecord(), SlotRecord(setting.recorded)
        self._faults: deque[Fault] = deque(maxlen=_MOST_FAULTS)
        self._fault_counts = dict.fromkeys(FaultKind, 0)
        self._workers: dict[Place, Worker] = {}
        self._is_closed = False
        self._next_number = 0
        self._watchdog = Watchdog(self._policy.stage_timeout_s, self._check_times)

    def start(self) -> None:
        """Start the threads of all places that are in use.

        Raises:
            DevicesLeftError: so many were lost before that no pipeline is whole.
        """
        known = {p: routes(self._setting.plan, p) for p in range(len(self._setting.plan.pipelines))}
        for place in self._setting.retired:
            self._dispatch.retire(self._dispatch.seats[place], 0)
        if self._dispatch.is_exhausted:
            raise DevicesLeftError(self._setting.retired, {})
        for place, runner in self._setting.runners.items():
            if place not in self._setting.retired:
                route = known[place.pipeline][place.stage]
                self._workers[place] = Worker(place, route, runner, self._clock, self._take_report)
        for worker in self._workers.values():
            worker.thread.start()
        self._watchdog.start()

    def close(self) -> None:
        """Let every place end its current inference, and join its thread; one that hangs is left alone."""
        self._is_closed = True
        for worker in self._workers.values():
            worker.end()
        self._watchdog.end()
        with self._changed:
            self._changed.notify_all()
        threads = [worker.thread for place, worker in self._workers.items() if place not in self._setting.hung]
        # The garbage collector may close an abandoned run from within a worker, which cannot wait for itself or others.
        if threading.current_thread() not in (worker.thread for worker in self._workers.values()):
            for thread in threads:
                if thread.is_alive():  # one whose start was interrupted cannot be joined, and ends by itself
                    thread.join(self._policy.stage_timeout_s)
            self._watchdog.join()

    def hangs(self, place: Place) -> bool:
        """Tell whether a place's thread could not be joined, so that its runner must be left alone."""
        worker = self._workers.get(place)
        return place in self._setting.hung or (worker is not None and worker.thread.is_alive())

    def metrics(self) -> Metrics:
        """Return what was measured so far."""
        with self._changed:
            return metrics_of(
                now_ns=self._clock.now(),
                flow=self._flow,
                lanes=self._dispatch.lanes,
                waiting=len(self._dispatch.source),
                seats=tuple(self._dispatch.seats.values()),
                slots=self._slots.slots,
                faults=tuple(self._faults),
                fault_counts=dict(self._fault_counts),
            )

    @abstractmethod
    def _release(self, job: Job, outcome: Outcome) -> None:
        """Take what came of an inference, under the lock."""

    @abstractmethod
    def _fail(self, error: StageError) -> None:
        """Take note, under the lock, that nothing more will come because of an error."""

    @abstractmethod
    def _give_back(self) -> None:
        """Take note, under the lock, that devices were lost and that what is not done is to be given back."""

    @abstractmethod
    def _concerns_caller(self) -> bool:
        """Tell whether a caller that waits has something to do; to wake it for nothing costs time."""

    def _may_bring_more(self) -> bool:
        """Tell whether a frame could still come at the present time of a virtual clock."""
        return False

    def _after_report(self) -> None:
        """Do what has to be done without the lock."""
        return

    def _accept(self, tensors: Tensors) -> Job:
        """Take a frame, under the lock; `_pump` is to follow."""
        now = self._clock.now()
        kept = tensors if self._policy.keeps_inputs else {}
        job = Job(number=self._next_number, inputs=kept, tensors=tensors, accepted_ns=now)
        self._next_number += 1
        self._flow.accept(now)
        self._dispatch.source.append(job)
        return job

    def _has_room(self) -> bool:
        return len(self._dispatch.source) < self._setting.queue_size

    def _take_report(self, report: Report) -> None:
        """Take a place's report, in the place's thread."""
        with self._changed:
            self._clock.add(report)
            self._pump()
            if self._concerns_caller():
                self._changed.notify_all()
        self._after_report()

    def _pump(self) -> None:
        """Let everything happen that can happen now."""
        while True:
            report = self._clock.due()
            if report is None:
                if self._clock.is_waiting():
                    return
                if self._dispatch.start_next(self._clock.now()):
                    self._carry_out()
                    continue
                if self._may_bring_more():
                    return
                opens_ns = self._dispatch.opens_ns()
                if opens_ns is not None and self._clock.skip(opens_ns):
                    continue
                if (report := self._clock.advance()) is None:
                    return
            self._apply(report)
            self._carry_out()

    def _carry_out(self) -> None:
        dispatch = self._dispatch
        if dispatch.is_exhausted and not dispatch.is_stopped:
            dispatch.is_stopped = True
            self._fail(self._latest_error)
        for seat, job in dispatch.starts:
            self._clock.begin(seat.place, job)
            self._workers[seat.place].send(job)
        dispatch.starts.clear()
        for job, outcome in dispatch.released:
            job.ready_ns = self._clock.now()
            self._release(job, outcome)
        dispatch.released.clear()

    def _apply(self, report: Report) -> None:
        seat, now = self._dispatch.seats[report.place], self._clock.now()
        if seat.job is not report.job or seat.is_retired:
            return  # it took too long, and was done elsewhere
        failed = isinstance(report.outcome, BaseException)
        seat.record.ran(report.start_ns, report.end_ns, counts=not failed)
        if isinstance(report.outcome, BaseException):
            self._handle_fault(seat, report.outcome, now)
            return
        self._slots.add(report.place, report.job.number, report.start_ns, report.end_ns)
        self._dispatch.finish(seat, report.outcome, now)

    def _handle_fault(self, seat: Seat, cause: BaseException, now: int) -> None:
        """Deal with what went wrong at a place, as the policy says."""
        job, policy = seat.job, self._policy
        assert job is not None
        seat.strikes += 1
        kind = _kind(cause)
        is_gone = kind is not FaultKind.RAISED or (policy.keeps_inputs and seat.strikes >= policy.strikes)
        job.failures += kind is not FaultKind.LOST
        where = seat.place.describe(self._setting.plan)
        error = self._latest_error = StageError(seat.place, job.number, cause, where=where)
        self._note(seat, kind, job, cause, is_gone, now)
        if is_gone:
            self._setting.retired[seat.place] = f"{where}: {cause}"
        if policy.on_fault == "stop":
            self._dispatch.is_stopped = True
            self._dispatch.give_up(seat, error, now)
            if is_gone:  # what waits for this place can have no result any more
                self._fail(error)
            return
        if is_gone:
            self._dispatch.retire(seat, now)
        if job.failures >= policy.attempts:
            self._dispatch.give_up(seat, error, now)
        else:
            self._dispatch.again(seat, now)
        if is_gone and policy.on_fault == "give-back":
            self._dispatch.is_stopped = True
            self._give_back()

    def _note(self, seat: Seat, kind: FaultKind, job: Job, cause: BaseException, retired: bool, now: int) -> None:
        self._fault_counts[kind] += 1
        message = f"{type(cause).__name__}: {cause}"
        self._faults.append(
            Fault(kind=kind, place=seat.place, inference=job.number, at_ns=now, message=message, retired=retired)
        )

    def _check_times(self, timeout_ns: int) -> None:
        """Give up places that have been at an inference for too long."""
        with self._changed:
            now = self._clock.now()
            for seat in self._dispatch.seats.values():
                if seat.is_running and not seat.is_retired and now - seat.since_ns > timeout_ns:
                    cause = StageTimeoutError(f"it took longer than {timeout_ns / 1e9:g} s")
                    self._setting.hung.add(seat.place)
                    seat.record.ran(seat.since_ns, now, counts=False)
                    self._handle_fault(seat, cause, now)
                    self._carry_out()
            self._pump()
            self._changed.notify_all()
        self._after_report()

    _latest_error: StageError


def _kind(cause: BaseException) -> FaultKind:
    if isinstance(cause, StageTimeoutError):
        return FaultKind.HUNG
    return FaultKind.LOST if isinstance(cause, DeviceLostError) else FaultKind.RAISED
