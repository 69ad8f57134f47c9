"""Which inference runs on which stage when: the specification that the threaded pipeline reproduces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One inference on one stage; times in ns since the pipeline began."""

    stage: int
    inference: int
    start_ns: int
    end_ns: int


def schedule(stage_ns: Sequence[int], count: int, queue_size: int) -> tuple[Slot, ...]:
    """Return the slots of `count` inferences, ordered by inference and then by stage.

    Every input is there at time 0 and every output is taken at once. Between two stages lies a queue of
    `queue_size` items; a stage that finds it full keeps its result, and itself, until the next stage starts
    on the oldest item::

        start[k][n] = max(put[k-1][n], put[k][n-1])
        end[k][n]   = start[k][n] + stage_ns[k]
        put[k][n]   = max(end[k][n], start[k+1][n-queue_size])

    Raises:
        ValueError: `queue_size` is smaller than 1.
    """
    if queue_size < 1:
        raise ValueError(f"the queue size is {queue_size}; it must be at least 1")
    starts: list[list[int]] = [[] for _ in stage_ns]
    free_ns = [0] * len(stage_ns)
    slots = []
    for n in range(count):
        put_ns = 0
        for k, duration in enumerate(stage_ns):
            start = max(put_ns, free_ns[k])
            slots.append(Slot(stage=k, inference=n, start_ns=start, end_ns=start + duration))
            starts[k].append(start)
            is_queue_tight = k + 1 < len(stage_ns) and n >= queue_size
            room_ns = starts[k + 1][n - queue_size] if is_queue_tight else 0
            put_ns = free_ns[k] = max(start + duration, room_ns)
    return tuple(slots)
