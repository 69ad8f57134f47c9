"""A device that several pipelines share, and the proportion that their frames keep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence


class SharedDevice:
    """Lets one stage at a time run on a device, in the order in which they asked.

    A stage asks for one inference at a time and does not keep the device while it waits to hand on its result, so that
    all residents of a device are served in turn, and none can block another for good. `free_ns` is when the last
    inference was due to end, where stages are held to predicted times (absolute, as `perf_counter_ns` counts).
    """

    __slots__ = ("_holder", "_lock", "_waiting", "free_ns")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[object, threading.Lock]] = deque()
        self._holder: object = None
        self.free_ns = 0

    def acquire(self, holder: object) -> None:
        """Wait for the device."""
        with self._lock:
            if self._holder is None:
                self._holder = holder
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((holder, turn))
        turn.acquire()

    def release(self, holder: object) -> None:
        """Give the device to whoever has waited longest, unless it was taken away from its holder before."""
        with self._lock:
            if self._holder is not holder:
                return
            self._holder = None
            if self._waiting:
                self._holder, turn = self._waiting.popleft()
                turn.release()


class Proportion:
    """Lets several sources begin frames in the proportion of their weights, without a clock.

    A source that is ahead of the others by more than `ahead` periods waits. One that has ended holds back nobody.
    """

    def __init__(self, weights: Sequence[int], ahead: int = 2) -> None:
        """Take the weight of each source.

        Raises:
            ValueError: a weight, or `ahead`, is smaller than 1.
        """
        if min(weights, default=0) < 1 or ahead < 1:
            raise ValueError("weights, and how far a source may be ahead, must be at least 1")
        self._weights, self._ahead = tuple(weights), ahead
        self._begun = [0] * len(weights)
        self._has_ended = [False] * len(weights)
        self._changed = threading.Condition()

    def wait(self, source: int) -> None:
        """Wait until a source may begin its next frame, and count it."""
        with self._changed:
            self._changed.wait_for(lambda: self.may_begin(source))
            self._begun[source] += 1
            self._changed.notify_all()

    def may_begin(self, source: int) -> bool:
        """Whether a source is not too far ahead of the others."""
        others = [self._begun[s] // w for s, w in enumerate(self._weights) if s != source and not self._has_ended[s]]
        return not others or self._begun[source] // self._weights[source] < min(others) + self._ahead

    def begin(self, source: int) -> None:
        """Count a frame that begins."""
        self._begun[source] += 1

    def end(self, source: int) -> None:
        """Hold back nobody for a source any more."""
        with self._changed:
            self._has_ended[source] = True
            self._changed.notify_all()
