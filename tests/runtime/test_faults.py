"""A stage that raises, hangs or loses its device: nothing is lost silently, done twice or out of order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faulty import FaultPlan, FaultyRunner, faulty
from generators.runtime_plans import lanes_plan
from segsolve_runtime.contract.places import Place, places, stage_at
from segsolve_runtime.errors import ClosedError, DevicesLeftError, StageError, named_numbers
from segsolve_runtime.flow.faults import FaultPolicy, OnFault
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.pipeline import Pipeline

from .runners import PATIENCE_S, IncrementRunner, frame, stage_threads

GONE = FaultPlan(lost_from=5)
MANY = 2_000
"""Frames, so that each of two replicas gets some, however threads are scheduled."""
TIMEOUT_S = 1.0  # a busy machine may let a thread wait for a while
CHAIN = Lane(stage_ns=(1, 1, 1), replicas=(1, 1, 1))
DOUBLE = Lane(stage_ns=(1, 1, 1), replicas=(1, 2, 1))


pytestmark = pytest.mark.usefixtures("leaves_no_thread")


def increments(
    lanes: Sequence[Lane],
    plans: Mapping[int, FaultPlan],
    on_fault: OnFault = "retry",
    *,
    timeout_s: float | None = None,
    attempts: int = 3,
    strikes: int = 3,
) -> tuple[Pipeline, tuple[FaultyRunner, ...]]:
    """Return a pipeline of stages that add 1; `plans` go by the place's number."""
    plan = lanes_plan(lanes)
    runners = faulty([IncrementRunner(stage_at(plan, place).outputs[0]) for place in places(plan)], plans)
    policy = FaultPolicy(on_fault=on_fault, stage_timeout_s=timeout_s, attempts=attempts, strikes=strikes)
    return Pipeline(plan, runners, faults=policy), runners


def check(pipeline: Pipeline, count: int, stages: int = 3) -> None:
    """Run frames and find all results, once each, right and in order."""
    results = list(pipeline.map(map(frame, range(count))))
    assert [result.number for result in results] == list(range(count))
    assert [int(result["out"][0]) for result in results] == [n % 100 + stages for n in range(count)]


def test_an_inference_that_failed_is_tried_again_at_its_own_place() -> None:
    pipeline, runners = increments([CHAIN], {1: FaultPlan(raises=frozenset({3, 7}))})
    with pipeline:
        check(pipeline, 20)
        metrics = pipeline.metrics()
    assert runners[1].calls == 22
    assert metrics.fault_counts == {"raised": 2, "hung": 0, "device lost": 0}
    assert [(f.inference, f.place, f.retired) for f in metrics.faults] == [
        (3, Place(0, 1), False),
        (6, Place(0, 1), False),
    ]
    assert [stage.inferences for stage in metrics.stages] == [20, 20, 20]


def test_an_inference_that_fails_again_and_again_is_given_up_in_its_turn() -> None:
    pipeline, _ = increments([CHAIN], {1: FaultPlan(raises=frozenset({3, 4, 5}))}, strikes=9)
    with pipeline:
        received = []
        with pytest.raises(StageError, match="stage 1 failed on inference 3: OSError: injected fault") as caught:
            for result in pipeline.map(map(frame, range(20))):
                received.append(result.number)
    assert received == [0, 1, 2]
    assert 3 in caught.value.lost
    assert min(caught.value.lost) == 3


def test_a_lost_replica_leaves_its_work_to_the_others() -> None:
    pipeline, runners = increments([DOUBLE], {1: GONE})
    with pipeline:
        check(pipeline, MANY)
        assert pipeline.metrics().stages[1].retired == 1
        assert pipeline.lost == {Place(0, 1, 0): "stage 1, replica 0: the device does not answer"}
        calls = runners[1].calls
        check(pipeline, 20)  # and stays out of use
    assert runners[1].calls == calls == 6


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_pipeline_that_lost_a_stage_leaves_its_work_to_the_others(stage: int) -> None:
    pipeline, runners = increments([CHAIN, CHAIN], {stage: GONE})
    with pipeline:
        check(pipeline, 80)
    assert runners[stage].calls == 6
    assert runners[5].calls >= 74 - 6


def test_a_device_that_fails_again_and_again_is_lost() -> None:
    pipeline, runners = increments([DOUBLE], {1: FaultPlan(raises=frozenset(range(4, 99)))}, attempts=9)
    with pipeline:
        check(pipeline, MANY)
        faults = pipeline.metrics().faults
        assert len(faults) >= 3
        assert [fault.retired for fault in faults] == [False] * (len(faults) - 1) + [True]
    assert runners[1].calls == 4 + len(faults)


def test_the_last_device_of_a_stage_ends_the_run_and_names_what_is_lost() -> None:
    pipeline, _ = increments([CHAIN], {1: GONE})
    received = []
    with pipeline, pytest.raises(StageError, match="stage 1 failed on inference 5: DeviceLostError") as caught:
        for result in pipeline.map(map(frame, range(40))):
            received.append(result.number)
    assert received == list(range(len(received)))
    assert caught.value.lost == tuple(range(len(received), len(received) + len(caught.value.lost)))
    assert 5 in caught.value.lost
    assert named_numbers(caught.value.lost) in str(caught.value) or len(caught.value.lost) == 1


def test_a_pipeline_without_a_device_for_a_stage_says_so_at_once() -> None:
    pipeline, _ = increments([CHAIN], {1: FaultPlan(lost_from=0)}, "stop")
    with pipeline:
        with pytest.raises(StageError):
            list(pipeline.map([frame(1)]))
        for use in (lambda: list(pipeline.map([frame(1)])), lambda: pipeline.submit(frame(1))):
            with pytest.raises(DevicesLeftError, match="stage 1: the device does not answer"):
                use()


def test_a_stage_that_hangs_is_done_elsewhere() -> None:
    pipeline, runners = increments([DOUBLE], {2: FaultPlan(hangs=frozenset({4}))}, timeout_s=TIMEOUT_S)
    with pipeline:
        check(pipeline, MANY)
        assert pipeline.metrics().fault_counts["hung"] == 1
        assert Place(0, 1, 1) in pipeline.lost
    assert not runners[2].is_closed  # its thread may still be in there
    assert all(runner.is_closed for runner in runners if runner is not runners[2])
    (hanging,) = stage_threads()
    runners[2].let_go()
    hanging.join(PATIENCE_S)


def test_a_stage_that_hangs_stops_a_run_that_should_stop() -> None:
    pipeline, runners = increments([CHAIN], {1: FaultPlan(hangs=frozenset({3}))}, "stop", timeout_s=TIMEOUT_S)
    with pipeline, pytest.raises(StageError, match=r"stage 1 failed on inference 3: it took longer than 1 s; lost"):
        list(pipeline.map(map(frame, range(20))))
    runners[1].let_go()
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_what_comes_late_from_a_stage_that_hung_is_not_counted_twice() -> None:
    pipeline, runners = increments([DOUBLE], {1: FaultPlan(hangs=frozenset({2}))}, timeout_s=TIMEOUT_S)
    with pipeline:
        results = pipeline.map(map(frame, range(MANY)))
        received = []
        for result in results:
            received.append(result.number)
            if result.number == 100:
                runners[1].let_go()
    assert received == list(range(MANY))
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_frames_that_are_not_done_are_given_back_when_a_device_is_lost() -> None:
    pipeline, _ = increments([DOUBLE], {1: GONE, 3: FaultPlan(raises=frozenset({1}))}, "give-back")
    received: list[int] = []
    with pipeline, pytest.raises(DevicesLeftError, match="stage 1, replica 0: the device does not answer") as caught:
        for result in pipeline.map(map(frame, range(MANY))):
            received.append(result.number)
    undone = caught.value.undone
    assert received + list(undone) == list(range(len(received) + len(undone)))
    assert all(int(tensors["t0"][0]) == number % 100 for number, tensors in undone.items())
    assert list(caught.value.lost) == [Place(0, 1, 0)]


def test_a_device_that_is_lost_or_hangs_while_warming_up_is_not_used() -> None:
    plans = {1: FaultPlan(lost_from=0), 4: FaultPlan(hangs=frozenset({0})), 5: FaultPlan(raises=frozenset({0}))}
    pipeline, runners = increments([DOUBLE, Lane(stage_ns=(1, 1, 1), replicas=(2, 1, 1))], plans, timeout_s=TIMEOUT_S)
    with pipeline:
        pipeline.warm_up()
        assert set(pipeline.lost) == {Place(0, 1, 0), Place(1, 0, 0)}
        check(pipeline, 40)
    assert [runners[k].calls for k in (1, 4)] == [1, 1]
    runners[4].let_go()
    for thread in stage_threads():
        thread.join(PATIENCE_S)
    assert not runners[4].is_closed


def test_a_run_that_should_stop_does_not_begin_with_a_stage_that_hangs() -> None:
    pipeline, runners = increments([CHAIN], {1: FaultPlan(hangs=frozenset({0}))}, "stop", timeout_s=0.2)
    with pipeline, pytest.raises(StageError, match=r"stage 1, warming up, failed .*: it took longer than 0\.2 s"):
        pipeline.warm_up()
    runners[1].let_go()
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_futures_have_their_own_results_and_errors() -> None:
    pipeline, _ = increments([CHAIN], {1: FaultPlan(raises=frozenset({2, 3, 4}))}, strikes=9)
    with pipeline:
        futures = [pipeline.submit(frame(n)) for n in range(30)]
        errors = [future.exception(PATIENCE_S) for future in futures]
        assert [n for n, error in enumerate(errors) if error] == [2]
        assert [int(f.result()["out"][0]) for n, f in enumerate(futures) if n != 2] == [
            n + 3 for n in range(30) if n != 2
        ]


def test_a_run_that_should_stop_refuses_what_is_submitted_after_a_fault() -> None:
    pipeline, _ = increments([CHAIN], {0: FaultPlan(raises=frozenset({2}))}, "stop")
    with pipeline:
        futures = []
        with pytest.raises(StageError, match="stage 0 failed on inference 2"):
            for n in range(1000):
                futures.append(pipeline.submit(frame(n)))
        assert [future.exception(PATIENCE_S) is None for future in futures[:3]] == [True, True, False]


def test_closing_ends_futures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsolve_runtime.flow.threads.LONGEST_JOIN_S", 0.1)
    pipeline, runners = increments([CHAIN], {1: FaultPlan(hangs=frozenset({0}))})
    future = pipeline.submit(frame(1))
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(pipeline.close)
        with pytest.raises(ClosedError):
            pipeline.submit(frame(1)) if closing.done() else [pipeline.submit(frame(n), timeout_s=5) for n in range(99)]
        closing.result(PATIENCE_S)
    assert isinstance(future.exception(PATIENCE_S), ClosedError)
    runners[1].let_go()
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_a_policy_must_make_sense() -> None:
    for wrong in ({"on_fault": "ignore"}, {"attempts": 0}, {"strikes": 0}, {"stage_timeout_s": 0.0}):
        with pytest.raises(ValueError):
            FaultPolicy(**wrong)


def test_numbers_are_named_in_ranges() -> None:
    assert named_numbers([7]) == "inference 7"
    assert named_numbers([3, 1, 2, 9]) == "inferences 1-3, 9"
    assert named_numbers(range(0, 40, 2)).endswith("22 and 8 more ranges")


@st.composite
def some_faults(draw: st.DrawFn) -> tuple[list[Lane], dict[int, FaultPlan]]:
    """One or two pipelines; a place of the second may be lost, and any may raise, never three times in a row."""
    lanes = [
        Lane(stage_ns=(1, 1), replicas=tuple(draw(st.lists(st.integers(1, 3), min_size=2, max_size=2)))) for _ in "ab"
    ]
    counts = [sum(lane.replicas) for lane in lanes]
    plans = {}
    for place in range(sum(counts)):
        raises = frozenset(draw(st.sets(st.integers(0, 20).map(lambda n: 2 * n), max_size=3)))
        lost = draw(st.one_of(st.none(), st.integers(0, 20))) if place >= counts[0] else None
        plans[place] = FaultPlan(raises=raises, lost_from=lost)
    return lanes, plans


@settings(deadline=None, max_examples=40)
@given(case=some_faults(), count=st.integers(0, 60))
def test_whatever_fails_every_inference_comes_out_once_and_in_order(
    case: tuple[list[Lane], dict[int, FaultPlan]], count: int
) -> None:
    lanes, plans = case
    pipeline, _ = increments(lanes, plans, attempts=99)
    with pipeline:
        check(pipeline, count, stages=2)
        assert pipeline.metrics().count == count
