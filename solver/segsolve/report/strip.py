"""Geometry of the network as a strip of operations, and of a strategy's stages along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from segsolve.report.plan_view import Details, StrategyView

WIDTH = 1000.0
SHORT_LABEL, LONG_LABEL = 14.0, 82.0
"""Widths of a box that has room for a stage's number, and for its number and time."""
_LEAST_SHARE = 0.0006  # of the strip, so that an operation without weights can still be pointed at


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Operations `first` to `end` (exclusive) as a stretch of the strip; `number` is the stage, or the operation."""

    number: int
    first: int
    end: int
    x: float
    width: float

    @property
    def middle(self) -> float:
        """Where a label is centred."""
        return round(self.x + self.width / 2, 2)

    def label(self, text: str) -> str:
        """Return the number with a time in ms, the number alone, or nothing, as it fits."""
        if self.width >= LONG_LABEL:
            return f"{self.number} · {text} ms"
        return str(self.number) if self.width >= SHORT_LABEL else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One strategy along the strip: its stages, and which operations stream because they do not fit."""

    strategy: StrategyView
    stages: tuple[Box, ...]
    spilled: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The operations; the edges are where each begins and the last one ends, by time or by weights."""

    time_edges: tuple[float, ...]
    weight_edges: tuple[float, ...]
    operations: tuple[Box, ...]

    def lane(self, strategy: StrategyView) -> Lane:
        """Return a strategy's lane, by time."""
        spilled = sorted(i for stage in strategy.stages for i in stage.score.spilled_ops)
        return Lane(
            strategy=strategy,
            stages=tuple(self._box(s.number, s.first, s.end) for s in strategy.stages),
            spilled=tuple(self._box(i, i, i + 1) for i in spilled),
        )

    def _box(self, number: int, first: int, end: int) -> Box:
        x = self.time_edges[first]
        return Box(number=number, first=first, end=end, x=x, width=round(self.time_edges[end] - x, 2))


def make_strip(details: Details) -> Strip:
    """Return the strip of a network's layers, as wide as their computing time."""
    times = _edges([layer.compute_ns for layer in details.layers])
    weights = _edges([layer.weight_bytes for layer in details.layers])
    operations = tuple(
        Box(number=i, first=i, end=i + 1, x=a, width=round(b - a, 2)) for i, (a, b) in enumerate(pairwise(times))
    )
    return Strip(time_edges=times, weight_edges=weights, operations=operations)


def _edges(amounts: Sequence[int]) -> tuple[float, ...]:
    least = sum(amounts) * _LEAST_SHARE or 1.0
    widths = [max(amount, least) for amount in amounts]
    scale = WIDTH / sum(widths)
    return tuple(round(edge * scale, 2) for edge in accumulate(widths, initial=0.0))
