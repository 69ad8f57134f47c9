from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from segsolve_runtime.io.ahead import in_order

PREFIX = "segsolve-input-"


def _alive() -> int:
    return sum(thread.name.startswith(PREFIX) for thread in threading.enumerate())


def test_results_keep_their_order_whoever_is_first() -> None:
    def task(number: int) -> Callable[[], int]:
        def work() -> int:
            time.sleep(0.002 * (number % 3))
            return number

        return work

    assert list(in_order(map(task, range(40)), 4)) == list(range(40))
    assert _alive() == 0


def test_few_tasks_are_ahead() -> None:
    begun: list[int] = []

    def tasks() -> Iterator[Callable[[], int]]:
        for number in range(1000):
            begun.append(number)
            yield partial(int, number)

    results = in_order(tasks(), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(begun) <= 5 + 2 * 3 + 1
    results.close()
    assert len(begun) < 20 and _alive() == 0


def test_tasks_run_side_by_side() -> None:
    together = threading.Barrier(3, timeout=30)
    assert len(list(in_order([together.wait] * 3, 3))) == 3


def test_an_exception_comes_when_its_turn_has_come() -> None:
    def failing() -> int:
        raise KeyError("task")

    results = in_order([lambda: 1, lambda: 2, failing, lambda: 4], 2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="task"):
        next(results)
    assert _alive() == 0


def test_an_exception_of_what_gives_the_tasks() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        yield lambda: 2
        raise KeyError("source")

    results = in_order(tasks(), 4)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="source"):
        next(results)
