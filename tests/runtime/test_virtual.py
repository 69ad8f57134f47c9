"""The engine on a virtual clock where it is not only a schedule."""

from __future__ import annotations

import pytest

from generators.runtime_plans import lanes_plan
from segsolve_runtime import FaultPolicy, Pipeline, StageError
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.flow.schedule import Lane

from .runners import IncrementRunner, frame, stage_threads


def opened(lanes: list[Lane], *, fails: int | None = None, policy: FaultPolicy | None = None) -> Pipeline:
    def check(number: int) -> None:
        if number == fails:
            raise OSError("no power")

    plan = lanes_plan(lanes)
    runners = [IncrementRunner(stage_at(plan, place).outputs[0], check) for place in places(plan)]
    return Pipeline(plan, runners, clocks="virtual", record=True, faults=policy)


def test_runners_are_run_and_no_thread_is_needed() -> None:
    with opened([Lane(stage_ns=(5, 3), replicas=(1, 1))]) as pipeline:
        results = pipeline.map(map(frame, range(20)))
        assert int(next(results)["out"][0]) == 2
        assert stage_threads() == []
        assert [int(result["out"][0]) for result in results] == list(range(3, 22))


def test_what_happens_at_the_same_time_happens_in_the_order_of_the_inferences() -> None:
    # Of two pipelines that are free at the same time, the first takes the older frame; both end at 5, 10, ...
    with opened([Lane(stage_ns=(5,), replicas=(1,)), Lane(stage_ns=(5,), replicas=(1,))]) as pipeline:
        list(pipeline.map(map(frame, range(6))))
        slots = pipeline.metrics().timeline
    assert [(slot.inference, slot.pipeline, slot.start_ns) for slot in slots] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 0, 5),
        (3, 1, 5),
        (4, 0, 10),
        (5, 1, 10),
    ]


def test_a_stage_that_raises_ends_the_run_or_fails_its_frame() -> None:
    lanes = [Lane(stage_ns=(5,), replicas=(1,))]
    with opened(lanes, fails=2) as pipeline:
        results = pipeline.map(map(frame, range(6)))
        assert [next(results).number for _ in range(2)] == [0, 1]
        with pytest.raises(StageError, match="stage 0 failed on inference 2: OSError: no power"):
            next(results)
    with opened(lanes, fails=2) as pipeline:
        found = list(pipeline.map(map(frame, range(6)), on_error="yield"))
        assert [isinstance(each, StageError) for each in found] == [False, False, True, False, False, False]
        assert pipeline.metrics().fault_counts["raised"] == 1
