from __future__ import annotations

import threading

import numpy as np

from generators.runtime_plans import chain_plan
from segsolve_runtime import Pipeline
from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.sharing import Resident, SharedDevice
from tests.runtime.runners import PATIENCE_S, IncrementRunner, wait_for


def asking(resident: Resident, holder: object, log: list[object]) -> threading.Thread:
    """Ask in a thread, which notes when it was served; return when it waits."""

    def ask() -> None:
        resident.acquire(holder)
        log.append(holder)

    thread = threading.Thread(target=ask, daemon=True)
    before = len(resident.device._waiting)
    thread.start()
    wait_for(lambda: len(resident.device._waiting) > before or not thread.is_alive())
    return thread


def test_residents_are_served_as_they_ask() -> None:
    device = SharedDevice()
    log: list[object] = []
    first, second, third = (device.resident(weight) for weight in (1, 9, 9))
    first.acquire("a")
    threads = [asking(second, "b", log), asking(third, "c", log)]
    first.release("a", goes_on=True)
    threads[0].join(PATIENCE_S)
    second.release("b")
    threads[1].join(PATIENCE_S)
    assert log == ["b", "c"]


def test_in_proportion_it_is_kept_for_one_that_is_behind() -> None:
    device = SharedDevice()
    log: list[object] = []
    many, few = device.resident(3), device.resident(1)
    device.begin(in_proportion=True)
    many.acquire("many")
    few_waits = asking(few, "few", log)
    for _ in range(2):
        few.begun, before = 1, few.begun  # as if it had run in this period
        many.release("many", goes_on=True)
        assert log == []
        many.acquire("many")
        few.begun = before
    many.release("many", goes_on=True)  # three of three, the other none of one
    few_waits.join(PATIENCE_S)
    assert log == ["few"]


def test_it_is_not_kept_for_one_that_does_not_go_on() -> None:
    device = SharedDevice()
    log: list[object] = []
    many, few = device.resident(9), device.resident(1)
    device.begin(in_proportion=True)
    many.acquire("many")
    few.begun = 5
    waits = asking(few, "few", log)
    many.release("many")
    waits.join(PATIENCE_S)
    assert log == ["few"]
    many.release("many")  # it is not its holder any more
    assert device._holder == "few"


def test_what_is_kept_can_be_given_back() -> None:
    device = SharedDevice()
    log: list[object] = []
    many, few = device.resident(9), device.resident(1)
    device.begin(in_proportion=True)
    many.acquire("many")
    many.release("many", goes_on=True)
    waits = asking(few, "few", log)
    assert log == []
    many.release("many")
    waits.join(PATIENCE_S)
    assert log == ["few"]
    assert (many.begun, few.begun) == (1, 1)


def test_what_is_kept_for_an_inference_that_does_not_come_is_given_back() -> None:
    """It was there when the one before was done: then it was cancelled, or a copy took it."""
    device, log = SharedDevice(), list[object]()
    own, other = device.resident(9), device.resident(1)
    device.begin(in_proportion=True)
    began, may_end = threading.Event(), threading.Event()

    def before(_: int) -> None:
        began.set()
        may_end.wait(PATIENCE_S)

    plan = chain_plan([1])
    with Pipeline(plan, [IncrementRunner("t1", before)], shared={Place(0, 0): own}) as pipeline:
        futures = [pipeline.submit(np.zeros(2, np.int8)) for _ in range(2)]
        assert began.wait(PATIENCE_S)
        assert futures[1].cancel()
        waits = asking(other, "other", log)
        other.begun = 5  # so that it is not its turn
        may_end.set()
        waits.join(PATIENCE_S)
        assert log == ["other"]
