"""One place at work, in a thread of its own: takes, runs and hands on, until there is nothing more to come.

This is where a pipeline's own time goes, so the loop is written out, and all that is about faults is elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import perf_counter_ns, sleep
from typing import Any, TypeVar

import numpy as np

from segsolve_runtime.contract.arrays import ArraySpec, misfit
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.line import Line, Seat, Source
from segsolve_runtime.flow.records import SlotRecord
from segsolve_runtime.flow.routes import Route
from segsolve_runtime.flow.sharing import Resident

THREAD_NAME = "segsolve-stage-"
Waiting = TypeVar("Waiting")
LATE_NS = 200_000_000
"""What a busy machine may be late and make up for; an inference that ends later was due so long before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a worker works on and with.

    `pace_ns` is what an inference takes at least, if it is held to that; `slots` are None where none are kept. `finish`
    takes an inference that has passed its last stage, `blame` one before that if it failed somewhere on its way, `fail`
    one that failed here, with the exception: it says whether the place goes on. `refuse` takes one back that came to a
    place out of use. `strayed` is called after a result was put where nothing takes it. Where the device is `shared`
    with other pipelines, an inference waits for it, and what waits for anything else does not keep it.
    """

    source: Source
    route: Route
    outputs: tuple[ArraySpec, ...]
    runner: StageRunner
    origin_ns: int
    pace_ns: int | None
    slots: SlotRecord | None
    finish: Callable[[Job], None]
    blame: Callable[[Job], None]
    fail: Callable[[Seat, Job, BaseException], bool]
    refuse: Callable[[Seat, Job], None]
    strayed: Callable[[Line], None]
    shared: Resident | None = None


class Worker:
    """Runs what comes to one place.

    Paced, it reckons with the time when things were due, not with the time when a thread woke up: where the machine is
    late, the next inference has that much less time to wait, and what is late does not add up. `Job.put_ns`, and the
    tokens of `Line.room`, are such times then.
    """

    def __init__(self, seat: Seat, post: Post) -> None:
        self.seat, self._post = seat, post
        place = seat.place
        # As a daemon, it cannot keep a program alive that never closed its pipeline, or whose device hangs.
        name = f"{THREAD_NAME}{place.pipeline}.{place.stage}.{place.replica}"
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)

    def _work(self) -> None:
        try:
            self._loop()
        finally:
            self._rest()

    def _rest(self) -> None:
        """Keep no device that others want."""
        if self._post.shared is not None:
            self._post.shared.release(self.seat)

    def _loop(self) -> None:  # noqa: PLR0912, PLR0915
        seat, post = self.seat, self._post
        line, record, held, place = seat.line, seat.record, seat.held, seat.place
        source, route, run, outputs = post.source, post.route, post.runner.run, post.outputs
        origin, pace_ns, slots, strikes = post.origin_ns, post.pace_ns, post.slots, seat.strikes
        takes, keeps, makes = route.takes, route.keeps, len(outputs)
        keeps_made, takes_all = route.keeps_made, route.takes_all
        is_first, returned, vacate = line.position == 0, line.returned, line.room.put
        waiting = line.inbox.qsize
        following = line.lane[line.position + 1] if line.position + 1 < len(line.lane) else None
        finish, times, due_free, shared, rest = post.finish, record.times_ns, 0, post.shared, self._rest
        get = _resting(line.inbox, rest) if shared else line.inbox.get
        into: Callable[[Job], None] | None = None
        room: Callable[[], int] | None = None
        if following is not None:
            into, room = following.inbox.put, _resting(following.room, rest) if shared else following.room.get
        while True:
            if is_first:
                if (job := source.take(seat, rest)) is None:
                    return
                start = perf_counter_ns() - origin
            else:
                came = get()
                if returned or came.__class__ is not Job:
                    rest()
                    if (came := line.turn(came, seat)) is None:
                        return
                job = came
                start = perf_counter_ns() - origin
                depth = waiting()
                if (waited := (record.free_ns if pace_ns is None else due_free) - job.put_ns) > 0:
                    record.waited_ns += waited
                    depth += 1
                record.queue_most = max(record.queue_most, depth)
                if pace_ns is None:
                    vacate(start)
            if seat.is_retired:
                rest()
                post.refuse(seat, job)
                return
            if shared is not None:
                shared.acquire(seat)
                start = perf_counter_ns() - origin
            if pace_ns is not None:
                begin = max(job.put_ns, due_free)
                if shared is not None:
                    begin = max(begin, shared.device.free_ns - origin)
                if not is_first:
                    vacate(begin)
                start = max(min(start, max(begin, job.ready_ns)), record.free_ns)
            seat.since_ns = start
            held.append(job)
            tensors = job.tensors
            try:
                made = run(tensors if takes_all else {name: tensors[name] for name in takes})
                for spec in outputs:
                    array: Any = made[spec.name]
                    if array.__class__ is not np.ndarray or array.dtype != spec.dtype or array.shape != spec.shape:
                        raise misfit(spec, array)
                if not keeps_made or len(made) != makes:
                    made = {name: made[name] if name in made else tensors[name] for name in keeps}
            except BaseException as cause:  # a thread that died silently would leave the caller waiting
                rest()
                if not post.fail(seat, job, cause):
                    return
                continue
            end = perf_counter_ns() - origin
            if pace_ns is not None:
                due = begin + pace_ns
                if end <= due:
                    sleep((due - end) / 1e9)
                    end = perf_counter_ns() - origin
                else:
                    record.late += 1
                    due = max(due, end - LATE_NS)
            if shared is not None:
                if pace_ns is not None:
                    shared.device.free_ns = due + origin
                has_next = source.waiting if is_first else waiting()
                shared.release(seat, goes_on=bool(has_next) and (following is None or not following.room.empty()))
            try:
                held.pop()
            except IndexError:  # it took too long, and is done elsewhere
                return
            record.inferences += 1
            record.busy_ns += end - start
            if start > record.free_ns:
                record.starved_ns += start - record.free_ns
            times.append(end - start)
            if slots is not None:
                slots.add(place, job.number, start, end)
            if strikes:
                strikes.clear()
            job.tensors, job.ready_ns = made, end
            if room is None or into is None:
                record.free_ns = end
                if pace_ns is not None:
                    due_free = due
                if job.failed_at:
                    post.blame(job)
                finish(job)
                continue
            free = room()
            record.free_ns = at = perf_counter_ns() - origin
            record.blocked_ns += at - end
            if pace_ns is not None:
                due_free = at = max(due, free)
            job.put_ns = at
            into(job)
            if line.is_cut:
                post.strayed(line)


def _resting(queue: SimpleQueue[Waiting], rest: Callable[[], None]) -> Callable[[], Waiting]:
    """Return what takes from a queue, and calls `rest` before it waits.

    What was there when the device was kept may be gone: another copy took it, or it was cancelled.
    """

    def take() -> Waiting:
        try:
            return queue.get_nowait()
        except Empty:
            rest()
            return queue.get()

    return take
