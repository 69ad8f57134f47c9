"""Who does what next on a virtual clock: the state of all pipelines, without a clock of its own.

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
from segsolve_runtime.errors import StageError
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.metrics import StageView
from segsolve_runtime.flow.records import DepthRecord, PlaceRecord
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.flow.shared import Gate, intervals


@dataclass(slots=True, eq=False)
class Seat:
    """A place and what runs there; `job` stays until the result is handed on."""

    place: Place
    line: Line
    record: PlaceRecord
    job: Job | None = None
    is_retired: bool = False


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

    def __init__(self, replicas: Sequence[Sequence[int]], queue_size: int) -> None:
        """Take the number of replicas of each stage of each pipeline."""
        self.source: deque[Job] = deque()
        self.starts: list[tuple[Seat, Job]] = []
        self.released: list[Job] = []
        self.is_stopped = False
        self._queue_size = queue_size
        self._sharing: Sequence[Lane] = ()
        self.lanes: list[list[Line]] = [_lane(p, counts) for p, counts in enumerate(replicas)]
        self.seats = {seat.place: seat for lane in self.lanes for line in lane for seat in line.idle}

    @property
    def is_exhausted(self) -> bool:
        """Whether no pipeline is left that can run an inference."""
        return not any(map(_is_alive, self.lanes))

    def share(self, lanes: Sequence[Lane]) -> None:
        """Let each pipeline begin no more often than link and host allow that all share, as far as they are left.

        `lanes` are the pipelines as they were when nothing was lost.
        """
        self._sharing = lanes
        left = [p for p, lane in enumerate(self.lanes) if _is_alive(lane)]
        counts = {p: tuple(line.alive for line in self.lanes[p]) for p in left}
        found = intervals([replace(lanes[p], replicas=counts[p]).load for p in left])
        for p, interval in zip(left, found, strict=True):
            self.lanes[p][0].gate = Gate(interval) if interval != 0 else None

    def opens_ns(self) -> int | None:
        """Return when link and host let a free first stage begin what waits; None if that is not what it waits for."""
        if not self._sharing or self.is_stopped or not self.source:
            return None
        gates = [lane[0].gate for lane in self.lanes if lane[0].idle and _is_alive(lane)]
        return min((gate.opens_ns for gate in gates if gate and not gate.is_shut), default=None)

    def start_next(self, now: int) -> bool:
        """Start the oldest waiting inference if a pipeline's first stage is free; say whether one was started."""
        if self.is_stopped or not self.source:
            return False
        for lane in self.lanes:
            if lane[0].idle and _is_alive(lane) and (lane[0].gate is None or lane[0].gate.lets_through(now)):
                self._start(lane[0].idle.popleft(), self.source.popleft())
                return True
        return False

    def finish(self, seat: Seat, made: Tensors, now: int) -> None:
        """Hand on what a place made."""
        job, following = seat.job, seat.line.following
        assert job is not None
        job.tensors = made
        if following is None:
            self.released.append(job)
        elif following.idle:
            self._start(following.idle.popleft(), job)
        elif len(following.queue) < self._queue_size:
            following.queue.append(job)
            following.depth.change(len(following.queue), now)
        else:
            seat.line.blocked.append(seat)
            return
        self._vacate(seat, now)

    def give_up(self, seat: Seat, error: StageError, now: int) -> None:
        """End a place's inference with an error."""
        job = seat.job
        assert job is not None
        job.error = error
        self.released.append(job)
        self._vacate(seat, now)

    def retire(self, seat: Seat) -> None:
        """Use an idle place no more."""
        seat.is_retired = True
        seat.line.idle.remove(seat)
        seat.line.alive -= 1
        if self._sharing:
            self.share(self._sharing)

    def views(self, now: int) -> list[StageView]:
        """Return what the records of all stages say at a time."""
        return [
            StageView(
                pipeline=p,
                stage=line.position,
                records=[seat.record for seat in self.seats.values() if seat.line is line],
                retired=sum(seat.is_retired for seat in self.seats.values() if seat.line is line),
                waited_ns=line.depth.area_ns(now),
                queue_max=line.depth.most,
                queue_now=line.depth.depth,
            )
            for p, lane in enumerate(self.lanes)
            for line in lane
        ]

    def _start(self, seat: Seat, job: Job) -> None:
        seat.job = job
        self.starts.append((seat, job))

    def _vacate(self, seat: Seat, now: int) -> None:
        """Let a place that is done with its inference take the next one of its line."""
        seat.job = None
        seat.record.handed_on(now)
        line = seat.line
        if not line.queue:
            line.idle.append(seat)
            return
        self._start(seat, line.queue.popleft())
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
