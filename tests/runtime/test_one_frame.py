"""What goes wrong goes wrong for one frame: the others, the devices and the caller go on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest

from generators.runtime_plans import chain_plan, lanes_plan
from segsolve_runtime import (
    ClosedError,
    DevicesLeftError,
    FaultPolicy,
    InputError,
    Pipeline,
    StageError,
    State,
)
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.places import Place, places, stage_at
from segsolve_runtime.errors import DeviceLostError
from segsolve_runtime.flow.faults import OnFault
from segsolve_runtime.flow.schedule import Lane

from .runners import PATIENCE_S, IncrementRunner, frame, increments, stage_threads

CHAIN = Lane(stage_ns=(1, 1, 1), replicas=(1, 1, 1))
DOUBLE = Lane(stage_ns=(1, 1, 1), replicas=(1, 2, 1))
POISON = 77
Check = Callable[[Place, int, int], None]


pytestmark = pytest.mark.usefixtures("leaves_no_thread")


class CheckedRunner:
    """Adds 1, after `check` was called with the place, the number of the call and the frame's value at stage 0."""

    def __init__(self, place: Place, output: str, check: Check) -> None:
        self._place, self._output, self._check, self._calls = place, output, check, 0

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = tensors.values()
        self._calls += 1
        self._check(self._place, self._calls - 1, int(array[0]) - self._place.stage)
        return {self._output: array + array.dtype.type(1)}

    def close(self) -> None:
        pass


def opened(
    lanes: Sequence[Lane], check: Check, on_fault: OnFault = "retry", *, timeout_s: float | None = None
) -> Pipeline:
    plan = lanes_plan(lanes)
    runners = [CheckedRunner(place, stage_at(plan, place).outputs[0], check) for place in places(plan)]
    return Pipeline(plan, runners, record=True, faults=FaultPolicy(on_fault=on_fault, stage_timeout_s=timeout_s))


def poisoned(at: int) -> Check:
    def check(place: Place, call: int, value: int) -> None:
        if place.stage == at and value == POISON:
            raise ValueError("this frame always raises")

    return check


@pytest.mark.parametrize("on_fault", ["stop", "skip", "retry", "give-back"])
@pytest.mark.parametrize("lanes", [[CHAIN], [DOUBLE], [CHAIN, CHAIN], [DOUBLE, CHAIN]])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_frame_that_always_raises_fails_alone(on_fault: OnFault, lanes: list[Lane], stage: int) -> None:
    values = [n if n % 5 else POISON for n in range(60)]
    with opened(lanes, poisoned(stage), on_fault) as pipeline:
        found = list(pipeline.map(map(frame, values), on_error="yield"))
        assert pipeline.state is State.READY
        assert pipeline.lost == {}
    assert len(found) == 60
    for number, (value, each) in enumerate(zip(values, found, strict=True)):
        if value == POISON:
            assert isinstance(each, StageError)
            assert (each.stage, each.inference, each.lost) == (stage, number, ())
        else:
            assert not isinstance(each, StageError | InputError)
            assert (each.number, int(each["out"][0])) == (number, value + 3)


def test_futures_of_frames_that_always_raise_have_their_own_error() -> None:
    values = [n if n % 3 else POISON for n in range(30)]
    with opened([CHAIN], poisoned(1)) as pipeline:
        futures = [pipeline.submit(frame(value)) for value in values]
        errors = [future.exception(PATIENCE_S) for future in futures]
        assert pipeline.state is State.READY
    assert [isinstance(error, StageError) for error in errors] == [value == POISON for value in values]
    assert [error.inference for error in errors if isinstance(error, StageError)] == list(range(0, 30, 3))


def test_a_device_where_everything_raises_is_left_and_no_frame_is_lost() -> None:
    def check(place: Place, call: int, value: int) -> None:
        if place == Place(0, 1):
            raise OSError("broken")

    with opened([CHAIN, CHAIN], check) as pipeline:
        results = list(pipeline.map(frame(n % 50) for n in range(100)))
        assert pipeline.state is State.DEGRADED
        assert list(pipeline.lost) == [Place(0, 1)]
        assert pipeline.metrics().fault_counts["raised"] >= 3  # of different inferences
    assert [int(r["out"][0]) for r in results] == [n % 50 + 3 for n in range(100)]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_replica_where_everything_raises_leaves_its_frames_to_one_that_is_busy(stage: int) -> None:
    def check(place: Place, call: int, value: int) -> None:
        if place.stage == stage:
            if place.replica == 0:
                raise OSError("broken")
            time.sleep(0.003)

    lane = Lane(stage_ns=(1, 1, 1), replicas=tuple(2 if k == stage else 1 for k in range(3)))
    with opened([lane], check) as pipeline:
        results = list(pipeline.map(frame(n % 50) for n in range(60)))
        assert list(pipeline.lost) == [Place(0, stage, 0)]
        faults = pipeline.metrics().faults
        assert len(faults) == len({fault.inference for fault in faults}) >= 3  # one try each
    assert [int(r["out"][0]) for r in results] == [n % 50 + 3 for n in range(60)]


def test_one_inference_alone_does_not_blame_a_device() -> None:
    def check(place: Place, call: int, value: int) -> None:
        if place.stage == 1 and value == 5:
            raise OSError("not this one")

    with opened([CHAIN, CHAIN], check) as pipeline:
        found = list(pipeline.map(map(frame, range(20)), on_error="yield"))
        assert pipeline.lost == {}
        faults = pipeline.metrics().faults
    assert [n for n, each in enumerate(found) if isinstance(each, StageError)] == [5]
    assert len(faults) == 3
    assert {fault.place.pipeline for fault in faults} == {0, 1}  # the second try was elsewhere


def test_skip_does_not_try_again() -> None:
    calls: list[int] = []

    def check(place: Place, call: int, value: int) -> None:
        if place.stage == 1 and value == 5:
            calls.append(call)
            raise OSError("once")

    with opened([CHAIN], check, "skip") as pipeline:
        found = list(pipeline.map(map(frame, range(20)), on_error="yield"))
    assert [n for n, each in enumerate(found) if isinstance(each, StageError)] == [5]
    assert len(calls) == 1


def test_an_inference_that_is_tried_again_keeps_its_turn() -> None:
    raised: list[int] = []

    def check(place: Place, call: int, value: int) -> None:
        if place.stage == 1 and value % 4 == 0 and value not in raised:
            raised.append(value)
            time.sleep(0.002)  # others queue up meanwhile
            raise OSError("once")

    with opened([CHAIN], check) as pipeline:
        list(pipeline.map(map(frame, range(40))))
        timeline = pipeline.metrics().timeline
    assert raised == list(range(0, 40, 4))
    last = sorted((slot for slot in timeline if slot.stage == 2), key=lambda slot: slot.start_ns)
    assert [slot.inference for slot in last] == list(range(40))


def test_a_frame_that_does_not_fit_takes_its_turn_as_an_error() -> None:
    frames = [frame(1), np.zeros(3, np.int8), frame(3)]
    with opened([CHAIN], poisoned(0)) as pipeline:
        found = list(pipeline.map(frames, on_error="yield"))
    assert [type(each).__name__ for each in found] == ["Result", "InputError", "Result"]
    with (
        opened([CHAIN], poisoned(0)) as pipeline,
        pytest.raises(ValueError, match="on_error is 'ignore'; known are: raise, yield"),
    ):
        list(pipeline.map(frames, on_error="ignore"))  # type: ignore[call-overload]


def test_results_that_are_past_a_lost_stage_are_delivered() -> None:
    is_lost, may_go_on = threading.Event(), threading.Event()

    def check(place: Place, call: int, value: int) -> None:
        if place.stage == 0 and value == 4:
            is_lost.set()
            raise DeviceLostError("unplugged")
        if place.stage == 2 and value == 1:  # holds up what follows until the first stage is gone
            assert is_lost.wait(PATIENCE_S)
            may_go_on.wait(0.05)

    for on_fault in ("stop", "skip", "retry", "give-back"):
        is_lost.clear()
        received: list[int] = []
        with opened([CHAIN], check, on_fault) as pipeline, pytest.raises((StageError, DevicesLeftError)) as caught:
            for result in pipeline.map(map(frame, range(20))):
                received.append(result.number)
        assert received == [0, 1, 2, 3], on_fault
        if isinstance(caught.value, DevicesLeftError):
            assert min(caught.value.undone) == 4
        else:
            assert isinstance(caught.value, StageError)
            assert caught.value.inference == 4


def test_what_was_submitted_before_a_fault_that_stops_has_its_result_and_the_next_begins_anew() -> None:
    with opened([CHAIN], poisoned(1), "stop") as pipeline:
        futures = [pipeline.submit(frame(value)) for value in (1, 2, POISON)]
        assert [int(future.result(PATIENCE_S)["out"][0]) for future in futures[:2]] == [4, 5]
        assert isinstance(futures[2].exception(PATIENCE_S), StageError)
        with pytest.raises(StageError, match="this frame always raises"):
            pipeline.submit(frame(1))
        assert int(pipeline.submit(frame(6)).result(PATIENCE_S)["out"][0]) == 9


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (np.zeros(3, np.int8), r"TypeError: the runner made 't1' as int8 of shape \(3,\), not int8 of shape \(2,\)"),
        (np.zeros(2, np.float32), r"TypeError: the runner made 't1' as float32 of shape \(2,\), not int8"),
        ([0, 0], "TypeError: the runner made 't1' as a list, not an array"),
        (None, "TypeError: the runner made 't1' as a NoneType, not an array"),
    ],
)
def test_outputs_of_another_shape_or_type_are_a_fault_of_the_stage(made: object, message: str) -> None:
    class Wrong(IncrementRunner):
        def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
            return {"t1": made}  # type: ignore[dict-item]

    with (
        Pipeline(chain_plan([1, 1]), [Wrong("t1"), IncrementRunner("t2")]) as pipeline,
        pytest.raises(StageError, match=f"stage 0 failed on inference 0: {message}"),
    ):
        list(pipeline.map([frame(1)]))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, OSError])
@pytest.mark.parametrize("drop", [None, "oldest"])
def test_whatever_the_frames_raise_reaches_the_caller(error: type[BaseException], drop: None) -> None:
    def camera() -> Iterator[Array]:
        yield frame(1)
        raise error

    pipeline, _ = increments(2)
    with pipeline:
        received = []
        with pytest.raises(error):
            for result in pipeline.map(camera(), drop=drop):
                received.append(result.number)
        assert received in ([0], [])
        assert [r.number for r in pipeline.map([frame(1)])] == [0]


def test_a_stage_that_hangs_does_not_hold_up_closing() -> None:
    hangs, may_go_on = threading.Event(), threading.Event()

    def hang(number: int) -> None:
        hangs.set()
        may_go_on.wait(PATIENCE_S)

    pipeline, runners = increments(2, {1: hang})
    future = pipeline.submit(frame(1))
    assert hangs.wait(PATIENCE_S)
    begin = time.monotonic()
    pipeline.close()
    assert time.monotonic() - begin < PATIENCE_S / 2
    assert isinstance(future.exception(PATIENCE_S), ClosedError)
    assert [runner.is_closed for runner in runners] == [True, False]  # its thread is still in there
    may_go_on.set()
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_a_stage_that_hangs_does_not_hold_up_an_interrupt() -> None:
    may_go_on = threading.Event()

    def interrupt(number: int) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        may_go_on.wait(PATIENCE_S)

    pipeline, _ = increments(2, {1: interrupt})
    begin = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), pipeline:
            list(pipeline.map([frame(1)]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < PATIENCE_S / 2
    may_go_on.set()
    for thread in stage_threads():
        thread.join(PATIENCE_S)


def test_a_stage_that_is_still_at_an_earlier_run_is_not_used_until_it_ends() -> None:
    may_go_on = threading.Event()
    pipeline, _ = increments(1, {0: lambda number: number or may_go_on.wait(PATIENCE_S)})
    with pipeline:
        with pytest.raises(TimeoutError):
            pipeline.submit(frame(1)).result(0.05)
        with pytest.raises(DevicesLeftError, match="stage 0: it did not end with its run"):
            list(pipeline.map([frame(1)]))
        may_go_on.set()
        for thread in stage_threads():
            thread.join(PATIENCE_S)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_the_process_is_told_that_the_pipeline_is_not_its_own() -> None:
    pipeline, _ = increments(2)
    with pipeline:
        results = pipeline.map(frame(n % 50) for n in range(200))
        next(results)
        child = os.fork()
        if child == 0:  # no assertion here: it would run the parent's tests on
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE_S)
            told = 0
            for use in (lambda: next(results), lambda: pipeline.submit(frame(1)), lambda: list(pipeline.map([]))):
                try:
                    use()
                except ClosedError as error:
                    told += "belongs to the process that opened it" in str(error)
            pipeline.close()
            os._exit(told)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 3
        assert [result.number for result in results] == list(range(1, 200))


def test_frames_are_inferred_from_asyncio() -> None:
    async def all_of_them(pipeline: Pipeline) -> list[int]:
        results = await asyncio.gather(*(pipeline.infer(frame(n % 50)) for n in range(200)))
        return [int(result["t3"][0]) for result in results]

    pipeline, _ = increments(3)
    with pipeline:
        assert asyncio.run(all_of_them(pipeline)) == [n % 50 + 3 for n in range(200)]


def test_an_error_of_one_is_its_own_in_asyncio_too() -> None:
    async def all_of_them(pipeline: Pipeline) -> list[object]:
        values = [n if n % 4 else POISON for n in range(40)]
        return await asyncio.gather(*(pipeline.infer(frame(v)) for v in values), return_exceptions=True)

    with opened([CHAIN], poisoned(2), "skip") as pipeline:
        found = asyncio.run(all_of_them(pipeline))
        with pytest.raises(InputError, match="the frame: the input 't0' is int8 of shape"):
            asyncio.run(pipeline.infer(np.zeros(5, np.int8)))
    assert [isinstance(each, StageError) for each in found] == [n % 4 == 0 for n in range(40)]


def test_room_that_cancelled_frames_leave_is_given_to_those_that_wait_for_it() -> None:
    is_held, may_go_on = threading.Event(), threading.Event()

    def check(place: Place, call: int, value: int) -> None:
        is_held.set()
        may_go_on.wait(PATIENCE_S)

    async def some(pipeline: Pipeline) -> int:
        first = asyncio.ensure_future(pipeline.infer(frame(0)))
        await asyncio.to_thread(is_held.wait, PATIENCE_S)
        in_queue = [asyncio.ensure_future(pipeline.infer(frame(n))) for n in (1, 2)]
        waits_for_room = asyncio.ensure_future(pipeline.infer(frame(3)))
        await asyncio.sleep(0)
        for task in in_queue:
            task.cancel()
        await asyncio.sleep(0)
        may_go_on.set()
        await first
        return int((await asyncio.wait_for(waits_for_room, PATIENCE_S))["out"][0])

    with opened([Lane(stage_ns=(1,), replicas=(1,))], check) as pipeline:
        assert asyncio.run(some(pipeline)) == 4


def test_what_is_cancelled_before_it_begins_is_not_run() -> None:
    is_held, may_go_on, seen = threading.Event(), threading.Event(), list[int]()

    def check(place: Place, call: int, value: int) -> None:
        seen.append(value)
        is_held.set()
        may_go_on.wait(PATIENCE_S)

    async def some(pipeline: Pipeline) -> list[int]:
        tasks = [asyncio.ensure_future(pipeline.infer(frame(n))) for n in range(10)]
        await asyncio.sleep(0)
        await asyncio.to_thread(is_held.wait, PATIENCE_S)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        may_go_on.set()
        return [int(r["out"][0]) for r in await asyncio.gather(*tasks[1::2])]

    lane = Lane(stage_ns=(1,), replicas=(1,))
    with opened([lane], check) as pipeline:
        assert asyncio.run(some(pipeline)) == [2, 4, 6, 8, 10]
        held = pipeline.submit(frame(40))
        assert int(held.result(PATIENCE_S)["out"][0]) == 41
        assert not held.cancel()
    assert seen == [0, 1, 3, 5, 7, 9, 40]  # the first had begun


def test_whoever_waits_is_let_in_as_they_came() -> None:
    may_go_on, order = threading.Event(), list[int]()

    def check(place: Place, call: int, value: int) -> None:
        may_go_on.wait(PATIENCE_S)
        order.append(value)

    lane = Lane(stage_ns=(1,), replicas=(1,))
    with opened([lane], check) as pipeline:
        threads = []
        for n in range(12):
            threads.append(threading.Thread(target=pipeline.submit, args=(frame(n),)))
            threads[-1].start()
            while pipeline.metrics().accepted + pipeline.queued < n:
                time.sleep(0.001)
            time.sleep(0.005)
        may_go_on.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        pipeline.submit(frame(50)).result(PATIENCE_S)
    assert order == [*range(12), 50]
    assert all(a < b for a, b in pairwise(order))


def test_a_pipeline_tells_how_it_stands() -> None:
    def check(place: Place, call: int, value: int) -> None:
        if value == place.pipeline * 10 + 5:
            raise DeviceLostError("unplugged")

    states = []
    for closes_first in (True, False):
        pipeline = opened([CHAIN], check)
        states.append(pipeline.state)
        with pytest.raises(StageError):
            list(pipeline.map(map(frame, range(10))))
        if closes_first:
            pipeline.close()
        states.append(pipeline.state)
        pipeline.close()
    assert states == [State.READY, State.CLOSED, State.READY, State.FAILED]
