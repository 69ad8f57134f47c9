"""Which inference runs on which stage when: the specification that the threaded pipeline reproduces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsolve_runtime.flow.shared import Gate, Load, intervals


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
    if queue_size < 1:
        raise ValueError(f"the queue size is {queue_size}; it must be at least 1")
    if any(count < 1 for lane in lanes for count in lane.replicas):
        raise ValueError("a stage has no device; it must have at least 1")
    gates = map(Gate, intervals([lane.load for lane in lanes]))
    courses = [_Course(p, lane, queue_size, gate) for p, (lane, gate) in enumerate(zip(lanes, gates, strict=True))]
    courses = [course for course in courses if not course.is_shut]
    slots: list[Slot] = []
    for inference in range(count):
        slots += min(courses, key=_Course.room_ns).run(inference)
    return tuple(slots)


class _Course:
    """What has happened in one pipeline so far."""

    def __init__(self, pipeline: int, lane: Lane, queue_size: int, gate: Gate) -> None:
        self._pipeline, self._lane, self._queue_size, self._gate = pipeline, lane, queue_size, gate
        self._starts: list[list[int]] = [[] for _ in lane.stage_ns]
        self._puts: list[list[int]] = [[] for _ in lane.stage_ns]

    @property
    def is_shut(self) -> bool:
        """Whether what all share leaves nothing for the pipeline."""
        return self._gate.is_shut

    def room_ns(self) -> int:
        """Return when the next inference can begin."""
        return max(self._free_ns(0), self._gate.opens_ns)

    def run(self, inference: int) -> Iterator[Slot]:
        """Yield the slots of one more inference."""
        put_ns, number = self.room_ns(), len(self._starts[0])
        self._gate.lets_through(put_ns)
        for k, duration in enumerate(self._lane.stage_ns):
            start = max(put_ns, self._free_ns(k))
            yield Slot(
                pipeline=self._pipeline,
                stage=k,
                replica=number % self._lane.replicas[k],
                inference=inference,
                start_ns=start,
                end_ns=start + duration,
            )
            self._starts[k].append(start)
            put_ns = max(start + duration, self._room_after_ns(k))
            self._puts[k].append(put_ns)

    def _free_ns(self, k: int) -> int:
        """Return when the device that is next in turn at stage k has handed on its last result."""
        puts, turn = self._puts[k], self._lane.replicas[k]
        return puts[-turn] if len(puts) >= turn else 0

    def _room_after_ns(self, k: int) -> int:
        """Return when the queue behind stage k has room for the result of the inference that it just started."""
        following = self._starts[k + 1] if k + 1 < len(self._starts) else []
        return following[-self._queue_size] if len(following) >= self._queue_size else 0
