"""What the pipelines of a pool do when, each stage taking exactly its time: the specification of shared devices.

Every model has frames without end, which it begins in the proportion of the models' weights (`Proportion`). A stage
takes the oldest inference that waits for it and asks for its device; that serves the resident which is furthest behind
its weight. A stage gives the device back before it hands its result on, and waits for room there; it keeps it if it can
go on at once and it is its turn. Devices and queues are those of the threads (`sharing`). Where links or the host
limit, each pipeline keeps what is its own of them at its entrance, as plans of one model do (`shared`).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf

from segsolve_runtime.flow.schedule import QUEUE_SIZE
from segsolve_runtime.flow.shared import Gate
from segsolve_runtime.flow.sharing import Proportion, room_of

_LATE = 2  # periods by which what waits for a shared device may begin late, and make up for it


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLane:
    """A pipeline: its model, each stage's time, and the devices of each stage's replicas, as numbers of the pool.

    `weight` is how many inferences it does in a period; None: as many as its model. `interval` are the ns from one
    beginning to the next that links and host leave it at the least.
    """

    model: int
    stage_ns: tuple[int, ...]
    devices: tuple[tuple[int, ...], ...]
    weight: Fraction | None = None
    interval: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class SharedSlot:
    """An inference of a model, counted from 0, on a device: of which pipeline and stage, and when."""

    lane: int
    stage: int
    device: int
    inference: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRun:
    """When each inference of a model ended, and how long each device was busy; ns. `slots` are what each did when."""

    slots: tuple[SharedSlot, ...] = field(repr=False)
    ends_ns: tuple[tuple[int, ...], ...]
    latencies_ns: tuple[tuple[int, ...], ...]
    busy_ns: tuple[int, ...]
    elapsed_ns: int

    def rate_fps(self, model: int) -> float:
        """Return the inferences per second of a model over the middle half of its run, when the pipelines are full."""
        ends = self.ends_ns[model]
        first, last = len(ends) // 4, len(ends) - 1 - len(ends) // 4
        span = ends[last] - ends[first] if ends else 0
        return 1e9 * (last - first) / span if span else 0.0


@dataclass(slots=True)
class _Seat:
    lane: int
    stage: int
    device: int
    is_idle: bool = True
    begun: int = 0
    has_result: tuple[int, int] | None = None  # number and beginning of an inference that waits for room


@dataclass(slots=True)
class _Device:
    is_busy: bool = False
    waiting: deque[tuple[_Seat, tuple[int, int]]] = field(default_factory=deque)
    busy_ns: int = 0


def schedule_shared(
    lanes: Sequence[SharedLane], weights: Sequence[int], periods: int, queue_size: int = QUEUE_SIZE, ahead: int = 2
) -> SharedRun:
    """Run so many periods: each model does its weight of inferences in each.

    Raises:
        ValueError: `periods` or `queue_size` is smaller than 1.
    """
    if periods < 1 or queue_size < 1:
        raise ValueError("periods and queue_size must be at least 1")
    return _Simulation(lanes, weights, _Endless(weights, periods, ahead), queue_size).run()


def schedule_arrivals(
    lanes: Sequence[SharedLane], arrivals_ns: Sequence[Sequence[int]], queue_size: int = QUEUE_SIZE
) -> SharedRun:
    """Run frames that come by themselves, as from cameras: `arrivals_ns` are the times of each model's, ascending.

    Devices serve residents as they ask, as where frames are not begun in proportion.
    """
    return _Simulation(lanes, None, _Arriving(arrivals_ns), queue_size).run()


class _Endless:
    """Frames without end, until the periods are over, in proportion."""

    def __init__(self, weights: Sequence[int], periods: int, ahead: int) -> None:
        self._proportion = Proportion(weights, ahead)
        self._left = [weight * periods for weight in weights]
        self.arrivals_ns: Sequence[Sequence[int]] = [() for _ in weights]

    def has_frame(self, model: int, now: int) -> bool:
        return bool(self._left[model]) and self._proportion.may_begin(model)

    def begin(self, model: int, now: int) -> int:
        """Take a frame, and return when it came."""
        self._left[model] -= 1
        self._proportion.begin(model)
        if not self._left[model]:
            self._proportion.end(model)
        return now


class _Arriving:
    """Frames that come at their times."""

    def __init__(self, arrivals_ns: Sequence[Sequence[int]]) -> None:
        self.arrivals_ns = arrivals_ns
        self._left = [deque(each) for each in arrivals_ns]

    def has_frame(self, model: int, now: int) -> bool:
        return bool(self._left[model]) and self._left[model][0] <= now

    def begin(self, model: int, now: int) -> int:
        return self._left[model].popleft()


class _Simulation:
    """What has happened so far."""

    def __init__(
        self,
        lanes: Sequence[SharedLane],
        weights: Sequence[int] | None,
        source: _Endless | _Arriving,
        queue_size: int,
    ) -> None:
        self._lanes, self._source = lanes, source
        models = len(source.arrivals_ns)
        self._devices = [_Device() for _ in range(1 + max(d for lane in lanes for s in lane.devices for d in s))]
        self._weights, self._is_fair = weights or [1] * models, weights is not None
        self._rooms = [room_of(self._weights[lane.model], queue_size) for lane in lanes]
        self._seats = [
            [[_Seat(number, k, device) for device in stage] for k, stage in enumerate(lane.devices)]
            for number, lane in enumerate(lanes)
        ]
        self._gates = [Gate(lane.interval, late=_LATE * lane.interval * self._weights[lane.model]) for lane in lanes]
        self._openings: list[int] = []
        self._queues: list[list[deque[tuple[int, int]]]] = [[deque() for _ in lane.stage_ns] for lane in lanes]
        self._ends: list[list[int]] = [[] for _ in range(models)]
        self._latencies: list[list[int]] = [[] for _ in range(models)]
        self._begun = [0] * models
        self._slots: list[SharedSlot] = []
        self._events: list[tuple[int, int, _Seat, tuple[int, int]]] = []
        self._number, self._now = 0, 0

    def run(self) -> SharedRun:
        times = sorted({time for each in self._source.arrivals_ns for time in each}, reverse=True)
        self._look()
        while self._events or times or self._openings:
            ends = self._events[0][0] if self._events else inf
            if times and times[-1] <= min((ends, *self._openings[:1])):
                self._now = times.pop()
            elif self._openings and self._openings[0] <= ends:
                self._now = heapq.heappop(self._openings)
            else:
                self._now, _, seat, inference = heapq.heappop(self._events)
                self._end(seat, inference)
            self._look()
        return SharedRun(
            slots=tuple(self._slots),
            ends_ns=tuple(map(tuple, self._ends)),
            latencies_ns=tuple(map(tuple, self._latencies)),
            busy_ns=tuple(device.busy_ns for device in self._devices),
            elapsed_ns=self._now,
        )

    def _look(self) -> None:
        """Let everything happen that can at this moment."""
        has_changed = True
        while has_changed:
            has_changed = False
            for lane in range(len(self._lanes)):
                for k in reversed(range(len(self._seats[lane]))):
                    for seat in self._seats[lane][k]:
                        has_changed |= self._hand_on(seat) or self._take(seat)

    def _hand_on(self, seat: _Seat) -> bool:
        if seat.has_result is None:
            return False
        queue = self._queues[seat.lane][seat.stage + 1]
        if len(queue) >= self._rooms[seat.lane]:
            return False
        queue.append(seat.has_result)
        seat.has_result, seat.is_idle = None, True
        return True

    def _take(self, seat: _Seat) -> bool:
        if not seat.is_idle:
            return False
        inference = self._next(seat)
        if inference is None:
            return False
        seat.is_idle = False
        device = self._devices[seat.device]
        device.waiting.append((seat, inference))
        if not device.is_busy:
            self._serve(device)
        return True

    def _serve(self, device: _Device) -> None:
        """Start the inference whose turn it is."""
        if device.waiting:
            turn = device.waiting[0]
            if self._is_fair:
                turn = min(device.waiting, key=lambda each: self._turn(each[0]))
            device.waiting.remove(turn)
            self._start(device, *turn)

    def _turn(self, seat: _Seat) -> Fraction:
        """How many periods a resident is in; the smallest is served first."""
        lane = self._lanes[seat.lane]
        return Fraction(seat.begun) / (lane.weight or self._weights[lane.model])

    def _next(self, seat: _Seat) -> tuple[int, int] | None:
        if seat.stage:
            queue = self._queues[seat.lane][seat.stage]
            return queue.popleft() if queue else None
        model = self._lanes[seat.lane].model
        if not self._source.has_frame(model, self._now) or not self._opens(seat.lane):
            return None
        self._gates[seat.lane].lets_through(self._now)
        self._begun[model] += 1
        return self._begun[model] - 1, self._source.begin(model, self._now)

    def _opens(self, lane: int) -> bool:
        """Whether a pipeline's entrance is open; if not, it is looked at again when it is."""
        if (opens := self._gates[lane].opens_ns) <= self._now:
            return True
        if opens not in self._openings:
            heapq.heappush(self._openings, opens)
        return False

    def _goes_on(self, seat: _Seat) -> bool:
        """Whether a resident can hand on what it has done, and has a next inference."""
        following, queues = seat.stage + 1, self._queues[seat.lane]
        if following < len(queues) and len(queues[following]) >= self._rooms[seat.lane]:
            return False
        if seat.stage:
            return bool(self._queues[seat.lane][seat.stage])
        return self._source.has_frame(self._lanes[seat.lane].model, self._now) and self._opens(seat.lane)

    def _start(self, device: _Device, seat: _Seat, inference: tuple[int, int]) -> None:
        time = self._lanes[seat.lane].stage_ns[seat.stage]
        device.is_busy = True
        seat.begun += 1
        device.busy_ns += time
        self._slots.append(SharedSlot(seat.lane, seat.stage, seat.device, inference[0], self._now, self._now + time))
        self._number += 1
        heapq.heappush(self._events, (self._now + time, self._number, seat, inference))

    def _end(self, seat: _Seat, inference: tuple[int, int]) -> None:
        device = self._devices[seat.device]
        device.is_busy = False
        if seat.stage + 1 < len(self._seats[seat.lane]):
            seat.has_result = inference
        else:
            seat.is_idle = True
            model = self._lanes[seat.lane].model
            self._ends[model].append(self._now)
            self._latencies[model].append(self._now - inference[1])
        if (
            self._is_fair
            and self._goes_on(seat)
            and all(self._turn(seat) < self._turn(other) for other, _ in device.waiting)
        ):
            self._hand_on(seat)
            self._take(seat)
        else:
            self._serve(device)
