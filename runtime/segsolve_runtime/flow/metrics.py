"""What a run measured: where the time of each stage went, how long its queue was, throughput, latency and faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segsolve_runtime.flow.dispatch import Line, Seat
from segsolve_runtime.flow.faults import Fault, FaultKind
from segsolve_runtime.flow.records import FlowRecord, PlaceRecord
from segsolve_runtime.flow.schedule import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMetrics:
    """Where the time of a stage's devices went, all together, from the start of the run to their latest inference."""

    pipeline: int
    stage: int
    replicas: int
    retired: int
    """Replicas that are out of use."""
    inferences: int
    busy_ns: int
    blocked_ns: int
    """Time with a finished result and no free slot to put it into."""
    starved_ns: int
    """Time without input."""
    time_p50_ns: int
    """Of an inference, over the latest 2000 of each device."""
    time_p95_ns: int
    time_p99_ns: int
    queue_mean: float
    """Inferences that waited for the stage, over the run; for a first stage, 0: all pipelines share that queue."""
    queue_max: int
    queue_now: int

    @property
    def mean_ns(self) -> int:
        """Mean time of an inference."""
        return self.busy_ns // self.inferences if self.inferences else 0

    def utilisation(self, elapsed_ns: int) -> float:
        """Return the share of a time that its devices were busy."""
        return min(1.0, self.busy_ns / (elapsed_ns * self.replicas)) if elapsed_ns else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A run's measurements; all zero before its first result."""

    count: int
    """Results that the caller has received."""
    accepted: int
    """Frames that were taken, the dropped ones included."""
    dropped: int
    waiting: int
    """Frames that wait for a first stage now."""
    elapsed_ns: int
    """From the first frame accepted to the latest result ready."""
    throughput_fps: float
    latency_p50_ns: int
    """From a frame accepted to its result ready, over the latest 2000 results."""
    latency_p95_ns: int
    latency_p99_ns: int
    stages: tuple[StageMetrics, ...]
    """Of all pipelines, one after the other."""
    fault_counts: dict[str, int]
    faults: tuple[Fault, ...]
    """The latest 1000."""
    timeline: tuple[Slot, ...]
    """Which inference ran where and when, ordered by inference and stage; empty unless the run records."""

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as dicts, tuples and numbers, ready for JSON."""
        return asdict(self) | {"faults": [fault.as_dict() for fault in self.faults]}

    @property
    def bottleneck(self) -> StageMetrics | None:
        """The stage whose devices were busy for the largest share of the time."""
        ran = [stage for stage in self.stages if stage.inferences]
        return max(ran, key=lambda stage: stage.busy_ns / stage.replicas, default=None)


def metrics_of(
    *,
    now_ns: int,
    flow: FlowRecord,
    lanes: Sequence[Sequence[Line]],
    waiting: int,
    seats: Sequence[Seat],
    slots: Iterable[Slot],
    faults: tuple[Fault, ...],
    fault_counts: Mapping[FaultKind, int],
) -> Metrics:
    """Return the figures of a run's records at a time."""
    elapsed_ns = flow.last_ns - flow.first_ns if flow.count else 0
    latencies_ns = sorted(flow.latencies_ns)
    stages = [
        _stage(p, line, [seat for seat in seats if seat.line is line], flow.first_ns, now_ns)
        for p, lane in enumerate(lanes)
        for line in lane
    ]
    return Metrics(
        count=flow.count,
        accepted=flow.accepted,
        dropped=flow.dropped,
        waiting=waiting,
        elapsed_ns=elapsed_ns,
        throughput_fps=flow.count * 1e9 / elapsed_ns if elapsed_ns else 0.0,
        latency_p50_ns=percentile(latencies_ns, 50),
        latency_p95_ns=percentile(latencies_ns, 95),
        latency_p99_ns=percentile(latencies_ns, 99),
        stages=tuple(stages),
        fault_counts={kind.value: count for kind, count in fault_counts.items()},
        faults=faults,
        timeline=tuple(sorted(slots, key=lambda slot: (slot.inference, slot.stage))),
    )


def percentile(ascending: Sequence[int], percent: int) -> int:
    """Return the smallest value that `percent` of the values do not exceed; 0 if there are none."""
    if not ascending:
        return 0
    return ascending[max(-(-len(ascending) * percent // 100), 1) - 1]


def _stage(pipeline: int, line: Line, seats: Sequence[Seat], begin_ns: int, now_ns: int) -> StageMetrics:
    records = [seat.record for seat in seats]
    times_ns = sorted(ns for record in records for ns in record.times_ns)
    return StageMetrics(
        pipeline=pipeline,
        stage=line.position,
        replicas=len(seats),
        retired=sum(seat.is_retired for seat in seats),
        inferences=sum(record.inferences for record in records),
        busy_ns=sum(record.busy_ns for record in records),
        blocked_ns=sum(record.blocked_ns for record in records),
        starved_ns=sum(_starved_ns(record, begin_ns) for record in records),
        time_p50_ns=percentile(times_ns, 50),
        time_p95_ns=percentile(times_ns, 95),
        time_p99_ns=percentile(times_ns, 99),
        queue_mean=line.depth.mean(begin_ns, now_ns),
        queue_max=line.depth.most,
        queue_now=line.depth.depth,
    )


def _starved_ns(record: PlaceRecord, begin_ns: int) -> int:
    """Return a place's wait for input; what it waited before the run's first frame is not its own."""
    return max(0, record.starved_ns - begin_ns) if record.inferences else 0
