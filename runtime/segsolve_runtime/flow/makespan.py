"""When a batch ends by the schedule, however large it is: what repeats is not followed again.

What a pipeline does next depends on a few times alone (`schedule.Course.state`). Once these are as they were some
inferences before, but for so many ns, all that follows is as it was, too, so many ns later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from segsolve_runtime.flow.schedule import Course, Lane, courses_of


def makespan_ns(lanes: Sequence[Lane], count: int, queue_size: int) -> int:
    """Return when the last of `count` inferences ends that `schedule.schedule_lanes` gives out at time 0.

    When a pipeline can begin its next inference hangs on itself alone. So the inferences begin at the first so many of
    all these times, at equal ones in the pipeline of the lowest index.
    """
    progress = [Progress(course) for course in courses_of(lanes, queue_size)]
    low, high = 0, 1
    while sum(each.begun(high, count) for each in progress) < count:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if sum(each.begun(middle, count) for each in progress) < count:
            low = middle + 1
        else:
            high = middle
    before = [each.begun(low - 1, count) for each in progress]
    left, last = count - sum(before), 0
    for each, sooner in zip(progress, before, strict=True):
        now = min(left, each.begun(low, count) - sooner)
        left -= now
        last = max(last, each.end_ns(sooner + now))
    return last


class Progress:
    """When a pipeline by itself begins and has ended 1, 2, ... inferences that are all there at time 0."""

    def __init__(self, course: Course) -> None:
        self._course, self._begins, self._ends = course, _Times(), _Times()
        self._kept: tuple[int, tuple[Fraction | int, ...]] = (0, ())
        self._cycle: _Cycle | None = None

    def begun(self, time_ns: int, most: int) -> int:
        """Return how many inferences, of so many, have begun at a time or before."""
        return self._until(self._begins, time_ns, most)

    def ended(self, time_ns: int, most: int) -> int:
        """Return how many inferences, of so many, have ended at a time or before, with all that began before them."""
        return self._until(self._ends, time_ns, most)

    def end_ns(self, count: int) -> int:
        """Return when the first so many inferences have ended."""
        while len(self._ends.known) < count and self._cycle is None:
            self._follow()
        return self._ends.at(count, self._cycle) if count else 0

    def _until(self, times: _Times, time_ns: int, most: int) -> int:
        while self._cycle is None and len(times.known) < most and (not times.known or times.known[-1] <= time_ns):
            self._follow()
        return min(most, times.until(time_ns, self._cycle, most))

    def _follow(self) -> None:
        """Follow one more inference, and see whether all is as it was when as many as a power of 2 had begun."""
        starts = self._course.run()
        end = max(self._course.end_ns(starts), self._ends.known[-1] if self._ends.known else 0)
        self._begins.known.append(starts[0])
        self._ends.known.append(end)
        count, state = len(self._ends.known), (end - starts[0], *self._course.state(starts[0]))
        first, kept = self._kept
        if state == kept:
            self._cycle = _Cycle(count - first, starts[0] - self._begins.known[first - 1])
        elif count & (count - 1) == 0:
            self._kept = (count, state)


@dataclass(frozen=True, slots=True)
class _Cycle:
    """After so many inferences all is as it was, so many ns later."""

    inferences: int
    ns: int


@dataclass(frozen=True, slots=True)
class _Times:
    """Times that do not fall, of the inferences that were followed."""

    known: list[int] = field(default_factory=list)

    def at(self, number: int, cycle: _Cycle | None) -> int:
        """Return the time of the inference of a number, from 1 on."""
        if (beyond := number - len(self.known)) <= 0 or cycle is None:
            return self.known[number - 1]
        turns = -(-beyond // cycle.inferences)
        return self.known[number - 1 - turns * cycle.inferences] + turns * cycle.ns

    def until(self, time_ns: int, cycle: _Cycle | None, most: int) -> int:
        """Return how many times there are until one, `most` if there is no end of them."""
        beyond = time_ns - self.known[-1]
        if beyond < 0 or cycle is None:
            return bisect_right(self.known, time_ns)
        if not cycle.ns:
            return most
        turns = beyond // cycle.ns + 1
        return bisect_right(self.known, time_ns - turns * cycle.ns) + turns * cycle.inferences
