"""Time as a worker sees it: the machine's, or one that passes as the plan predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Protocol, TypeAlias


class Clock(Protocol):
    """One worker's time, in ns since the run began."""

    def at_least(self, event_ns: int) -> int:
        """Return the present, given that something at `event_ns` has already happened."""
        ...

    def finish(self) -> int:
        """Return the present at the end of an inference."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks of one run: the source's and one per stage."""

    source: Clock
    stages: tuple[Clock, ...]


ClockFactory: TypeAlias = Callable[[Sequence[int]], Clocks]
"""Makes the clocks of a run that begins now, from the predicted ns of each stage."""


class WallClock:
    """The machine's monotonic clock; one serves all workers."""

    __slots__ = ("_origin_ns",)

    def __init__(self) -> None:
        self._origin_ns = perf_counter_ns()

    def at_least(self, event_ns: int) -> int:
        """Return the present; whatever has happened lies before it by itself."""
        return self.finish()

    def finish(self) -> int:
        """Return the present."""
        return perf_counter_ns() - self._origin_ns


class VirtualClock:
    """A worker's own time, moved only by the events that it waits for and by its inferences."""

    __slots__ = ("_inference_ns", "_now_ns")

    def __init__(self, inference_ns: int) -> None:
        self._inference_ns = inference_ns
        self._now_ns = 0

    def at_least(self, event_ns: int) -> int:
        """Move on to `event_ns` unless it is past, and return the present."""
        self._now_ns = max(self._now_ns, event_ns)
        return self._now_ns

    def finish(self) -> int:
        """Let one inference's predicted time pass, and return the present."""
        self._now_ns += self._inference_ns
        return self._now_ns


def wall_clocks(stage_ns: Sequence[int]) -> Clocks:
    """Return the machine's clock for the source and all stages."""
    clock = WallClock()
    return Clocks(source=clock, stages=(clock,) * len(stage_ns))


def virtual_clocks(stage_ns: Sequence[int]) -> Clocks:
    """Return clocks on which stage `k` takes ``stage_ns[k]``, and the source gives every frame at time 0."""
    return Clocks(source=VirtualClock(0), stages=tuple(map(VirtualClock, stage_ns)))
