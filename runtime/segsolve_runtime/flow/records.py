"""Counters of a run, written where things happen; `metrics` makes figures of them."""

from __future__ import annotations

from collections import deque

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.schedule import Slot

WINDOW = 2_000
"""Percentiles are those of this many latest inferences, so that an endless run needs no more memory."""


class PlaceRecord:
    """Adds up what one place does: busy, blocked with a result that has nowhere to go, starved of input."""

    __slots__ = ("blocked_ns", "busy_ns", "end_ns", "free_ns", "inferences", "place", "starved_ns", "times_ns")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.inferences = self.busy_ns = self.blocked_ns = self.starved_ns = 0
        self.free_ns = self.end_ns = 0
        self.times_ns: deque[int] = deque(maxlen=WINDOW)

    def ran(self, start_ns: int, end_ns: int, *, counts: bool = True) -> None:
        """Add the time of an inference, and count it unless it failed."""
        self.inferences += counts
        self.starved_ns += max(0, start_ns - self.free_ns)
        self.busy_ns += end_ns - start_ns
        self.times_ns.append(end_ns - start_ns)
        self.end_ns = self.free_ns = end_ns

    def handed_on(self, at_ns: int) -> None:
        """Note that the latest result left the place."""
        self.blocked_ns += max(0, at_ns - self.end_ns)
        self.free_ns = max(self.free_ns, at_ns)


class DepthRecord:
    """Follows the length of a queue: its mean over time, and the most that it was."""

    __slots__ = ("_area_ns", "_since_ns", "depth", "most")

    def __init__(self) -> None:
        self.depth = self.most = self._area_ns = self._since_ns = 0

    def change(self, depth: int, at_ns: int) -> None:
        """Note that the queue has another length."""
        self._area_ns += self.depth * (at_ns - self._since_ns)
        self._since_ns, self.depth = at_ns, depth
        self.most = max(self.most, depth)

    def mean(self, begin_ns: int, at_ns: int) -> float:
        """Return the mean length from the run's beginning to a time."""
        area = self._area_ns + self.depth * max(0, at_ns - self._since_ns)
        return area / (at_ns - begin_ns) if at_ns > begin_ns else 0.0


class FlowRecord:
    """Follows inferences from their acceptance to their results."""

    __slots__ = ("accepted", "count", "dropped", "first_ns", "last_ns", "latencies_ns")

    def __init__(self) -> None:
        self.accepted = self.count = self.dropped = self.first_ns = self.last_ns = 0
        self.latencies_ns: deque[int] = deque(maxlen=WINDOW)

    def accept(self, at_ns: int) -> None:
        """Note that a frame entered."""
        if not self.accepted:
            self.first_ns = at_ns
        self.accepted += 1

    def deliver(self, accepted_ns: int, ready_ns: int) -> None:
        """Note that a result, of a frame accepted at a time and ready at another, was given out."""
        self.latencies_ns.append(ready_ns - accepted_ns)
        self.last_ns = max(self.last_ns, ready_ns)
        self.count += 1


class SlotRecord:
    """Keeps which inference ran where and when: of none, of the first so many, or of all."""

    __slots__ = ("_most", "slots")

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.slots: list[Slot] = []

    def add(self, place: Place, inference: int, start_ns: int, end_ns: int) -> None:
        """Keep a slot if its inference is among those to be kept."""
        if self._most is None or inference < self._most:
            self.slots.append(
                Slot(
                    pipeline=place.pipeline,
                    stage=place.stage,
                    replica=place.replica,
                    inference=inference,
                    start_ns=start_ns,
                    end_ns=end_ns,
                )
            )
