"""What a run measured: where the time of each stage went, throughput and latency."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from segsolve_runtime.schedule import Slot

LATENCY_WINDOW = 10_000
"""Percentiles are those of this many latest inferences, so that an endless run needs no more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMetrics:
    """Where the time of a stage went, from the start of the run to its latest inference."""

    stage: int
    inferences: int
    busy_ns: int
    blocked_ns: int
    """Time with a finished result and no free slot to put it into."""
    starved_ns: int
    """Time without input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A run's measurements; all zero before its first result."""

    count: int
    """Results that the caller has received."""
    elapsed_ns: int
    """From the first frame accepted to the latest result ready."""
    throughput_fps: float
    latency_p50_ns: int
    """From a frame accepted to its result ready, over the latest `LATENCY_WINDOW` results."""
    latency_p95_ns: int
    stages: tuple[StageMetrics, ...]
    timeline: tuple[Slot, ...]
    """Every inference on every stage, ordered by inference and stage; empty unless the run records."""

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as dicts, tuples and numbers, ready for JSON."""
        return asdict(self)


class StageRecord:
    """Adds up what one stage does; written by its worker only."""

    __slots__ = ("_blocked_ns", "_busy_ns", "_free_ns", "_inferences", "_records", "_stage", "_starved_ns", "slots")

    def __init__(self, stage: int, *, record: bool) -> None:
        self._stage = stage
        self._records = record
        self._inferences = self._busy_ns = self._blocked_ns = self._starved_ns = self._free_ns = 0
        self.slots: list[Slot] = []

    def add(self, inference: int, start_ns: int, end_ns: int, put_ns: int) -> None:
        """Count an inference that ran from `start_ns` to `end_ns` and was handed on at `put_ns`."""
        self._inferences += 1
        self._starved_ns += start_ns - self._free_ns
        self._busy_ns += end_ns - start_ns
        self._blocked_ns += put_ns - end_ns
        self._free_ns = put_ns
        if self._records:
            self.slots.append(Slot(stage=self._stage, inference=inference, start_ns=start_ns, end_ns=end_ns))

    def metrics(self, begin_ns: int) -> StageMetrics:
        """Return the sums so far; the wait before the run's first frame, at `begin_ns`, is not the stage's."""
        return StageMetrics(
            stage=self._stage,
            inferences=self._inferences,
            busy_ns=self._busy_ns,
            blocked_ns=self._blocked_ns,
            starved_ns=max(0, self._starved_ns - begin_ns),
        )


class FlowRecord:
    """Follows frames from their acceptance to their results; written by the caller's thread only."""

    __slots__ = ("_accepted_ns", "_count", "_first_ns", "_last_ns", "_latencies_ns")

    def __init__(self) -> None:
        self._accepted_ns: deque[int] = deque()
        self._latencies_ns: deque[int] = deque(maxlen=LATENCY_WINDOW)
        self._count = self._first_ns = self._last_ns = 0

    @property
    def in_flight(self) -> int:
        """Frames accepted whose results were not received yet."""
        return len(self._accepted_ns)

    def accept(self, at_ns: int) -> None:
        """Note that a frame entered the pipeline."""
        if not self._count and not self._accepted_ns:
            self._first_ns = at_ns
        self._accepted_ns.append(at_ns)

    def receive(self, ready_ns: int) -> None:
        """Note that the oldest frame's result, ready at `ready_ns`, was received."""
        self._latencies_ns.append(ready_ns - self._accepted_ns.popleft())
        self._last_ns = ready_ns
        self._count += 1

    def metrics(self, stages: Sequence[StageRecord]) -> Metrics:
        """Return the measurements so far, together with those of the stages."""
        elapsed_ns = self._last_ns - self._first_ns if self._count else 0
        latencies_ns = sorted(self._latencies_ns)
        return Metrics(
            count=self._count,
            elapsed_ns=elapsed_ns,
            throughput_fps=self._count * 1e9 / elapsed_ns if elapsed_ns else 0.0,
            latency_p50_ns=percentile(latencies_ns, 50),
            latency_p95_ns=percentile(latencies_ns, 95),
            stages=tuple(record.metrics(self._first_ns) for record in stages),
            timeline=_timeline(record.slots for record in stages),
        )


def percentile(ascending: Sequence[int], percent: int) -> int:
    """Return the smallest value that `percent` of the values do not exceed; 0 if there are none."""
    if not ascending:
        return 0
    return ascending[max(-(-len(ascending) * percent // 100), 1) - 1]


def _timeline(slots: Iterable[Sequence[Slot]]) -> tuple[Slot, ...]:
    return tuple(sorted(chain.from_iterable(slots), key=lambda slot: (slot.inference, slot.stage)))
