"""When a batch ends: the runtime's schedule, written down once more.

Inferences are given out in their order, each to the pipeline that can begin it first, of several to the first one. The
devices of a stage take turns; two results wait between two stages at most, and a device that finds no room keeps its
result and itself. Where link or host have less than all pipelines at full rate need, each begins an inference only as
often as its share of them allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from segsolve.checker.costs import PipelineCost, parts
from segsolve.checker.failure import CertificateFault

_QUEUE = 2
_MOST_STEPS = 10**7  # inferences times stages


def makespan_ns(pipelines: Sequence[PipelineCost], inferences: int) -> int:
    """Return the time at which the last of some inferences ends that all wait at time 0.

    Raises:
        CertificateFault: they are too many to follow.
    """
    if inferences * max(len(pipeline.times_ns) for pipeline in pipelines) > _MOST_STEPS:
        raise CertificateFault(f"a batch of {inferences} is too large to be followed inference by inference")
    pairs = zip(pipelines, _intervals(pipelines), strict=True)
    courses = [_Course(pipeline, interval) for pipeline, interval in pairs if interval is not None]
    return max(min(courses, key=_Course.begins_ns).run() for _ in range(inferences))


class _Course:
    """What has happened in a pipeline, as far as it still matters."""

    def __init__(self, pipeline: PipelineCost, interval: Fraction) -> None:
        self._times, self._interval = pipeline.times_ns, interval
        self._starts: list[deque[int]] = [deque(maxlen=_QUEUE) for _ in pipeline.times_ns]
        self._freed: list[deque[int]] = [deque(maxlen=count) for count in pipeline.devices]
        self._gate = Fraction(0)

    def begins_ns(self) -> int:
        """Return when the next inference can begin."""
        return max(_oldest(self._freed[0]), ceil(self._gate))

    def run(self) -> int:
        """Do one more inference, and return when it ends."""
        handed = self.begins_ns()
        if self._interval:
            self._gate = (self._gate if handed == ceil(self._gate) else Fraction(handed)) + self._interval
        end = handed
        for stage, time in enumerate(self._times):
            start = max(handed, _oldest(self._freed[stage]))
            end = start + time
            room = _oldest(self._starts[stage + 1]) if stage + 1 < len(self._times) else 0
            handed = max(end, room)
            self._starts[stage].append(start)
            self._freed[stage].append(handed)
        return end


def _oldest(times: deque[int]) -> int:
    return times[0] if len(times) == times.maxlen else 0


def _intervals(pipelines: Sequence[PipelineCost]) -> list[Fraction | None]:
    """Return the least time between two beginnings in each pipeline; None where it is left nothing."""
    found = parts(pipelines)
    if all(part == 1 for part in found):
        return [Fraction(0)] * len(found)
    return [max(1, p.bottleneck_ns) / part if part else None for p, part in zip(pipelines, found, strict=True)]
