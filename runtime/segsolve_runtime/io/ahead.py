"""Does work ahead in threads, without losing its order or keeping more of it than a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


def in_order(tasks: Iterable[Callable[[], Made]], threads: int) -> Generator[Made, None, None]:
    """Yield what the tasks return, in their order, while later ones are done in threads; at most two a thread wait.

    An exception, of a task or of what gives the tasks, comes after the results of all tasks before it.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="segsolve-input-") as pool:
        try:
            for future in _submitted(tasks, pool):
                waiting.append(future)
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _submitted(tasks: Iterable[Callable[[], Made]], pool: ThreadPoolExecutor) -> Iterator[Future[Made]]:
    """Yield the tasks' futures and, as the last, one that fails with what ended the tasks."""
    try:
        for task in tasks:
            yield pool.submit(task)
    except Exception as error:
        failed: Future[Made] = Future()
        failed.set_exception(error)
        yield failed
