from __future__ import annotations

import json

import pytest

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.dispatch import Dispatcher
from segsolve_runtime.flow.metrics import Metrics, metrics_of, percentile
from segsolve_runtime.flow.records import WINDOW, DepthRecord, FlowRecord, PlaceRecord, SlotRecord


def metrics(flow: FlowRecord, dispatcher: Dispatcher, slots: SlotRecord | None = None, now_ns: int = 6) -> Metrics:
    return metrics_of(
        now_ns=now_ns,
        flow=flow,
        lanes=dispatcher.lanes,
        waiting=0,
        seats=tuple(dispatcher.seats.values()),
        slots=slots.slots if slots else (),
        faults=(),
        fault_counts={},
    )


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, 0),
        ([7], 50, 7),
        ([7], 95, 7),
        ([1, 2, 3, 4], 50, 2),
        ([1, 2, 3, 4, 5], 50, 3),
        (list(range(1, 101)), 95, 95),
        (list(range(1, 21)), 95, 19),
        ([1, 2, 3], 0, 1),
    ],
)
def test_percentiles_are_values_that_occurred(values: list[int], percent: int, expected: int) -> None:
    assert percentile(values, percent) == expected


def test_metrics_are_ready_for_json() -> None:
    flow, slots, dispatcher = FlowRecord(), SlotRecord(None), Dispatcher([[1]], 2, 9)
    flow.accept(1)
    record = dispatcher.seats[Place(0, 0)].record
    record.ran(2, 5)
    record.handed_on(6)
    slots.add(Place(0, 0), 0, 2, 5)
    flow.deliver(1, 6)
    document = json.loads(json.dumps(metrics(flow, dispatcher, slots).as_dict()))
    assert document == {
        "count": 1,
        "accepted": 1,
        "dropped": 0,
        "waiting": 0,
        "elapsed_ns": 5,
        "throughput_fps": 2e8,
        "latency_p50_ns": 5,
        "latency_p95_ns": 5,
        "latency_p99_ns": 5,
        "stages": [
            {
                "pipeline": 0,
                "stage": 0,
                "replicas": 1,
                "retired": 0,
                "inferences": 1,
                "busy_ns": 3,
                "blocked_ns": 1,
                "starved_ns": 1,
                "time_p50_ns": 3,
                "time_p95_ns": 3,
                "time_p99_ns": 3,
                "queue_mean": 0.0,
                "queue_max": 0,
                "queue_now": 0,
            }
        ],
        "fault_counts": {},
        "faults": [],
        "timeline": [{"stage": 0, "inference": 0, "start_ns": 2, "end_ns": 5, "pipeline": 0, "replica": 0}],
    }


def test_percentiles_are_those_of_the_latest_results() -> None:
    flow = FlowRecord()
    for latency_ns in [1_000_000] * WINDOW + [5] * WINDOW:
        flow.accept(0)
        flow.deliver(0, latency_ns)
    found = metrics(flow, Dispatcher([[1]], 2, 9))
    assert (found.count, found.latency_p95_ns) == (2 * WINDOW, 5)


def test_a_stage_adds_up_its_replicas_and_the_bottleneck_is_the_busiest_per_replica() -> None:
    dispatcher = Dispatcher([[2, 1]], 2, 9)
    for replica in range(2):
        dispatcher.seats[Place(0, 0, replica)].record.ran(0, 60)
    dispatcher.seats[Place(0, 1)].record.ran(0, 100)
    found = metrics(FlowRecord(), dispatcher)
    assert [(s.replicas, s.inferences, s.busy_ns, s.mean_ns) for s in found.stages] == [
        (2, 2, 120, 60),
        (1, 1, 100, 100),
    ]
    assert found.bottleneck is found.stages[1]
    assert found.stages[0].utilisation(100) == 0.6


def test_a_failed_inference_takes_time_and_does_not_count() -> None:
    record = PlaceRecord(Place(0, 0))
    record.ran(3, 7, counts=False)
    assert (record.inferences, record.busy_ns, record.starved_ns) == (0, 4, 3)


def test_the_depth_of_a_queue_is_its_mean_over_time() -> None:
    depth = DepthRecord()
    depth.change(2, 10)
    depth.change(0, 20)
    assert depth.mean(0, 40) == 0.5
    assert depth.most == 2
    assert DepthRecord().mean(5, 5) == 0.0


def test_slots_are_kept_of_none_of_the_first_or_of_all() -> None:
    for most, kept in ((0, 0), (2, 2), (None, 5)):
        record = SlotRecord(most)
        for inference in range(5):
            record.add(Place(0, 0), inference, 0, 1)
        assert len(record.slots) == kept
