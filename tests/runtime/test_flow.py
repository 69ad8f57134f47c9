"""Frames that come faster than they are done, futures, and frames that are dropped for later ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from generators.runtime_plans import chain_plan, lanes_plan
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.errors import ClosedError, InputError, StageError
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.flow.threads import ThreadEngine
from segsolve_runtime.pipeline import Pipeline

from .runners import PATIENCE_S, IncrementRunner, frame, increments, wait_for

pytestmark = pytest.mark.usefixtures("leaves_no_thread")


def test_replicas_and_pipelines_keep_the_order() -> None:
    plan = lanes_plan([Lane(stage_ns=(1, 1, 1), replicas=(1, 3, 2)), Lane(stage_ns=(1, 1, 1), replicas=(2, 1, 1))])
    runners = [IncrementRunner(stage_at(plan, place).outputs[0]) for place in places(plan)]
    with Pipeline(plan, runners) as pipeline:
        assert len(runners) == 10
        for _ in range(3):
            results = list(pipeline.map(frame(n % 99) for n in range(300)))
            assert [r.number for r in results] == list(range(300))
            assert [int(r["out"][0]) for r in results] == [n % 99 + 3 for n in range(300)]
    assert all(runner.is_closed for runner in runners)


def test_a_pipeline_that_does_a_twentieth_holds_up_the_other_no_longer_than_that() -> None:
    plan = lanes_plan([Lane(stage_ns=(1,), replicas=(1,)), Lane(stage_ns=(1,), replicas=(1,))])
    is_far = threading.Event()
    slow = IncrementRunner("out", lambda number: is_far.wait(PATIENCE_S) or pytest.fail("the other waited for it"))
    fast = IncrementRunner("out", lambda number: is_far.set() if number == 3 * 19 else None)
    with Pipeline(plan, [slow, fast], parts=[Fraction(1, 20), Fraction(19, 20)]) as pipeline:
        assert [int(r["out"][0]) for r in pipeline.map(frame(n % 99) for n in range(80))] == [
            n % 99 + 1 for n in range(80)
        ]


def test_every_submitted_frame_has_its_result_whoever_submits_it() -> None:
    pipeline, _ = increments(3)
    with pipeline, ThreadPoolExecutor(4) as pool:
        futures = list(pool.map(lambda n: (n, pipeline.submit(frame(n % 99))), range(400)))
        assert all(int(future.result(PATIENCE_S)["t3"][0]) == n % 99 + 3 for n, future in futures)
        assert pipeline.metrics().count == 400
        assert sorted(future.result().number for _, future in futures) == list(range(400))


def test_submit_waits_for_room_and_says_when_there_is_none_in_time() -> None:
    may_go_on = threading.Event()
    pipeline, _ = increments(1, {0: lambda number: may_go_on.wait(PATIENCE_S)}, queue_size=2)
    with pipeline:
        futures = [pipeline.submit(frame(n)) for n in range(3)]
        with pytest.raises(TimeoutError, match=r"no room for another frame within 0\.05 s"):
            pipeline.submit(frame(3), timeout_s=0.05)
        assert pipeline.metrics().accepted == 3
        may_go_on.set()
        assert [int(f.result(PATIENCE_S)["t1"][0]) for f in futures] == [1, 2, 3]
        assert int(pipeline.submit(frame(4)).result(PATIENCE_S)["t1"][0]) == 5


def test_a_frame_that_does_not_fit_is_refused_when_it_is_submitted() -> None:
    pipeline, _ = increments(1)
    with pipeline:
        with pytest.raises(InputError):
            pipeline.submit(np.zeros(3, np.int8))
        assert int(pipeline.submit(frame(1)).result(PATIENCE_S)["t1"][0]) == 2


def test_a_map_ends_what_was_submitted_and_the_other_way_round() -> None:
    may_go_on = threading.Event()
    pipeline, _ = increments(1, {0: lambda number: number or may_go_on.wait(PATIENCE_S)})
    with pipeline:
        late = [pipeline.submit(frame(n)) for n in range(3)]
        engine = pipeline._run._engine
        assert isinstance(engine, ThreadEngine)
        with ThreadPoolExecutor(1) as pool:
            mapped = pool.submit(lambda: [int(r["t1"][0]) for r in pipeline.map([frame(7)])])
            wait_for(lambda: engine.source.is_stopped)  # so that no more of them begin
            may_go_on.set()
            assert mapped.result(PATIENCE_S) == [8]
        assert isinstance(late[-1].exception(PATIENCE_S), ClosedError)
        results = pipeline.map(frame(n) for n in range(9))
        next(results)
        assert int(pipeline.submit(frame(1)).result(PATIENCE_S)["t1"][0]) == 2
        with pytest.raises(ClosedError):
            list(results)


def test_a_pipeline_that_was_closed_takes_nothing() -> None:
    pipeline, _ = increments(1)
    pipeline.close()
    with pytest.raises(ClosedError):
        pipeline.submit(frame(1))
    with pytest.raises(ClosedError):
        pipeline.warm_up()


def test_what_waits_for_a_future_may_use_the_pipeline() -> None:
    pipeline, _ = increments(2)
    with pipeline:
        second = pipeline.submit(frame(1))
        chained: list[int] = []
        done = threading.Event()

        def look(_: object) -> None:
            chained.append(pipeline.metrics().count)
            done.set()

        second.add_done_callback(look)
        assert done.wait(PATIENCE_S)
    assert chained == [1]


def test_the_oldest_frame_that_waits_is_dropped_for_a_new_one() -> None:
    started, may_go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        started.set()
        may_go_on.wait(PATIENCE_S)

    def camera() -> Iterator[Array]:
        yield frame(0)
        assert started.wait(PATIENCE_S)
        yield from map(frame, range(1, 10))
        may_go_on.set()

    pipeline, _ = increments(1, {0: hold}, queue_size=2)
    with pipeline:
        results = list(pipeline.map(camera(), drop="oldest"))
        metrics = pipeline.metrics()
    assert [(r.number, int(r["t1"][0])) for r in results] == [(0, 1), (8, 9), (9, 10)]
    assert (metrics.accepted, metrics.count, metrics.dropped) == (10, 3, 7)


def test_a_slow_taker_gets_fresh_frames() -> None:
    pipeline, _ = increments(1, queue_size=1)
    has_more = threading.Event()
    seen: list[int] = []

    def camera() -> Iterator[Array]:
        for n in range(100):
            yield frame(n)
        has_more.wait(PATIENCE_S)
        yield frame(100)

    with pipeline:
        for result in pipeline.map(camera(), drop="oldest"):
            if not seen:
                while pipeline.metrics().accepted < 100:
                    pass
                has_more.set()
            seen.append(result.number)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(seen) <= 6  # no more than what the pipeline holds was made while nobody took it


def test_an_exception_of_a_camera_comes_after_its_results() -> None:
    def camera() -> Iterator[Array]:
        yield frame(1)
        raise OSError("camera unplugged")

    pipeline, _ = increments(2)
    with pipeline:
        results = pipeline.map(camera(), drop="oldest")
        assert next(results).number == 0
        with pytest.raises(OSError, match="camera unplugged"):
            next(results)


def test_only_the_oldest_can_be_dropped() -> None:
    pipeline, _ = increments(1)
    with pipeline, pytest.raises(ValueError, match="drop is 'newest'"):
        list(pipeline.map([], drop="newest"))  # type: ignore[call-overload]


def test_frames_that_are_not_copied_are_used_as_they_are() -> None:
    seen: list[int] = []

    class Watcher(IncrementRunner):
        def run(self, tensors: object) -> dict[str, Array]:
            assert isinstance(tensors, dict)
            seen.append(id(tensors["t0"]))
            return super().run(tensors)

    frames = [frame(1), frame(2)]
    with Pipeline(chain_plan([1]), [Watcher("t1")]) as pipeline:
        list(pipeline.map(frames, copy=False))
        list(pipeline.map(frames))
    assert seen[:2] == [id(f) for f in frames]
    assert not {*seen[2:]} & {id(f) for f in frames}


def test_warming_up_runs_every_stage_and_is_not_measured() -> None:
    pipeline, runners = increments(3)
    with pipeline:
        pipeline.warm_up(2)
        assert [runner._count for runner in runners] == [2, 2, 2]
        assert pipeline.metrics().stages[0].inferences == 0


def test_a_stage_that_raises_while_warming_up_is_named() -> None:
    def fail(number: int) -> None:
        raise OSError("no power")

    pipeline, _ = increments(2, {1: fail})
    with pipeline, pytest.raises(StageError, match="stage 1, warming up, failed on inference 0: OSError: no power"):
        pipeline.warm_up()
