"""The engine on the machine's time: a thread per device, and a bounded queue before each stage.

The way of an inference is in `worker`, and needs no lock but the source's. What is here happens when the run begins and
ends, and when something goes wrong.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import perf_counter_ns

from segsolve_runtime.contract.arrays import array_specs, select
from segsolve_runtime.contract.places import Place, stage_at
from segsolve_runtime.contract.runner import Reopenable
from segsolve_runtime.errors import DeviceLostError, DevicesLeftError, OutageError, StageError, StageTimeoutError
from segsolve_runtime.flow.engine import Ends, Setting
from segsolve_runtime.flow.faults import Fault, FaultKind, FaultLog, kind_of
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.line import Line, Seat, Source, is_alive
from segsolve_runtime.flow.metrics import StageView, copied
from segsolve_runtime.flow.records import PlaceRecord, SlotRecord
from segsolve_runtime.flow.routes import routes
from segsolve_runtime.flow.schedule import Slot
from segsolve_runtime.flow.watchdog import Watchdog
from segsolve_runtime.flow.worker import Post, Worker

LONGEST_JOIN_S = 2.0
"""At the end, a stage is waited for so long at least, or four times its slowest inference of late."""
_ENDS_IN_S = 0.01


class ThreadEngine:
    """Runs inferences on the runners of a setting."""

    def __init__(self, setting: Setting, ends: Ends, most_under_way: int | None = None) -> None:
        self._setting, self._policy, self._ends = setting, setting.policy, ends
        self.faults, self.failure = FaultLog(), None
        self.gives_back = self._is_closed = False
        self.source = Source(self._has_other, most_under_way)
        self.source.on_taken = ends.taken
        self._origin_ns = perf_counter_ns()
        # Reentrant, because a finaliser may close a run from within any allocation, also under its own lock.
        self._lock = threading.RLock()
        self._lanes = [_lane(setting, p) for p in range(len(setting.plan.pipelines))]
        self._seats = {seat.place: seat for lane in self._lanes for line in lane for seat in line.seats}
        self._workers: list[Worker] = []
        self._slots: list[SlotRecord] = []
        self._stranded: list[Job] = []
        self._given_up: deque[Job] = deque()
        self._pid = os.getpid()
        self._watchdog = Watchdog(self._policy.stage_timeout_s, self._check_times)
        self._running: set[int] = set()
        """Pipelines whose places are at work, as far as they are not lost."""
        self._renewing: set[int] = set()
        self._stalled_ns: int | None = None
        """Since when no pipeline is whole and all wait for a device to come back."""

    failure: StageError | None

    def start(self) -> None:
        """Start the threads of all places that are in use.

        Raises:
            DevicesLeftError: so many were lost before that no pipeline is whole.
        """
        self._setting.rejoining.listen(self)
        for place, seat in self._seats.items():
            if self._setting.lingers(place) and place not in self._setting.retired:
                self._setting.retired[place] = f"{place.describe(self._setting.plan)}: it did not end with its run"
            seat.is_retired = place in self._setting.retired
        if not any(map(is_alive, self._lanes)):
            if not any(self._comes_back(place) for place in self._setting.retired):
                raise DevicesLeftError(self._setting.retired, {})
            self._stalled_ns = self.now()
        for p, lane in enumerate(self._lanes):
            if is_alive(lane):
                self._running.add(p)
                for seat in (seat for line in lane for seat in line.seats if not seat.is_retired):
                    self._hire(seat)
        for worker in self._workers:
            worker.thread.start()
        self._watchdog.start()
        for place in [*self._setting.retired]:
            self._await(place)

    def _hire(self, seat: Seat) -> Worker:
        """Return the worker of a place, to be started."""
        plan = self._setting.plan
        specs = array_specs(plan)
        stage = stage_at(plan, seat.place)
        slots = SlotRecord(self._setting.recorded) if self._setting.recorded != 0 else None
        self._slots += [slots] if slots else []
        post = Post(
            source=self.source,
            route=routes(plan, seat.place.pipeline)[seat.place.stage],
            outputs=select(specs, stage.outputs),
            runner=self._setting.runners[seat.place],
            origin_ns=self._origin_ns,
            pace_ns=stage.prediction.time_ns if self._setting.clocks == "paced" else None,
            slots=slots,
            finish=self._ends.finish,
            fail=self._fail,
            blame=self._blame,
            refuse=self._refuse,
            strayed=self._gather,
            shared=self._setting.shared.get(seat.place),
        )
        worker = Worker(seat, post)
        self._workers = [w for w in self._workers if w.thread.ident is None or w.thread.is_alive()] + [worker]
        return worker

    def close(self) -> None:
        """Let every place end its current inference, and join its thread; one that hangs is left alone."""
        with self._lock:  # nothing begins any more
            self._is_closed = True
        self._setting.rejoining.leave(self)
        self.source.end()
        for worker in self._workers:
            line = worker.seat.line
            line.is_cut = True
            line.drain()
        for worker in self._workers:
            worker.seat.inbox.put(None)
            for following in worker.seat.line.lane[worker.seat.line.position + 1 :][:1]:
                following.room.put(0)
        self._watchdog.end()
        # The garbage collector may close an abandoned run from within a worker, which cannot wait for itself or others.
        if self._pid != os.getpid() or threading.current_thread() in (worker.thread for worker in self._workers):
            return
        self._join()
        self._watchdog.join()

    def _join(self) -> None:
        deadline_ns = perf_counter_ns() + self._patience_s() * 1e9
        for worker in self._workers:
            thread, place = worker.thread, worker.seat.place
            if thread.is_alive() and place not in self._setting.lingering:
                thread.join(max(0.0, (deadline_ns - perf_counter_ns()) / 1e9))
                if thread.is_alive() and self._abandon(place):
                    thread.join(LONGEST_JOIN_S)
                if thread.is_alive():
                    self._setting.lingering[place] = thread

    def _abandon(self, place: Place) -> bool:
        """End what hangs at a place, if that can be done."""
        runner = self._setting.runners[place]
        if isinstance(runner, Reopenable):
            runner.abandon()
            return True
        return False

    def now(self) -> int:
        """Return the ns since the run began."""
        return perf_counter_ns() - self._origin_ns

    def offer(self, job: Job) -> None:
        """Take an inference."""
        self.source.offer(job)
        if self.failure is not None:  # it came at the moment when everything ended
            self._sweep()
            self._flush()

    def has_room(self) -> bool:
        """Whether fewer inferences wait for a first stage than may."""
        return len(self.source.waiting) < self._setting.queue_size

    def waiting(self) -> int:
        """Return how many wait for a first stage."""
        return len(self.source.waiting)

    def is_drained(self, undone: int) -> bool:
        """Whether, where it is to be given back, nothing moves any more of so many that are not done."""
        with self._lock:
            return self.gives_back and undone <= len(self._stranded) + len(self.source.waiting)

    def tell_when_taken(self, below: int) -> None:
        """Tell, once, when an inference has begun and fewer than so many wait."""
        self.source.news_below = below
        self.source.wants_news = True

    def done(self) -> None:
        """Note that the result of one was taken, where that makes room."""
        self.source.done()

    def withdraw(self, most: int) -> list[Job]:
        """Take inferences away that have not begun, the oldest first."""
        return self.source.drain(most)

    def stages(self) -> Sequence[StageView]:
        """Return what the stages' records say now."""
        return [_view(p, line) for p, lane in enumerate(self._lanes) for line in lane]

    def slots(self) -> list[Slot]:
        """Return which inference ran where and when, as far as that is recorded."""
        return [slot for record in self._slots for slot in [*record.slots]]

    def _fail(self, seat: Seat, job: Job, cause: BaseException) -> bool:
        """Deal with an inference that raised, in the place's thread; say whether the place goes on."""
        try:
            seat.held.pop()
        except IndexError:  # it took too long, and is done elsewhere
            return False
        now = self.now()
        seat.record.ran(seat.since_ns, now, counts=False)
        if self._is_closed:
            return True
        with self._lock:
            self._handle(seat, job, cause, now)
        self._flush()
        return not seat.is_retired

    def _check_times(self, timeout_ns: int) -> None:
        """Give up places that have been at an inference for too long."""
        for seat in self._seats.values():
            if not seat.held or self.now() - seat.since_ns <= timeout_ns or self._is_closed:
                continue
            with self._lock:
                try:
                    job = seat.held.pop()
                except IndexError:
                    continue
                if (shared := self._setting.shared.get(seat.place)) is not None:
                    shared.release(seat)
                now = self.now()
                self._setting.lingering.update({w.seat.place: w.thread for w in self._workers if w.seat is seat})
                seat.record.ran(seat.since_ns, now, counts=False)
                self._handle(seat, job, StageTimeoutError(f"it took longer than {timeout_ns / 1e9:g} s"), now)
            self._abandon(seat.place)
            self._flush()

    def _handle(self, seat: Seat, job: Job, cause: BaseException, now: int) -> None:
        """Deal with what went wrong at a place, as the policy says."""
        policy, kind = self._policy, kind_of(cause)
        where = seat.place.describe(self._setting.plan)
        error = StageError(seat.place, job.number, cause, where=where)
        job.failures += kind is not FaultKind.LOST or policy.tries == 1 or policy.rejoins
        job.failed_at += (seat.place,)
        is_gone = kind is not FaultKind.RAISED
        message = f"{type(cause).__name__}: {cause}"
        self.faults.add(
            Fault(kind=kind, place=seat.place, inference=job.number, at_ns=now, message=message, retired=is_gone)
        )
        if policy.on_fault == "stop":
            self.failure = self.failure or error
            self.source.is_stopped = True
        if is_gone and policy.on_fault == "give-back":
            self.gives_back = self.source.is_stopped = True
        if is_gone:
            self._retire(seat, f"{where}: {cause}", error)
        if policy.on_fault == "stop" or job.failures >= policy.tries:
            self._give_up(job, error)
        else:
            self._again(seat, job, error)
        if policy.on_fault == "stop":
            for waiting in self.source.drain():
                self._give_up(waiting, error)

    def _blame(self, job: Job) -> None:
        """Note that an inference that failed at a device is done: that many did says that the device is to blame.

        Not one that failed on several, and not the last device that there is: it may be the frames.
        """
        with self._lock:
            seat, lane = self._seats[job.failed_at[0]], self._seats[job.failed_at[0]].line.lane
            if len({*job.failed_at}) > 1 or seat.is_retired or self._is_closed:
                return
            seat.strikes.add(job.number)
            if len(seat.strikes) < self._policy.strikes:
                return
            if seat.line.alive < 2 and not any(other is not lane and is_alive(other) for other in self._lanes):
                return
            cause = DeviceLostError(f"{len(seat.strikes)} inferences failed there that are done elsewhere")
            where = seat.place.describe(self._setting.plan)
            self.faults.retired(seat.place)
            if self._policy.on_fault == "give-back":
                self.gives_back = self.source.is_stopped = True
            error = StageError(seat.place, job.number, cause, where=where)
            self._retire(seat, f"{where}: {cause}", error, comes_back=False)
        self._flush()

    def _refuse(self, seat: Seat, job: Job) -> None:
        """Take an inference back from a place that is out of use."""
        with self._lock:
            if seat.line.position == 0:
                self.source.give_back(job)
            elif seat.line.alive:
                seat.line.give_back(job)
            else:
                self._strand(job, self._lost_error)
        self._flush()

    def _again(self, seat: Seat, job: Job, error: StageError) -> None:
        """Let an inference run again: where it has not failed yet, if there is such a place, else at its own."""
        line, failed_at = seat.line, {*job.failed_at}
        has_failed_everywhere = all(other.is_retired or other.place in failed_at for other in line.seats)
        if self._stalled_ns is None and not all(each.alive for each in line.lane[line.position :]):
            self._strand(job, error)
        elif line.position == 0 or (
            has_failed_everywhere and not self.gives_back and self._has_other({place.pipeline for place in failed_at})
        ):
            self.source.give_back(job)
        else:
            line.give_back(job)

    def _has_other(self, pipelines: set[int]) -> bool:
        """Whether another pipeline than these is whole."""
        return any(p not in pipelines and is_alive(lane) for p, lane in enumerate(self._lanes))

    def _retire(self, seat: Seat, why: str, error: StageError, *, comes_back: bool = True) -> None:
        """Use a place no more, or not until it is back.

        What waits for a stage without any place goes to the other pipelines, if one is whole.
        """
        if seat.is_retired:
            return
        seat.is_retired = True
        self._setting.retired[seat.place] = why
        self.source.leave(seat)
        if comes_back:
            self._await(seat.place)
        line = seat.line
        if line.alive:
            self.source.look_again()
            return
        self._lost_error = error
        if not any(map(is_alive, self._lanes)) and comes_back and self._comes_back(seat.place):
            self._stalled_ns = self.now() if self._stalled_ns is None else self._stalled_ns
            return
        self._cut(line, error)

    def _cut(self, line: Line, error: StageError) -> None:
        """Give up a pipeline, of which a stage has no place any more."""
        self._running.discard(line.lane[0].seats[0].place.pipeline)
        if not any(map(is_alive, self._lanes)):
            self.failure = self.failure or error
            self.source.is_stopped = True
        for other in line.lane[0].seats:
            self.source.leave(other)
        for before in line.lane[: line.position]:
            before.is_cut = True
        for each in line.lane[1 : line.position + 1]:
            for _ in line.lane[each.position - 1].seats:  # what is blocked there must not wait for ever
                each.room.put(0)
        self._sweep(line)
        self.source.look_again()

    def _comes_back(self, place: Place) -> bool:
        """Whether a lost place is tried again."""
        return self._policy.rejoins and isinstance(self._setting.runners[place], Reopenable)

    def _await(self, place: Place) -> None:
        runner = self._setting.runners[place]
        if self._comes_back(place) and isinstance(runner, Reopenable):
            self._setting.rejoining.begin(place, runner)

    def may_reopen(self, place: Place) -> bool:
        """Whether the thread that lost a place is done with it."""
        seat = self._seats[place]
        return not self._setting.lingers(place) and not any(
            w.thread.is_alive() for w in self._workers if w.seat is seat
        )

    def still_lost(self, place: Place) -> None:
        """Fail, after patience, where no pipeline is whole."""
        with self._lock:
            since, patience_s = self._stalled_ns, self._policy.rejoin_s
            if since is None or patience_s is None or self._is_closed or self.now() - since < patience_s * 1e9:
                return
            self._stalled_ns = None
            why = self._setting.retired.get(place, "lost")
            cause = OutageError(f"no pipeline was whole for {patience_s:g} s: {why}")
            error = StageError(place, 0, cause, where=place.describe(self._setting.plan))
            self._lost_error = error
            for dead in ([line for line in lane if not line.alive] for lane in self._lanes):
                if dead:
                    self._cut(dead[-1], error)
        self._flush()

    def rejoin(self, place: Place, accepted: Callable[[], None]) -> bool:
        """Use a place again, after calling `accepted`; False if the run is over."""
        with self._lock:
            if self._is_closed:
                return False
            accepted()
            seat = self._seats[place]
            lane = seat.line.lane
            seat.is_retired = False
            self._setting.retired.pop(place, None)
            self._setting.lingering.pop(place, None)
            self.faults.rejoined()
            is_running = place.pipeline in self._running
            if is_running:
                seat.record.free_ns = self.now()
                self._hire(seat).thread.start()
            renews = not is_running and is_alive(lane) and place.pipeline not in self._renewing
            self._renewing |= {place.pipeline} if renews else set()
        if renews:
            self._renew(place.pipeline)
        self._go_on()
        return True

    def _renew(self, pipeline: int) -> None:
        """Begin anew with a pipeline that was given up: its threads end, and others begin."""
        old = self._lanes[pipeline]
        seats = [seat for line in old for seat in line.seats]
        for line in old:
            line.is_cut = True
        for seat in seats:
            self.source.leave(seat)
        waits_for = [worker for worker in self._workers if any(worker.seat is seat for seat in seats)]
        while left := [worker for worker in waits_for if worker.thread.is_alive()]:
            for worker in left:  # it may wait for an inference, or for room
                worker.seat.inbox.put(None)
                for following in old[worker.seat.line.position + 1 :][:1]:
                    following.room.put(0)
            left[0].thread.join(_ENDS_IN_S)
        with self._lock:
            self._renewing.discard(pipeline)
            for line in old[1:]:
                for job in line.drain():
                    self._strand(job, self._lost_error)
            if self._is_closed or self.failure is not None or not is_alive(old):
                return
            lane = _lane(self._setting, pipeline)
            for line, before in zip(lane, old, strict=True):
                for seat, known in zip(line.seats, before.seats, strict=True):
                    seat.record, seat.is_retired = known.record, known.is_retired
                    seat.record.free_ns = self.now()
                    self._seats[seat.place] = seat
            self._lanes[pipeline] = lane
            self._running.add(pipeline)
            workers = [self._hire(seat) for line in lane for seat in line.seats if not seat.is_retired]
            for worker in workers:
                worker.thread.start()

    def _go_on(self) -> None:
        """Let what waited for a device go on: where its pipeline is whole again, or else in another that is."""
        with self._lock:
            if not any(is_alive(self._lanes[p]) for p in self._running):
                return
            self._stalled_ns = None
            for p in [*self._running]:
                dead = [line for line in self._lanes[p] if not line.alive]
                if dead:
                    self._cut(dead[-1], self._lost_error)
        self.source.look_again()
        self._flush()

    def _gather(self, line: Line) -> None:
        """Take back what was put where nothing takes it."""
        if not self._is_closed:
            with self._lock:
                dead = [each for each in line.lane if not each.alive]
                if dead:
                    self._sweep(dead[-1])
            self._flush()

    def _sweep(self, line: Line | None = None) -> None:
        """Find another way for what waits for a stage without devices, or before it; and for what cannot begin."""
        with self._lock:
            for each in line.lane[1 : line.position + 1] if line else ():
                for job in each.drain():
                    self._strand(job, self._lost_error)
            if self.failure is not None and not self.gives_back:
                for job in self.source.drain():
                    self._give_up(job, self.failure)

    def _strand(self, job: Job, error: StageError) -> None:
        """Let an inference begin again in another pipeline, if there is one or will be."""
        if self.gives_back:
            self._stranded.append(job)
        elif self._policy.keeps_inputs and (any(map(is_alive, self._lanes)) or self._stalled_ns is not None):
            self.source.give_back(job)
        else:
            self._give_up(job, error)

    def _give_up(self, job: Job, error: StageError) -> None:
        """End an inference with an error, its own or that of the one that took the way from it."""
        job.error = error
        self._given_up.append(job)

    def _flush(self) -> None:
        """Tell the run what was given up, without the lock: what waits for a future runs here."""
        while self._given_up:
            self._ends.finish(self._given_up.popleft())
        self._ends.stir()

    def _patience_s(self) -> float:
        """Return how long an inference that is not hung may take."""
        slowest_ns = max((max(copied(seat.record.times_ns), default=0) for seat in self._seats.values()), default=0)
        return min(self._policy.stage_timeout_s or 1e9, max(LONGEST_JOIN_S, 4 * slowest_ns / 1e9))

    _lost_error: StageError


def _lane(setting: Setting, pipeline: int) -> list[Line]:
    lane: list[Line] = []
    for k, stage in enumerate(setting.plan.pipelines[pipeline].stages):
        line = Line(lane, k, setting.queue_size)
        for r in range(stage.replicas):
            place = Place(pipeline, k, r)
            line.seats.append(Seat(place, line, PlaceRecord(place), line.inbox if k else SimpleQueue()))
        lane.append(line)
    return lane


def _view(pipeline: int, line: Line) -> StageView:
    return StageView(
        pipeline=pipeline,
        stage=line.position,
        records=[seat.record for seat in line.seats],
        retired=sum(seat.is_retired for seat in line.seats),
        waited_ns=sum(seat.record.waited_ns for seat in line.seats),
        queue_max=max(seat.record.queue_most for seat in line.seats),
        queue_now=line.inbox.qsize(),
    )
