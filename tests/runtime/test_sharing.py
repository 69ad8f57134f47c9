from __future__ import annotations

import threading
from collections.abc import Callable

from segsolve_runtime.flow.sharing import Resident, SharedDevice
from tests.runtime.runners import PATIENCE_S


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


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


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
