"""Time as a run sees it: the machine's, or one that passes as the plan predicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from time import perf_counter_ns
from typing import Protocol, TypeAlias

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.job import Job, Outcome


@dataclass(slots=True)
class Report:
    """An inference that came to its end, well or badly, at a place; times in ns since the run began."""

    place: Place
    job: Job
    outcome: Outcome
    start_ns: int
    end_ns: int


class Clock(Protocol):
    """A run's time, in ns since it began, and the order in which what its places report is taken note of."""

    is_virtual: bool

    def now(self) -> int:
        """Return the present."""
        ...

    def stamp(self) -> int:
        """Return the time for a worker's report, from any thread."""
        ...

    def begin(self, place: Place, job: Job) -> None:
        """Note that an inference begins at a place now."""
        ...

    def hold(self, place: Place) -> None:
        """Wait, in the thread of a place that is done with its inference, until it may report."""
        ...

    def add(self, report: Report) -> None:
        """Note that a place has reported."""
        ...

    def due(self) -> Report | None:
        """Return the next report of what has happened until the present."""
        ...

    def is_waiting(self) -> bool:
        """Tell whether something has happened until the present that was not reported yet."""
        ...

    def skip(self, until_ns: int) -> bool:
        """Let time pass until then if nothing happens before; tell whether it has."""
        ...

    def advance(self) -> Report | None:
        """Let time pass until the next thing happens, and return its report if it is there."""
        ...


ClockFactory: TypeAlias = Callable[[Mapping[Place, int]], Clock]
"""Makes the clock of a run that begins now, from the predicted ns of an inference at each place."""


class WallClock:
    """The machine's monotonic clock: what is reported has happened."""

    is_virtual = False

    def __init__(self) -> None:
        self._origin_ns = perf_counter_ns()
        self._reports: deque[Report] = deque()

    def now(self) -> int:
        """Return the present."""
        return perf_counter_ns() - self._origin_ns

    stamp = now

    def begin(self, place: Place, job: Job) -> None:
        """Do nothing: time passes by itself."""

    def hold(self, place: Place) -> None:
        """Return at once."""

    def add(self, report: Report) -> None:
        """Note that a place has reported."""
        self._reports.append(report)

    def due(self) -> Report | None:
        """Return the reports in the order in which they came."""
        return self._reports.popleft() if self._reports else None

    def is_waiting(self) -> bool:
        """Tell that nothing is waited for."""
        return False

    def skip(self, until_ns: int) -> bool:
        """Do nothing: time passes by itself."""
        return False

    def advance(self) -> Report | None:
        """Do nothing: time passes by itself."""
        return None


class VirtualClock:
    """A clock on which every inference takes the predicted time, however the threads are scheduled.

    What is to happen is known from the start of each inference; it is taken note of in the order of its times and, at
    the same time, of the inferences' numbers, when the place that it happens at has reported.
    """

    is_virtual = True

    def __init__(self, place_ns: Mapping[Place, int]) -> None:
        self._place_ns = place_ns
        self._now_ns = 0
        self._ahead: list[tuple[int, int, Place, int]] = []
        self._reports: dict[Place, Report] = {}

    def now(self) -> int:
        """Return the present."""
        return self._now_ns

    def stamp(self) -> int:
        """Return nothing of meaning: a report's times follow from the prediction."""
        return 0

    def begin(self, place: Place, job: Job) -> None:
        """Note when the inference will end."""
        heappush(self._ahead, (self._now_ns + self._place_ns[place], job.number, place, self._now_ns))

    def hold(self, place: Place) -> None:
        """Return at once."""

    def add(self, report: Report) -> None:
        """Note that a place has reported."""
        self._reports[report.place] = report

    def due(self) -> Report | None:
        """Return the report of what has happened until the present, if it is there."""
        return self._take() if self._ahead and self._ahead[0][0] <= self._now_ns else None

    def is_waiting(self) -> bool:
        """Tell whether an inference that has ended by now has not been reported."""
        return bool(self._ahead) and self._ahead[0][0] <= self._now_ns

    def skip(self, until_ns: int) -> bool:
        """Move on to then, unless an inference ends before or at that time."""
        if self._ahead and self._ahead[0][0] <= until_ns:
            return False
        self._now_ns = until_ns
        return True

    def advance(self) -> Report | None:
        """Move on to the end of the inference that ends next, if its place has reported."""
        return self._take() if self._ahead else None

    def _take(self) -> Report | None:
        end_ns, _, place, start_ns = self._ahead[0]
        report = self._reports.pop(place, None)
        if report is not None:
            heappop(self._ahead)
            self._now_ns = max(self._now_ns, end_ns)
            report.start_ns, report.end_ns = start_ns, end_ns
        return report


def wall_clocks(place_ns: Mapping[Place, int]) -> Clock:
    """Return the machine's clock."""
    return WallClock()


def virtual_clocks(place_ns: Mapping[Place, int]) -> Clock:
    """Return a clock on which an inference at each place takes ``place_ns``, and every frame is there at time 0."""
    return VirtualClock(place_ns)
