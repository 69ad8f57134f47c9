from __future__ import annotations

import gc
import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from generators.runtime_plans import Sketch, chain_plan, make_plan, write_folder
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.errors import BackendError, ClosedError, InputError, StageError
from segsolve_runtime.pipeline import Pipeline

from .runners import PATIENCE_S, IncrementRunner, frame, increments, stage_threads

pytestmark = pytest.mark.usefixtures("leaves_no_thread")


def values(results: Iterator[dict[str, Array]]) -> list[int]:
    return [int(next(iter(outputs.values()))[0]) for outputs in results]


def fail_at(inference: int) -> Callable[[int], None]:
    def check(number: int) -> None:
        if number == inference:
            raise OSError("device lost")

    return check


@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("queue_size", [1, 3])
def test_results_come_in_the_order_of_the_frames(stages: int, queue_size: int) -> None:
    pipeline, _ = increments(stages, queue_size=queue_size)
    with pipeline:
        assert values(pipeline.map(map(frame, range(100)))) == [n + stages for n in range(100)]
        assert pipeline.metrics().count == 100


def test_map_can_be_called_again() -> None:
    pipeline, _ = increments(2)
    with pipeline:
        assert values(pipeline.map([frame(1), frame(2)])) == [3, 4]
        assert values(pipeline.map([])) == []
        assert values(pipeline.map([{"t0": frame(5)}])) == [7]


def test_frames_are_copied_so_that_their_buffer_can_be_used_again() -> None:
    def one_buffer() -> Iterator[Array]:
        buffer = np.zeros(2, np.int8)
        for n in range(20):
            buffer[:] = n
            yield buffer

    pipeline, _ = increments(3)
    with pipeline:
        assert values(pipeline.map(one_buffer())) == [n + 3 for n in range(20)]


def test_frames_are_pulled_only_as_results_are() -> None:
    pulled: list[int] = []

    def endless() -> Iterator[Array]:
        for n in itertools.count():
            pulled.append(n)
            yield frame(n % 100)

    pipeline, _ = increments(2, queue_size=2)
    most_in_flight = 2 * (2 + 1)  # one in each stage, and two in the queue before it
    with pipeline:
        results = pipeline.map(endless())
        assert pulled == []
        for received in range(1, 200):
            next(results)
            assert len(pulled) - received <= most_in_flight


def test_a_stage_error_reaches_the_caller_after_all_results_before_it() -> None:
    pipeline, runners = increments(3, {1: fail_at(3)})
    received: list[int] = []
    with pytest.raises(StageError, match="stage 1 failed on inference 3: OSError: device lost") as caught, pipeline:
        for outputs in pipeline.map(map(frame, itertools.count())):
            received.append(int(outputs["t3"][0]))
    assert received == [3, 4, 5]
    assert (caught.value.stage, caught.value.inference) == (1, 3)
    assert isinstance(caught.value.__cause__, OSError)
    assert all(runner.is_closed for runner in runners)


def test_a_stage_error_ends_the_threads_at_once() -> None:
    pipeline, _ = increments(3, {2: fail_at(0)})
    with pipeline:
        with pytest.raises(StageError):
            next(pipeline.map([frame(0)]))
        assert stage_threads() == []


def test_of_two_stage_errors_the_one_of_the_earlier_frame_counts() -> None:
    pipeline, _ = increments(2, {0: fail_at(4), 1: fail_at(2)})
    with pipeline, pytest.raises(StageError, match="stage 1 failed on inference 2"):
        list(pipeline.map(map(frame, range(9))))


def test_a_pipeline_runs_again_after_a_stage_error() -> None:
    pipeline, _ = increments(2, {1: fail_at(0)})
    with pipeline:
        with pytest.raises(StageError):
            list(pipeline.map([frame(1)]))
        assert values(pipeline.map([frame(1)])) == [3]


def test_a_stage_that_makes_not_what_the_plan_says_is_a_stage_error() -> None:
    with (
        Pipeline(chain_plan([1]), [IncrementRunner("other")]) as pipeline,
        pytest.raises(StageError, match="stage 0 failed on inference 0: KeyError: 't1'"),
    ):
        list(pipeline.map([frame(1)]))


def test_an_exception_of_the_frames_comes_after_the_results_before_it() -> None:
    def broken() -> Iterator[Array]:
        yield frame(1)
        raise OSError("camera unplugged")

    pipeline, _ = increments(2)
    with pipeline:
        results = pipeline.map(broken())
        assert int(next(results)["t2"][0]) == 3
        with pytest.raises(OSError, match="camera unplugged"):
            next(results)


def test_a_frame_that_does_not_fit_comes_after_the_results_before_it() -> None:
    pipeline, _ = increments(2)
    with pipeline:
        results = pipeline.map([frame(1), np.zeros(3, np.int8), frame(3)])
        assert int(next(results)["t2"][0]) == 3
        with pytest.raises(InputError, match="frame 1"):
            next(results)


def test_an_interrupt_in_the_frames_reaches_the_caller() -> None:
    def interrupted() -> Iterator[Array]:
        yield from map(frame, range(10))
        raise KeyboardInterrupt

    pipeline, _ = increments(3)
    with pytest.raises(KeyboardInterrupt), pipeline:
        list(pipeline.map(interrupted()))


def test_an_interrupt_wakes_a_caller_that_waits_for_a_result() -> None:
    was_woken, woken_in_time = threading.Event(), []

    def wake(number: int, stack: object) -> None:
        was_woken.set()
        raise KeyboardInterrupt

    def interrupt(number: int) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        woken_in_time.append(was_woken.wait(PATIENCE_S))

    pipeline, _ = increments(2, {1: interrupt})
    before = signal.signal(signal.SIGINT, wake)
    try:
        with pytest.raises(KeyboardInterrupt), pipeline:
            list(pipeline.map([frame(1)]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert woken_in_time == [True]


def test_an_iterator_left_half_way_is_ended_with_the_pipeline() -> None:
    pipeline, runners = increments(3)
    with pipeline:
        results = pipeline.map(map(frame, itertools.cycle(range(9))))
        next(results)
        assert len(stage_threads()) == 3
    assert stage_threads() == []
    assert all(runner.is_closed for runner in runners)
    with pytest.raises(ClosedError):
        list(results)


def test_a_loop_that_breaks_leaves_no_thread() -> None:
    pipeline, _ = increments(3)
    with pipeline:
        for _ in pipeline.map(map(frame, itertools.cycle(range(9)))):
            break
        assert stage_threads() == []


def test_a_new_map_ends_the_one_before() -> None:
    pipeline, _ = increments(2)
    with pipeline:
        old = pipeline.map(map(frame, itertools.cycle(range(9))))
        next(old)
        assert values(pipeline.map([frame(4)])) == [6]
        with pytest.raises(ClosedError):
            list(old)


def test_closing_ends_a_map_in_another_thread() -> None:
    is_running, may_go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        is_running.set()
        may_go_on.wait(PATIENCE_S)

    pipeline, _ = increments(2, {1: hold}, queue_size=1)
    with ThreadPoolExecutor(1) as pool, pipeline:
        endless = pool.submit(list, pipeline.map(map(frame, itertools.cycle(range(9)))))
        assert is_running.wait(PATIENCE_S)
        may_go_on.set()
        pipeline.close()
        with pytest.raises(ClosedError):
            endless.result(PATIENCE_S)


def test_a_closed_pipeline_says_so() -> None:
    pipeline, _ = increments(1)
    pipeline.close()
    pipeline.close()
    with pytest.raises(ClosedError, match="the pipeline is closed"):
        list(pipeline.map([frame(1)]))


def test_garbage_collection_in_a_worker_can_end_its_run() -> None:
    is_garbage = threading.Event()

    def collect(number: int) -> None:
        if number == 1:
            is_garbage.wait(PATIENCE_S)
            gc.collect()

    pipeline, _ = increments(1, {0: collect})
    results = pipeline.map(map(frame, itertools.cycle(range(9))))
    cycle: list[object] = [results]
    cycle.append(cycle)
    next(results)
    (worker,) = stage_threads()
    del results, cycle
    is_garbage.set()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()
    pipeline.close()


def test_a_runner_that_fails_to_close_does_not_keep_the_others_open() -> None:
    class Stubborn(IncrementRunner):
        def close(self) -> None:
            raise OSError("busy")

    runners = [IncrementRunner("t1"), Stubborn("t2"), IncrementRunner("t3")]
    pipeline = Pipeline(chain_plan([1, 1, 1]), runners)
    with pytest.raises(OSError, match="busy"):
        pipeline.close()
    assert [runner.is_closed for runner in runners] == [True, False, True]


def test_each_stage_needs_a_runner_and_each_queue_a_place() -> None:
    with pytest.raises(ValueError, match="1 runners were given for 2 places"):
        Pipeline(chain_plan([1, 1]), [IncrementRunner("t1")])
    with pytest.raises(ValueError, match="queue size is 0"):
        Pipeline(chain_plan([1]), [IncrementRunner("t1")], queue_size=0)
    with pytest.raises(ValueError, match="clocks is 'sun'; known are: wall, paced, virtual"):
        Pipeline(chain_plan([1]), [IncrementRunner("t1")], clocks="sun")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="number of threads is 0"):
        Pipeline.load("anywhere", threads=0)


def test_an_unknown_backend_is_refused_by_naming_the_known(tmp_path: Path) -> None:
    sketches = [Sketch(takes=["x"], makes=["y"])]
    folder = write_folder(tmp_path, make_plan(sketches, inputs=["x"], outputs=["y"]), sketches)
    with pytest.raises(
        BackendError, match=r"^there is no backend 'gpu'; known are: edgetpu, emulated, litert, simulated$"
    ):
        open_stages("gpu", load_plan(folder))


def test_the_simulated_backend_is_loaded_by_name(tmp_path: Path) -> None:
    sketches = [Sketch(takes=["x"], makes=["y"], time_ns=7)]
    folder = write_folder(tmp_path, make_plan(sketches, inputs=["x"], outputs=["y"]), sketches)
    with Pipeline.load(folder, backend="simulated") as pipeline:
        assert values(pipeline.map([frame(1), frame(2)])) == [0, 0]
        assert pipeline.metrics().elapsed_ns == 14
