"""A device that several pipelines share, and the proportion that their frames keep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

_MOST_ROOM = 16  # inferences


def room_of(weight: int, queue_size: int) -> int:
    """Return how many inferences may wait for a stage of a model that does `weight` in a period.

    While a device does another model's long inference, the stages behind it live on what waits for them.
    """
    return max(queue_size, min(weight, _MOST_ROOM))


class SharedDevice:
    """A device whose residents, stages of several pipelines, run there one at a time.

    They are served as they ask, each of which asks for one inference at a time and does not keep the device while it
    waits to hand on its result: so nobody waits for another one more than once, and none can block another for good.

    `in_proportion`, the turn is that of the resident that is furthest behind its weight, also where that has just run
    and goes on: else one of long inferences would hold up one that has several for each of those. `free_ns` is when
    the last inference was due to end, where stages are held to predicted times (absolute, as `perf_counter_ns` counts).
    """

    __slots__ = ("_holder", "_lock", "_residents", "_waiting", "free_ns", "in_proportion")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Resident, object, threading.Lock]] = deque()
        self._residents: list[Resident] = []
        self._holder: object = None
        self.in_proportion = False
        self.free_ns = 0

    def resident(self, weight: int | Fraction) -> Resident:
        """Return a new resident, by which its stage asks for the device."""
        made = Resident(self, weight)
        self._residents.append(made)
        return made

    def begin(self, *, in_proportion: bool) -> None:
        """Count anew how often residents ran."""
        with self._lock:
            self.in_proportion = in_proportion
            for resident in self._residents:
                resident.begun = 0

    def acquire(self, resident: Resident, holder: object) -> None:
        """Wait for the device, unless it is kept for this holder."""
        with self._lock:
            if self._holder is None or self._holder is holder:
                self._holder = holder
                resident.begun += 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((resident, holder, turn))
        turn.acquire()

    def release(self, resident: Resident, holder: object, *, goes_on: bool = False) -> None:
        """Give the device to the one whose turn it is, unless it was taken away from its holder before.

        A holder that `goes_on` will ask again at once, and wait for nothing before that: if it is its turn, the device
        is kept for it.
        """
        with self._lock:
            if self._holder is not holder:
                return
            waiting, following = self._waiting, 0
            if self.in_proportion:
                following = min(range(len(waiting)), key=lambda k: waiting[k][0].turn, default=0)
                if goes_on and (not waiting or resident.turn < waiting[following][0].turn):
                    return
            self._holder = None
            if waiting:
                other, self._holder, turn = waiting[following]
                del waiting[following]
                other.begun += 1
                turn.release()


class Resident:
    """A stage that lives on a device which it shares: its inferences in a period, and how often it ran there."""

    __slots__ = ("begun", "device", "weight")

    def __init__(self, device: SharedDevice, weight: int | Fraction) -> None:
        self.device, self.weight, self.begun = device, weight, 0

    @property
    def turn(self) -> Fraction:
        """How many periods it is in: the smallest is served first."""
        return Fraction(self.begun, self.weight)

    def acquire(self, holder: object) -> None:
        """Wait for the device."""
        self.device.acquire(self, holder)

    def release(self, holder: object, *, goes_on: bool = False) -> None:
        """Give it back; see `SharedDevice.release`."""
        self.device.release(self, holder, goes_on=goes_on)


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
