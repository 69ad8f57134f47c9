from __future__ import annotations

import json

import pytest

from segsolve_runtime.metrics import LATENCY_WINDOW, FlowRecord, StageRecord, percentile


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
    stage, flow = StageRecord(0, record=True), FlowRecord()
    flow.accept(1)
    stage.add(0, start_ns=2, end_ns=5, put_ns=6)
    flow.receive(6)
    document = json.loads(json.dumps(flow.metrics([stage]).as_dict()))
    assert document == {
        "count": 1,
        "elapsed_ns": 5,
        "throughput_fps": 2e8,
        "latency_p50_ns": 5,
        "latency_p95_ns": 5,
        "stages": [{"stage": 0, "inferences": 1, "busy_ns": 3, "blocked_ns": 1, "starved_ns": 1}],
        "timeline": [{"stage": 0, "inference": 0, "start_ns": 2, "end_ns": 5}],
    }


def test_percentiles_are_those_of_the_latest_results() -> None:
    flow = FlowRecord()
    for latency_ns in [1_000_000] * LATENCY_WINDOW + [5] * LATENCY_WINDOW:
        flow.accept(0)
        flow.receive(latency_ns)
    metrics = flow.metrics([])
    assert (metrics.count, metrics.latency_p95_ns) == (2 * LATENCY_WINDOW, 5)
