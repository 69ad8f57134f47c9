"""The threaded pipeline on virtual clocks against the schedule, which is its specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.runtime_plans import Sketch, chain_plan, lanes_plan, make_plan
from segsolve_runtime.backends import simulated
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.schedule import Lane, schedule, schedule_lanes
from segsolve_runtime.pipeline import Pipeline


def open_pipeline(plan: Plan, *, queue_size: int = 2, record: bool = True) -> Pipeline:
    stages = simulated.stages_of(plan)
    return Pipeline(plan, stages.runners, clocks=stages.clocks, queue_size=queue_size, record=record)


@settings(deadline=None, max_examples=60)
@given(
    stage_ns=st.lists(st.integers(0, 1_000), min_size=1, max_size=5),
    count=st.integers(0, 25),
    queue_size=st.integers(1, 4),
)
def test_the_timeline_is_the_schedule(stage_ns: list[int], count: int, queue_size: int) -> None:
    plan = chain_plan(stage_ns)
    with open_pipeline(plan, queue_size=queue_size) as pipeline:
        assert len(list(pipeline.map(random_frames(plan, count, seed=0)))) == count
        metrics = pipeline.metrics()
    slots = schedule(stage_ns, count, queue_size)
    assert metrics.timeline == slots
    assert metrics.count == count
    assert metrics.elapsed_ns == max((slot.end_ns for slot in slots), default=0)
    assert [stage.busy_ns for stage in metrics.stages] == [count * t for t in stage_ns]


@st.composite
def some_lanes(draw: st.DrawFn) -> list[Lane]:
    lanes = []
    for _ in range(draw(st.integers(1, 3))):
        stage_ns = draw(st.lists(st.integers(0, 30), min_size=1, max_size=4))
        replicas = draw(st.lists(st.integers(1, 3), min_size=len(stage_ns), max_size=len(stage_ns)))
        link_ns = draw(st.integers(0, 20))
        lanes.append(Lane(stage_ns=tuple(stage_ns), replicas=tuple(replicas), link_ns=link_ns))
    return lanes


@settings(deadline=None, max_examples=150)
@given(lanes=some_lanes(), count=st.integers(0, 30), queue_size=st.integers(1, 3))
def test_the_timeline_of_pipelines_and_replicas_is_the_schedule(lanes: list[Lane], count: int, queue_size: int) -> None:
    plan = lanes_plan(lanes)
    with open_pipeline(plan, queue_size=queue_size) as pipeline:
        numbers = [result.number for result in pipeline.map(random_frames(plan, count, seed=0))]
        metrics = pipeline.metrics()
    assert numbers == list(range(count))
    slots = schedule_lanes(lanes, count, queue_size)
    assert metrics.timeline == slots
    assert metrics.elapsed_ns == max((slot.end_ns for slot in slots), default=0)


def test_a_link_that_limits_delays_the_beginnings() -> None:
    lanes = [Lane(stage_ns=(10, 20), replicas=(1, 1), link_ns=30)]
    plan = lanes_plan(lanes)
    with open_pipeline(plan) as pipeline:
        list(pipeline.map(random_frames(plan, 4, seed=0)))
        slots = pipeline.metrics().timeline
    assert [slot.start_ns for slot in slots if slot.stage == 0] == [0, 30, 60, 90]
    assert [slot.end_ns for slot in slots if slot.stage == 1] == [30, 60, 90, 120]


def test_what_is_submitted_waits_for_the_link() -> None:
    plan = lanes_plan([Lane(stage_ns=(10,), replicas=(1,), link_ns=25)])
    with open_pipeline(plan) as pipeline:
        for future in [pipeline.submit(frame) for frame in random_frames(plan, 3, seed=0)]:
            future.result(30)
        assert [slot.start_ns for slot in pipeline.metrics().timeline] == [0, 25, 50]


def test_frames_are_not_dropped_on_a_virtual_clock() -> None:
    plan = chain_plan([1])
    with open_pipeline(plan) as pipeline, pytest.raises(ValueError, match="on a virtual clock"):
        list(pipeline.map(random_frames(plan, 3, seed=0), drop="oldest"))


def test_what_is_submitted_takes_virtual_time_from_when_it_comes() -> None:
    plan = chain_plan([5, 7])
    with open_pipeline(plan) as pipeline:
        for frame in random_frames(plan, 3, seed=0):
            pipeline.submit(frame).result(30)
        metrics = pipeline.metrics()
    assert [slot.start_ns for slot in metrics.timeline] == [0, 5, 12, 17, 24, 29]


def test_metrics_of_a_schedule_by_hand() -> None:
    # The schedule of test_schedule.test_a_schedule_by_hand; the source has one place, too.
    plan = chain_plan([2, 5, 3])
    with open_pipeline(plan, queue_size=1) as pipeline:
        assert pipeline.metrics().count == 0
        list(pipeline.map(random_frames(plan, 5, seed=0)))
        metrics = pipeline.metrics()
    first, middle, last = metrics.stages
    assert (first.inferences, first.busy_ns, first.blocked_ns, first.starved_ns) == (5, 10, 1 + 3 + 3, 0)
    assert (middle.busy_ns, middle.blocked_ns, middle.starved_ns) == (25, 0, 2)
    assert (last.busy_ns, last.blocked_ns, last.starved_ns) == (15, 0, 7 + 4 * 2)
    assert (metrics.count, metrics.elapsed_ns) == (5, 30)
    assert metrics.throughput_fps == 5e9 / 30
    # accepted at 0, 0, 2, 4, 7; ready at 10, 15, 20, 25, 30
    assert (metrics.latency_p50_ns, metrics.latency_p95_ns) == (18, 23)


def test_each_map_is_measured_from_its_own_start() -> None:
    plan = chain_plan([3, 1])
    with open_pipeline(plan) as pipeline:
        for count in (4, 2):
            list(pipeline.map(random_frames(plan, count, seed=0)))
            assert pipeline.metrics().timeline == schedule([3, 1], count, 2)


def test_without_recording_there_is_no_timeline() -> None:
    plan = chain_plan([3, 1])
    with open_pipeline(plan, record=False) as pipeline:
        list(pipeline.map(random_frames(plan, 3, seed=0)))
        assert pipeline.metrics().timeline == ()
        assert pipeline.metrics().count == 3


def test_outputs_are_zeros_of_the_planned_type_and_shape() -> None:
    plan = make_plan(
        [Sketch(takes=["x"], makes=["y", "z"])],
        inputs=["x"],
        outputs=["z", "y"],
        tensors={"y": ("float32", [1, 3]), "z": ("uint8", [])},
    )
    with open_pipeline(plan) as pipeline:
        (outputs,) = pipeline.map(random_frames(plan, 1, seed=0))
    assert list(outputs) == ["z", "y"]
    np.testing.assert_array_equal(outputs["z"], np.zeros((), np.uint8), strict=True)
    np.testing.assert_array_equal(outputs["y"], np.zeros((1, 3), np.float32), strict=True)
