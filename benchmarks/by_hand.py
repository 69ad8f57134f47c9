"""The pipelines that a user would write by hand, to hold the runtime's against: threads, replicas, processes.

None of them bounds memory against a slow taker, survives a fault or measures anything.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from segsolve_runtime.contract.arrays import Array

Tensors = dict[str, Array]
Stage = Callable[[Mapping[str, Array]], Tensors]
ROOM = 2
"""Inferences that may wait between two stages."""


def bounded_threads(stages: Sequence[Stage], frames: Iterable[Tensors]) -> Iterator[Tensors]:
    """Yield results of a thread per stage with a `queue.Queue` between two."""
    queues: list[queue.Queue[Any]] = [queue.Queue(ROOM) for _ in range(len(stages) + 1)]

    def work(stage: Stage, takes: queue.Queue[Any], gives: queue.Queue[Any]) -> None:
        while (tensors := takes.get()) is not None:
            gives.put(stage(tensors))
        gives.put(None)

    return _through([(work, (stage, *queues[k : k + 2])) for k, stage in enumerate(stages)], queues, frames)


def simple_threads(stages: Sequence[Stage], frames: Iterable[Tensors]) -> Iterator[Tensors]:
    """Yield results of a thread per stage with a `queue.SimpleQueue` between two, bounded by another one of tokens."""
    queues: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(len(stages) + 1)]
    rooms: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(len(stages) + 1)]
    for room in rooms:
        for _ in range(ROOM):
            room.put(None)

    def work(stage: Stage, k: int) -> None:
        take, vacate, room, give = queues[k].get, rooms[k].put, rooms[k + 1].get, queues[k + 1].put
        while (tensors := take()) is not None:
            vacate(None)
            made = stage(tensors)
            room()
            give(made)
        give(None)

    class First:
        def put(self, tensors: Any) -> None:
            if tensors is not None:
                rooms[0].get()
            queues[0].put(tensors)

    class Last:
        def get(self) -> Any:
            made = queues[-1].get()
            rooms[-1].put(None)
            return made

    return _through([(work, (stage, k)) for k, stage in enumerate(stages)], [First(), Last()], frames)


def _through(
    workers: Sequence[tuple[Callable[..., None], tuple[Any, ...]]], ends: Sequence[Any], frames: Iterable[Tensors]
) -> Iterator[Tensors]:
    def feed() -> None:
        for frame in frames:
            ends[0].put(frame)
        ends[0].put(None)

    threads = [threading.Thread(target=work, args=args, daemon=True) for work, args in (*workers, (feed, ()))]
    for thread in threads:
        thread.start()
    while (made := ends[-1].get()) is not None:
        yield made
    for thread in threads:
        thread.join()


def replicas(stages: Sequence[Stage], frames: Iterable[Tensors]) -> Iterator[Tensors]:
    """Yield results of as many threads of a pool, each of which runs whole inferences."""

    def whole(frame: Tensors) -> Tensors:
        for stage in stages:
            frame = stage(frame)
        return frame

    count = len(stages)
    with ThreadPoolExecutor(count) as pool:
        under_way: deque[Future[Tensors]] = deque()
        for frame in frames:
            under_way.append(pool.submit(whole, frame))
            if len(under_way) >= (1 + ROOM) * count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def processes(stages: Sequence[Stage], frames: Iterable[Tensors]) -> Iterator[Tensors]:
    """Yield results of a process per stage with a `multiprocessing.Queue` between two."""
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(ROOM) for _ in range(len(stages) + 1)]
    workers = [context.Process(target=_serve, args=(stage, *queues[k : k + 2])) for k, stage in enumerate(stages)]
    for worker in workers:
        worker.start()

    def feed() -> None:
        for frame in frames:
            queues[0].put(frame)
        queues[0].put(None)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    while (made := queues[-1].get()) is not None:
        yield made
    for worker in workers:
        worker.join()
    feeder.join()


def _serve(stage: Stage, takes: Any, gives: Any) -> None:
    while (tensors := takes.get()) is not None:
        gives.put(stage(tensors))
    gives.put(None)
