"""A clock on which every inference takes at least its predicted time, and the machine's time passes meanwhile.

What follows an inference follows it at the time when it was due, not at the time when a thread woke up: where the
machine is late, the next inference has that much less time to wait, and what is late does not add up. The imagined
device is at work from the time when it is given the inference, however late the thread that stands for it wakes up.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush, heapreplace
from time import perf_counter_ns, sleep

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.clock import Clock, Report
from segsolve_runtime.flow.job import Job

_LATE_NS = 200_000_000
"""What a busy machine may be late and make up for; an inference that ends later was due so long before its end."""


class PacedClock:
    """The machine's clock, with what happens taken note of in the order in which it is due."""

    is_virtual = False

    def __init__(self, place_ns: Mapping[Place, int]) -> None:
        self._place_ns = place_ns
        self._origin_ns = perf_counter_ns()
        self._present_ns = 0
        self._ahead: list[tuple[int, int, Place]] = []
        self._given_ns: dict[Place, int] = {}
        self._due_ns: dict[Place, int] = {}
        self._overdue: dict[Place, tuple[int, int]] = {}
        self._done: set[Place] = set()
        self._reports: dict[Place, Report] = {}

    def now(self) -> int:
        """Return the machine's time."""
        return perf_counter_ns() - self._origin_ns

    stamp = now

    def begin(self, place: Place, job: Job) -> None:
        """Note when the inference is due: counted from what let it begin, or from when its frame came."""
        came_ns = job.accepted_ns if place.stage == 0 else 0
        due_ns = max(self._present_ns, came_ns) + self._place_ns[place]
        self._due_ns[place], self._given_ns[place] = due_ns, self.now()
        heappush(self._ahead, (due_ns, job.number, place))

    def hold(self, place: Place) -> None:
        """Wait until the inference at a place is due; called by the place's worker, which is done with it."""
        self._done.add(place)
        if (left_ns := self._due_ns[place] - self.now()) > 0:
            sleep(left_ns / 1e9)

    def add(self, report: Report) -> None:
        """Note that a place has reported."""
        place = report.place
        self._reports[place] = report
        if place in self._overdue:
            heappush(self._ahead, (*self._overdue.pop(place), place))

    def due(self) -> Report | None:
        """Return the report of what was due first, if it is there; what is still at work then is not waited for."""
        while self._ahead:
            due_ns, number, place = self._ahead[0]
            report = self._reports.get(place)
            if report is None:
                if due_ns > self.now() or place in self._done:
                    return None
                heappop(self._ahead)
                self._overdue[place] = due_ns, number
            elif report.end_ns - due_ns > _LATE_NS:
                heapreplace(self._ahead, (report.end_ns - _LATE_NS, number, place))
            else:
                heappop(self._ahead)
                self._present_ns = max(self._present_ns, due_ns)
                self._done.discard(place)
                found = self._reports.pop(place)
                found.start_ns = min(found.start_ns, self._given_ns[place])
                return found
        return None

    def is_waiting(self) -> bool:
        """Tell whether an inference that was due is done and about to be reported."""
        return bool(self._ahead) and self._ahead[0][0] <= self.now() and self._ahead[0][2] in self._done

    def skip(self, until_ns: int) -> bool:
        """Do nothing: time passes by itself."""
        return False

    def advance(self) -> Report | None:
        """Do nothing: time passes by itself."""
        return None


def paced_clocks(place_ns: Mapping[Place, int]) -> Clock:
    """Return a clock on which an inference at each place takes at least ``place_ns``."""
    return PacedClock(place_ns)
