"""Geometry of a timeline: a row per TPU and per stage on the CPU, a bar per inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsolve.cost.plan import plan_timeline
from segsolve.report.strategy import StrategyView
from segsolve_runtime.flow.schedule import Slot
from segsolve_runtime.observe.measurement import Measurement

WIDTH = 1000.0
_MOST_BARS = 220
_LEAST_INFERENCES, _MOST_INFERENCES = 5, 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An inference, by its name, on one device; `stage` is the number of what gives the colour."""

    row: int
    stage: int
    name: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A time on the axis."""

    x: float
    ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """A timeline drawn from 0 to `span_ns`; a line marks `filled_ns`, when the first result is ready."""

    names: tuple[str, ...]
    inferences: int
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    span_ns: int
    end_ns: int
    filled_ns: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.names)

    @property
    def filled_x(self) -> float:
        """Where the first result is ready."""
        return round(self.filled_ns / self.span_ns * WIDTH, 1)


def shown_inferences(stages: int) -> int:
    """Return how many inferences show the filling and some of the steady state without becoming too many bars."""
    return max(_LEAST_INFERENCES, min(_MOST_INFERENCES, stages + 6, _MOST_BARS // stages))


def predicted(strategies: Sequence[StrategyView], inferences: int) -> tuple[Gantt, ...]:
    """Return the predicted timelines of strategies on the same axis."""
    slots = [plan_timeline(strategy.score, inferences) for strategy in strategies]
    span = max((slot.end_ns for one in slots for slot in one), default=1)
    return tuple(_gantt(one, strategy, span) for one, strategy in zip(slots, strategies, strict=True))


def measured(measurement: Measurement, plan: StrategyView, inferences: int) -> Gantt:
    """Return the measured timeline on an axis of its own: it may come from another kind of machine."""
    slots = [
        Slot(
            pipeline=s.pipeline,
            stage=s.stage,
            replica=s.replica,
            inference=s.inference,
            start_ns=s.start_ns,
            end_ns=s.end_ns,
        )
        for s in measurement.timeline
        if s.inference < inferences
    ]
    return _gantt(slots, plan, max((slot.end_ns for slot in slots), default=1))


def _gantt(slots: Sequence[Slot], strategy: StrategyView, span_ns: int) -> Gantt:
    span_ns, rows = max(1, span_ns), strategy.rows
    return Gantt(
        names=strategy.row_names,
        inferences=1 + max((slot.inference for slot in slots), default=-1),
        bars=tuple(
            _bar(
                slot,
                rows[slot.pipeline, slot.stage, slot.replica],
                strategy.stage_of(slot.pipeline, slot.stage).number,
                span_ns,
            )
            for slot in slots
        ),
        ticks=tuple(Tick(x=round(t / span_ns * WIDTH, 1), ns=t) for t in round_times(span_ns)),
        span_ns=span_ns,
        end_ns=max((slot.end_ns for slot in slots), default=0),
        filled_ns=max((slot.end_ns for slot in slots if slot.inference == 0), default=0),
    )


def _bar(slot: Slot, row: int, stage: int, span_ns: int) -> Bar:
    x = slot.start_ns / span_ns * WIDTH
    width = (slot.end_ns - slot.start_ns) / span_ns * WIDTH
    return Bar(row=row, stage=stage, name=str(slot.inference), x=round(x, 1), width=round(max(width, 0.3), 1))


def round_times(span_ns: int) -> range:
    """Return five to ten multiples of 1, 2 or 5 times a power of ten."""
    step = 1
    while span_ns / step > 10:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return range(0, span_ns + 1, step)
