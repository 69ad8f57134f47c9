"""What waits for a stage, and the devices that it waits for."""

from __future__ import annotations

import threading
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import sleep
from typing import Final

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.records import PlaceRecord


class Turn:
    """Stands in a queue for an inference that came back to its stage: whoever meets it takes the oldest of those."""


TURN: Final = Turn()
_LEFT_TO_OTHERS_S = 0.001


@dataclass(slots=True, eq=False)
class Seat:
    """A place and what runs there.

    `held` has the inference that runs, and whoever takes it out of there decides what becomes of it: the place's own
    thread when it is done, or the watchdog when that takes too long.
    """

    place: Place
    line: Line
    record: PlaceRecord
    inbox: SimpleQueue[Job | Turn | None]
    """Its line's; a first stage's device has its own."""
    held: list[Job] = field(default_factory=list)
    since_ns: int = 0
    strikes: set[int] = field(default_factory=set)
    """Numbers of the inferences that failed here since the last that did not."""
    is_retired: bool = False


class Line:
    """The devices of a stage, and what lies between them and the stage before: a bounded queue.

    `room` holds a token for each free place of that queue. Whoever puts an inference into `inbox` takes one out, and
    whoever begins on it puts one back, with the time of that. A first stage has no queue of its own (`Source`).
    """

    __slots__ = ("_lock", "_owed", "inbox", "is_cut", "lane", "position", "returned", "room", "seats")

    def __init__(self, lane: list[Line], position: int, queue_size: int) -> None:
        self.lane, self.position = lane, position
        self.inbox: SimpleQueue[Job | Turn | None] = SimpleQueue()
        self.room: SimpleQueue[int] = SimpleQueue()
        self.returned: list[Job] = []
        self.seats: list[Seat] = []
        self.is_cut = False  # nothing can follow: a later stage has no device left
        self._lock = threading.RLock()
        self._owed = 0  # tokens of inferences that came back when the queue was full
        for _ in range(queue_size):
            self.room.put(0)

    @property
    def alive(self) -> int:
        """The number of devices that are in use."""
        return sum(not seat.is_retired for seat in self.seats)

    def turn(self, came: Job | Turn | None, seat: Seat) -> Job | None:
        """Return the inference whose turn it is at a device where one came back, given what `inbox` had.

        None is the end. One that failed at this device is left to another that is in use and may still do it.
        """
        while came is not None:
            with self._lock:
                self._settle()
                if isinstance(came, Job):
                    insort(self.returned, came, key=_number)
                for job in self.returned:
                    if job is came or suits(job, seat):
                        self.returned.remove(job)
                        return job
            self.inbox.put(TURN)
            sleep(_LEFT_TO_OTHERS_S)
            came = self.inbox.get()
        return None

    def give_back(self, job: Job) -> None:
        """Let an inference run again before all that wait."""
        with self._lock:
            self._owed += 1
            self._settle()
            insort(self.returned, job, key=_number)
        self.inbox.put(TURN)

    def _settle(self) -> None:
        """Take tokens for inferences that came back: whoever begins on them gives one, as for all others."""
        while self._owed and not self.is_cut:  # then tokens are there to let threads end
            try:
                self.room.get_nowait()
            except Empty:
                return
            self._owed -= 1

    def drain(self) -> list[Job]:
        """Take everything away that waits."""
        taken: list[Job] = []
        with self._lock:
            while True:
                try:
                    came = self.inbox.get_nowait()
                except Empty:
                    break
                if isinstance(came, Job):
                    taken.append(came)
            taken += self.returned
            self.returned.clear()
        return taken


def suits(job: Job, seat: Seat) -> bool:
    """Whether a device has not failed with an inference, or no other of its stage is left that has not."""
    failed_at = job.failed_at
    return seat.place not in failed_at or all(s.is_retired or s.place in failed_at for s in seat.line.seats)


def is_alive(lane: list[Line]) -> bool:
    """Whether every stage of a pipeline has a device."""
    return all(line.alive for line in lane)


def _number(job: Job) -> int:
    return job.number


class Source:
    """Inferences that wait for a first stage of any pipeline; of several that are idle, the lowest one gets the next.

    Reentrant, because a finaliser may end a run from within any allocation, also here.
    """

    def __init__(self, has_other: Callable[[set[int]], bool], most_under_way: int | None = None) -> None:
        """Take what tells whether there is a whole pipeline that is not among some.

        `most_under_way` is how many may have begun and not be done, if that is bounded here (`done`).
        """
        self._has_other = has_other
        self.lock = threading.RLock()
        self.waiting: deque[Job] = deque()
        self.is_stopped = False
        self.on_taken: Callable[[], None] = _nothing
        self.wants_news = False
        """Set to have `on_taken` called, once, when an inference was taken and fewer than `news_below` are left."""
        self.news_below = 1
        self._idle: list[Seat] = []
        self._most_under_way, self._under_way = most_under_way, 0
        self._is_ended = False

    def offer(self, job: Job) -> None:
        """Take an inference, last in the line."""
        with self.lock:
            self.waiting.append(job)
            if self._idle:
                self._hand_out()

    def give_back(self, job: Job) -> None:
        """Take an inference that had begun, at the place that its number gives it."""
        with self.lock:
            self._under_way -= 1
            job.tensors = job.inputs
            self.waiting.insert(sum(other.number < job.number for other in self.waiting), job)
            self._hand_out()

    def look_again(self) -> None:
        """Hand out what idle devices may take now, after others were lost."""
        with self.lock:
            self._hand_out()

    def done(self) -> None:
        """Note that one of those that had begun is done."""
        with self.lock:
            self._under_way -= 1
            self._hand_out()

    def take(self, seat: Seat, rest: Callable[[], None]) -> Job | None:
        """Return the next inference for a first stage's device, as soon as there is one; None is the end.

        `rest` is called before it waits.
        """
        with self.lock:
            job = self._next(seat)
            if job is None and self._is_ended:
                return None
            if job is None and not seat.line.is_cut:
                insort(self._idle, seat, key=_place)
        self._tell()
        if job is None:  # all that waited was taken back, so that it was worth telling, or nothing did
            rest()
            came = seat.inbox.get()
            job = came if isinstance(came, Job) else None
            self._tell()
        return job

    def drain(self, most: int | None = None) -> list[Job]:
        """Take away what waits: all, or the oldest so many."""
        with self.lock:
            return [self.waiting.popleft() for _ in range(min(len(self.waiting), most or len(self.waiting)))]

    def leave(self, seat: Seat) -> None:
        """Give a device nothing more."""
        with self.lock:
            if seat in self._idle:
                self._idle.remove(seat)

    def end(self) -> None:
        """Give nothing more to anyone."""
        with self.lock:
            self._is_ended = self.is_stopped = True
            self._idle.clear()

    def _tell(self) -> None:
        if self.wants_news and len(self.waiting) < self.news_below:
            self.wants_news = False
            self.on_taken()

    def _hand_out(self) -> None:
        for seat in [*self._idle] if self.waiting else ():
            job = self._next(seat)
            if job is not None:
                self._idle.remove(seat)
                seat.inbox.put(job)

    def _next(self, seat: Seat) -> Job | None:
        if self.is_stopped or seat.line.is_cut:
            return None
        if self._most_under_way is not None and self._under_way >= self._most_under_way:
            return None
        waiting = self.waiting
        while waiting:
            job = waiting.popleft()
            if job.failed_at and not self._suits(job, seat):
                rest = self._next(seat)
                waiting.appendleft(job)
                return rest
            if job.claim is None or job.claim():
                self._under_way += 1
                return job
        return None

    def _suits(self, job: Job, seat: Seat) -> bool:
        """Whether an inference has not failed in a device's pipeline, or can be tried nowhere else."""
        failed = {place.pipeline for place in job.failed_at}
        return seat.place.pipeline not in failed or (not self._has_other(failed) and suits(job, seat))


def _nothing() -> None:
    return


def _place(seat: Seat) -> Place:
    return seat.place
