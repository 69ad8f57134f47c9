"""The times of all operations of a model, from passes through it in segments of one operation.

A pass runs the operations in their order, each on what the ones before it made, so that caches hold what they hold in
a whole inference; the whole model runs in every pass too, so that a drift of the machine meets both. What an
invocation costs by itself is what the operations' sum exceeds the whole model by, per operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from segsolve.graph.read import LoadedModel
from segsolve.measure.inputs import noise, segment_of, units_of
from segsolve.measure.samples import Summary, summarise
from segsolve.measure.session import Session, Tensors, Timing, try_whole
from segsolve.segments.writer import Segment

_MOST_RUNS = 2_000  # so that what takes next to no time comes to an end too


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much to measure: timed runs at least, and runs before them that are not counted.

    What is short is run for `seconds` of CPU time, so that a moment's disturbance does not meet all runs.
    """

    runs: int = 25
    warm_up: int = 3
    seconds: float = 0.2

    def is_enough(self, times_ns: Sequence[int]) -> bool:
        """Whether that many runs, and that long, will do."""
        return len(times_ns) >= self.runs and (sum(times_ns) >= 1e9 * self.seconds or len(times_ns) >= _MOST_RUNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTimes:
    """Times in ns. `units` pairs each smallest segment with its invocation, `inputs` and `outputs` are by tensor.

    `invocation_ns` is in each unit's time. `whole` is the whole model, with its inputs put in and outputs taken out.
    """

    units: tuple[tuple[Segment, Summary], ...]
    inputs: dict[int, Summary]
    outputs: dict[int, Summary]
    whole: Summary
    invocation_ns: int
    tensors: Tensors


def measure_operations(loaded: LoadedModel, *, effort: Effort, seed: int) -> OperationTimes:
    """Measure every operation of a model on this machine's CPU.

    Raises:
        ModelError: LiteRT cannot run the model.
    """
    segments = units_of(loaded.graph)
    try_whole(loaded, noise(loaded.graph, seed))
    sessions = [Session(loaded, segment) for segment in segments]
    whole = Session(loaded, segment_of(loaded.graph, 0, len(loaded.graph.ops)))
    tensors, passes, wholes = noise(loaded.graph, seed), list[list[Timing]](), list[Timing]()
    for _ in range(effort.warm_up):
        _pass(sessions, whole, tensors)
    while not effort.is_enough([_total(one) for one in wholes]):
        timings, one = _pass(sessions, whole, tensors)
        passes.append(timings)
        wholes.append(one)
    times = [summarise([timings[k].invoke_ns for timings in passes]) for k in range(len(segments))]
    return OperationTimes(
        units=tuple(zip(segments, times, strict=True)),
        inputs=_by_tensor(passes, lambda timing: timing.inputs_ns),
        outputs=_by_tensor(passes, lambda timing: timing.outputs_ns),
        whole=summarise([_total(timing) for timing in wholes]),
        invocation_ns=_invocation_ns(times, summarise([timing.invoke_ns for timing in wholes])),
        tensors=tensors,
    )


def _pass(sessions: Sequence[Session], whole: Session, tensors: Tensors) -> tuple[list[Timing], Timing]:
    return [session.timed_parts(tensors) for session in sessions], whole.timed_parts(dict(tensors))


def _invocation_ns(times: Sequence[Summary], whole: Summary) -> int:
    """Return the cost of an invocation; no more than the fastest operation takes, nor less than nothing."""
    excess = sum(time.time_ns for time in times) - whole.time_ns
    return max(0, min(excess // max(1, len(times) - 1), *(time.time_ns for time in times)))


def _by_tensor(passes: Sequence[Sequence[Timing]], part: Callable[[Timing], Mapping[int, int]]) -> dict[int, Summary]:
    found: dict[int, list[int]] = {}
    for timings in passes:
        for timing in timings:
            for tensor, ns in part(timing).items():
                found.setdefault(tensor, []).append(ns)
    return {tensor: summarise(times) for tensor, times in found.items()}


def _total(timing: Timing) -> int:
    return timing.invoke_ns + sum(timing.inputs_ns.values()) + sum(timing.outputs_ns.values())
