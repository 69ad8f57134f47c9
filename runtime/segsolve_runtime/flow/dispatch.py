"""Who does what next: the state of all pipelines, without threads, clocks or locks of its own.

Inferences wait in one queue for all pipelines, and in a bounded one before each later stage. A device that finds the
next queue full keeps its result, and itself, until the next stage takes an inference. `schedule` says the same in
formulas, for stages that always take the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.job import Job, Outcome
from segsolve_runtime.flow.link import Gate, intervals
from segsolve_runtime.flow.records import DepthRecord, PlaceRecord
from segsolve_runtime.flow.schedule import Lane


@dataclass(slots=True, eq=False)
class Seat:
    """A place and what runs there; `is_running` ends with the work, `job` when the result is handed on."""

    place: Place
    line: Line
    record: PlaceRecord
    job: Job | None = None
    is_running: bool = False
    is_retired: bool = False
    since_ns: int = 0
    strikes: int = 0


@dataclass(slots=True, eq=False)
class Line:
    """The devices of one stage, and what waits for them: `queue`, and results `blocked` on their way out."""

    lane: list[Line]
    position: int
    queue: deque[Job] = field(default_factory=deque)
    idle: deque[Seat] = field(default_factory=deque)
    blocked: deque[Seat] = field(default_factory=deque)
    depth: DepthRecord = field(default_factory=DepthRecord)
    alive: int = 0
    gate: Gate | None = None

    @property
    def following(self) -> Line | None:
        """The next stage's line."""
        return self.lane[self.position + 1] if self.position + 1 < len(self.lane) else None


class Dispatcher:
    """Gives inferences to places. What it decides is read from `starts` and `released`, and cleared, by its owner."""

    def __init__(self, replicas: Sequence[Sequence[int]], queue_size: int, most_under_way: int) -> None:
        """Take the number of replicas of each stage of each pipeline."""
        self.source: deque[Job] = deque()
        self.starts: list[tuple[Seat, Job]] = []
        self.released: list[tuple[Job, Outcome]] = []
        self.under_way = 0
        self.is_stopped = False
        self._queue_size, self._most_under_way = queue_size, most_under_way
        self._on_link: Sequence[Lane] = ()
        self.lanes: list[list[Line]] = [_lane(p, counts) for p, counts in enumerate(replicas)]
        self.seats = {seat.place: seat for lane in self.lanes for line in lane for seat in line.idle}

    @property
    def is_exhausted(self) -> bool:
        """Whether no pipeline is left that can run an inference."""
        return not any(map(_is_alive, self.lanes))

    def share_link(self, lanes: Sequence[Lane]) -> None:
        """Let each pipeline begin no more often than the link allows that all of them share, as far as they are left.

        `lanes` are the pipelines as they were when nothing was lost.
        """
        self._on_link = lanes
        left = [p for p, lane in enumerate(self.lanes) if _is_alive(lane)]
        counts = {p: tuple(line.alive for line in self.lanes[p]) for p in left}
        found = intervals([replace(lanes[p], replicas=counts[p]).load for p in left])
        for p, interval in zip(left, found, strict=True):
            self.lanes[p][0].gate = Gate(interval) if interval != 0 else None

    def opens_ns(self) -> int | None:
        """Return when the link lets a free first stage begin what waits; None if that is not what it waits for."""
        if not self._on_link or self.is_stopped or not self.source or self.under_way >= self._most_under_way:
            return None
        gates = [lane[0].gate for lane in self.lanes if lane[0].idle and _is_alive(lane)]
        return min((gate.opens_ns for gate in gates if gate and not gate.is_shut), default=None)

    def start_next(self, now: int) -> bool:
        """Start the oldest waiting inference if a pipeline's first stage is free; say whether one was started."""
        if self.is_stopped or not self.source or self.under_way >= self._most_under_way:
            return False
        for lane in self.lanes:
            if lane[0].idle and _is_alive(lane) and (lane[0].gate is None or lane[0].gate.lets_through(now)):
                self.under_way += 1
                self._start(lane[0].idle.popleft(), self.source.popleft(), now)
                return True
        return False

    def finish(self, seat: Seat, made: Tensors, now: int) -> None:
        """Hand on what a place made."""
        job, seat.is_running, seat.strikes = seat.job, False, 0
        assert job is not None
        job.tensors = made
        following = seat.line.following
        if not _is_alive(seat.line.lane):
            self._restart(job)
        elif following is None:
            self.released.append((job, made))
        elif following.idle:
            self._start(following.idle.popleft(), job, now)
        elif len(following.queue) < self._queue_size:
            following.queue.append(job)
            following.depth.change(len(following.queue), now)
        else:
            seat.line.blocked.append(seat)
            return
        self._vacate(seat, now)

    def give_up(self, seat: Seat, error: BaseException, now: int) -> None:
        """End a place's inference with an error."""
        job = self._leave(seat)
        self.released.append((job, error))
        self._vacate(seat, now)

    def again(self, seat: Seat, now: int) -> None:
        """Run a place's inference again, elsewhere if another place is free; the place itself is free afterwards."""
        job, line = self._leave(seat), seat.line
        if not _is_alive(line.lane):
            self._restart(job)
        elif line.idle:
            self._start(line.idle.popleft(), job, now)
        else:
            line.queue.appendleft(job)
            line.depth.change(len(line.queue), now)
        self._vacate(seat, now)

    def retire(self, seat: Seat, now: int) -> None:
        """Use a place no more; a pipeline without any place for a stage gives its inferences back to the others."""
        if seat.is_retired:
            return
        seat.is_retired = True
        if seat in seat.line.idle:
            seat.line.idle.remove(seat)
        seat.line.alive -= 1
        if not seat.line.alive:
            self._dissolve(seat.line.lane, now)
        if self._on_link:
            self.share_link(self._on_link)

    def drop_oldest(self) -> Job | None:
        """Take the inference away that has waited longest for a first stage."""
        return self.source.popleft() if self.source else None

    def _start(self, seat: Seat, job: Job, now: int) -> None:
        seat.job, seat.is_running, seat.since_ns = job, True, now
        self.starts.append((seat, job))

    def _leave(self, seat: Seat) -> Job:
        job, seat.job, seat.is_running = seat.job, None, False
        assert job is not None
        return job

    def _vacate(self, seat: Seat, now: int) -> None:
        """Let a place that is done with its inference take the next one of its line."""
        seat.job = None
        seat.record.handed_on(now)
        if seat.is_retired:
            return
        line = seat.line
        if not line.queue:
            line.idle.append(seat)
            return
        self._start(seat, line.queue.popleft(), now)
        self._pull(line, now)
        line.depth.change(len(line.queue), now)

    def _pull(self, line: Line, now: int) -> None:
        """Let the oldest blocked result before a line take the room in its queue."""
        before = line.lane[line.position - 1] if line.position else None
        if before and before.blocked and len(line.queue) < self._queue_size:
            seat = before.blocked.popleft()
            assert seat.job is not None
            line.queue.append(seat.job)
            self._vacate(seat, now)

    def _dissolve(self, lane: Sequence[Line], now: int) -> None:
        """Give a dead pipeline's waiting inferences back; those that still run follow when they end."""
        for line in lane:
            while line.queue:
                self._restart(line.queue.popleft())
            line.depth.change(0, now)
        for line in lane:
            while line.blocked:
                seat = line.blocked.popleft()
                assert seat.job is not None
                self._restart(seat.job)
                self._vacate(seat, now)

    def _restart(self, job: Job) -> None:
        """Put an inference back among those that wait, at the place that its number gives it."""
        self.under_way -= 1
        job.tensors = job.inputs
        position = sum(1 for other in self.source if other.number < job.number)
        self.source.insert(position, job)


def _is_alive(lane: Sequence[Line]) -> bool:
    return all(line.alive for line in lane)


def _lane(pipeline: int, replicas: Sequence[int]) -> list[Line]:
    lane: list[Line] = []
    for k, count in enumerate(replicas):
        line = Line(lane, k, alive=count)
        lane.append(line)
        line.idle.extend(_seats(line, pipeline, count))
    return lane


def _seats(line: Line, pipeline: int, count: int) -> Iterator[Seat]:
    for r in range(count):
        place = Place(pipeline, line.position, r)
        yield Seat(place, line, PlaceRecord(place))
