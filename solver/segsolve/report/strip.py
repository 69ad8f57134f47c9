"""Geometry of the network as a strip of operations, and of a strategy's stages along it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from segsolve.report.plan_view import Details
from segsolve.report.strategy import PipelineView, StageView, StrategyView

WIDTH = 1000.0
SHORT_LABEL, LONG_LABEL = 14.0, 82.0
"""Widths of a box that has room for a stage's number, and for its number and time."""
_LEAST_SHARE = 0.0006  # of the strip, so that an operation without weights can still be pointed at


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Operations `first` to `end` (exclusive) as a stretch of the strip.

    `number` is that of the stage, or of the operation; `tag` is what a stage is labelled with. A stage of several
    stretches has its time in the widest one.
    """

    number: int
    tag: str
    first: int
    end: int
    x: float
    width: float
    has_time: bool = True

    @property
    def middle(self) -> float:
        """Where a label is centred."""
        return round(self.x + self.width / 2, 2)

    def full_label(self, text: str) -> str:
        """Return the label where there is room: with a time in ms."""
        return f"{self.tag} · {text} ms" if self.has_time else self.tag

    def label(self, text: str) -> str:
        """Return the label with a time in ms, the tag alone, or nothing, as it fits."""
        if self.width >= LONG_LABEL:
            return self.full_label(text)
        return self.tag if self.width >= SHORT_LABEL else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One pipeline along the strip: its stages, and which operations stream because they do not fit."""

    strategy: StrategyView
    pipeline: PipelineView
    stages: tuple[Box, ...]
    spilled: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The operations; the edges are where each begins and the last one ends, by time or by weights."""

    time_edges: tuple[float, ...]
    weight_edges: tuple[float, ...]
    operations: tuple[Box, ...]

    def lane(self, strategy: StrategyView, pipeline: int = 0) -> Lane:
        """Return the lane of a strategy's distinct pipeline, by time."""
        shown = strategy.pipelines[pipeline]
        spilled = sorted(i for stage in shown.stages for i in stage.spilled_ops)
        boxes = [box for stage in shown.stages for box in self._stage(stage, strategy.tag(stage))]
        return Lane(
            strategy=strategy,
            pipeline=shown,
            stages=tuple(sorted(boxes, key=lambda box: box.first)),
            spilled=tuple(self._box(i, "", i, i + 1) for i in spilled),
        )

    def lanes(self, strategy: StrategyView) -> tuple[Lane, ...]:
        """Return the lanes of all distinct pipelines of a strategy."""
        return tuple(self.lane(strategy, k) for k in range(len(strategy.pipelines)))

    def _stage(self, stage: StageView, tag: str) -> Iterator[Box]:
        boxes = [self._box(stage.number, tag, first, last + 1) for first, last in stage.ranges]
        widest = max(boxes, key=lambda box: box.width)
        return (box if box is widest else replace(box, has_time=False) for box in boxes)

    def _box(self, number: int, tag: str, first: int, end: int) -> Box:
        x = self.time_edges[first]
        return Box(number=number, tag=tag, first=first, end=end, x=x, width=round(self.time_edges[end] - x, 2))


def make_strip(details: Details) -> Strip:
    """Return the strip of a network's layers, as wide as their computing time."""
    times = _edges([layer.compute_ns for layer in details.layers])
    weights = _edges([layer.weight_bytes for layer in details.layers])
    operations = tuple(
        Box(number=i, tag="", first=i, end=i + 1, x=a, width=round(b - a, 2))
        for i, (a, b) in enumerate(pairwise(times))
    )
    return Strip(time_edges=times, weight_edges=weights, operations=operations)


def _edges(amounts: Sequence[int]) -> tuple[float, ...]:
    least = sum(amounts) * _LEAST_SHARE or 1.0
    widths = [max(amount, least) for amount in amounts]
    scale = WIDTH / sum(widths)
    return tuple(round(edge * scale, 2) for edge in accumulate(widths, initial=0.0))
