"""Which inference runs on which stage when: the specification that the threaded pipeline reproduces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from segsolve_runtime.flow.shared import Gate, Load, intervals

QUEUE_SIZE = 2
"""Items that a queue between two stages holds unless something else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One inference on one stage; times in ns since the pipeline began."""

    stage: int
    inference: int
    start_ns: int
    end_ns: int
    pipeline: int = 0
    replica: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A pipeline as the schedule sees it: the time of an inference and the number of devices of each stage.

    `link_ns` and `host_ns` are how long an inference occupies the link and the host that all pipelines share.
    """

    stage_ns: tuple[int, ...]
    replicas: tuple[int, ...]
    link_ns: int = 0
    host_ns: int = 0

    @property
    def load(self) -> Load:
        """What it needs of what all pipelines share."""
        shares = (-(-ns // count) for ns, count in zip(self.stage_ns, self.replicas, strict=True))
        return Load(own_ns=max(shares), link_ns=self.link_ns, host_ns=self.host_ns)


def schedule(
    stage_ns: Sequence[int], count: int, queue_size: int, replicas: Sequence[int] | None = None
) -> tuple[Slot, ...]:
    """Return the slots of `count` inferences in one pipeline, ordered by inference and then by stage.

    Every input is there at time 0 and every output is taken at once. The r devices of a stage take turns. Between two
    stages lies a queue of `queue_size` items; a device that finds it full keeps its result, and itself, until the next
    stage starts on the oldest item::

        start[k][n] = max(put[k-1][n], put[k][n-r[k]])
        end[k][n]   = start[k][n] + stage_ns[k]
        put[k][n]   = max(end[k][n], start[k+1][n-queue_size])

    Raises:
        ValueError: `queue_size` or a number of replicas is smaller than 1.
    """
    lane = Lane(stage_ns=tuple(stage_ns), replicas=tuple(replicas or [1] * len(stage_ns)))
    return schedule_lanes([lane], count, queue_size)


def schedule_lanes(lanes: Sequence[Lane], count: int, queue_size: int) -> tuple[Slot, ...]:
    """Return the slots of `count` inferences over several pipelines, ordered by inference and then by stage.

    Inferences are given out in order, each to the pipeline that can begin it earliest; of several, to the one of the
    lowest index. It can when a device of its first stage is free and, where what all share is what limits, an
    interval has passed since its last beginning (`shared.intervals`). In a pipeline, they follow `schedule`.

    Raises:
        ValueError: `queue_size` or a number of replicas is smaller than 1.
    """
    courses = courses_of(lanes, queue_size)
    slots: list[Slot] = []
    for inference in range(count):
        course = min(courses, key=Course.room_ns)
        slots += course.slots(inference, course.run())
    return tuple(slots)


def courses_of(lanes: Sequence[Lane], queue_size: int) -> list[Course]:
    """Return the courses of the pipelines to which what all share leaves something.

    Raises:
        ValueError: `queue_size` or a number of replicas is smaller than 1.
    """
    if queue_size < 1:
        raise ValueError(f"the queue size is {queue_size}; it must be at least 1")
    if any(count < 1 for lane in lanes for count in lane.replicas):
        raise ValueError("a stage has no device; it must have at least 1")
    found = intervals([lane.load for lane in lanes])
    return [
        Course(p, lane, queue_size, interval)
        for p, (lane, interval) in enumerate(zip(lanes, found, strict=True))
        if interval is not None
    ]


class Course:
    """What has happened in one pipeline, as far as it still matters."""

    def __init__(self, pipeline: int, lane: Lane, queue_size: int, interval: Fraction) -> None:
        self._pipeline, self._lane, self._gate, self._begun = pipeline, lane, Gate(interval), 0
        # The beginnings that the queue before a stage waits for, and when each of its devices handed on its result.
        self._starts = [deque([0] * queue_size, maxlen=queue_size) for _ in lane.stage_ns]
        self._puts = [deque([0] * count, maxlen=count) for count in lane.replicas]

    def room_ns(self) -> int:
        """Return when the next inference can begin: a device is free, and what all share lets it."""
        return max(self._puts[0][0], self._gate.opens_ns)

    def run(self) -> list[int]:
        """Begin one more inference, and return when each stage starts on it."""
        put_ns, starts = self.room_ns(), []
        self._gate.lets_through(put_ns)
        self._begun += 1
        for k, duration in enumerate(self._lane.stage_ns):
            start = max(put_ns, self._puts[k][0])
            room_ns = self._starts[k + 1][0] if k + 1 < len(self._starts) else 0
            put_ns = max(start + duration, room_ns)
            self._starts[k].append(start)
            self._puts[k].append(put_ns)
            starts.append(start)
        return starts

    def slots(self, inference: int, starts: Sequence[int]) -> Iterator[Slot]:
        """Yield the slots of the inference that began last."""
        for k, start in enumerate(starts):
            yield Slot(
                pipeline=self._pipeline,
                stage=k,
                replica=(self._begun - 1) % self._lane.replicas[k],
                inference=inference,
                start_ns=start,
                end_ns=start + self._lane.stage_ns[k],
            )

    def end_ns(self, starts: Sequence[int]) -> int:
        """Return when an inference ends."""
        return starts[-1] + self._lane.stage_ns[-1]

    def state(self, since_ns: int) -> tuple[Fraction | int, ...]:
        """Return all that what follows depends on, seen from a time: where it is the same, the same follows."""
        times = chain(*self._starts, *self._puts)
        return (self._gate.opens - since_ns, *(ns - since_ns for ns in times))
