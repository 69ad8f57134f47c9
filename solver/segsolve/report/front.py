"""A Pareto front as a plot: in characters for a terminal, as SVG for pages and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log10

from rich.text import Text

from segsolve.report.units import count, fps, ms

_ROWS, _COLUMNS = 14, 56
_MARKS = "123456789abcdefghijklmnopqrstuvwxyz"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 380, 64, 20, 36, 44
_NEARLY = 1.5
_STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), [k / 10 for k in range(10, 100)], [k / 100 for k in range(100, 1000)])
"""Digits of round values, the roundest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a front, predicted."""

    number: int
    tpus: int
    layout: str
    fps: float
    latency_ns: int
    is_chosen: bool = False

    @property
    def title(self) -> str:
        """What it is, in words."""
        of = f"point {self.number}: layout {self.layout} on {count(self.tpus, 'TPU')}"
        return f"{of}, {fps(self.fps)} inferences/s, latency {ms(self.latency_ns)} ms"


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range of values, in logarithms where it is wide, as shares from 0 to 1."""

    low: float
    high: float

    @property
    def is_wide(self) -> bool:
        return self.low > 0 and self.high / self.low > _NEARLY

    def share(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        if self.is_wide:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values in the range, few where it spans decades."""
        decades = range(int(log10(max(self.low, 1e-9))) - 1, int(log10(max(self.high, 1e-9))) + 2)
        for steps in _STEPS:
            found = [step * 10.0**d for d in decades for step in steps if self.low <= step * 10.0**d <= self.high]
            if len(found) >= 3:
                return found[:: max(1, len(found) // 6)]
        return [self.low]


def plot_text(points: Sequence[Point]) -> Text:
    """Return the plot for a terminal: rate over latency, a point's mark its number of TPUs, the chosen one reversed."""
    across, up = _axes(points)
    text = Text("inferences/s; a plan's mark is its number of TPUs")
    cells: dict[tuple[int, int], Point] = {}
    for point in sorted(points, key=lambda p: (p.is_chosen, -p.tpus)):
        column = round(across.share(point.latency_ns) * (_COLUMNS - 1))
        cells[_ROWS - 1 - round(up.share(point.fps) * (_ROWS - 1)), column] = point
    labels = {_ROWS - 1 - round(up.share(value) * (_ROWS - 1)): fps(value) for value in (up.low, up.high)}
    for row in range(_ROWS):
        text.append(f"\n{labels.get(row, ''):>8} │")
        for column in range(_COLUMNS):
            found = cells.get((row, column))
            mark = _MARKS[min(found.tpus, len(_MARKS)) - 1] if found else " "
            text.append(mark, style="bold reverse" if found and found.is_chosen else "")
    left, right = ms(across.low), ms(across.high)
    between = f"{'latency in ms':^{_COLUMNS - len(left) - len(right)}}"
    text.append(f"\n{'':8} └{'─' * _COLUMNS}\n{'':10}{left}{between}{right}")
    return text


def plot_svg(points: Sequence[Point]) -> str:
    """Return the plot as an SVG element whose colours follow the page, or stand by themselves in a notebook."""
    across, up = _axes(points)

    def x(ns: float) -> float:
        return round(_LEFT + across.share(ns) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(rate: float) -> float:
        return round(_HEIGHT - _BOTTOM - up.share(rate) * (_HEIGHT - _TOP - _BOTTOM), 1)

    most = max(point.tpus for point in points)
    base, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<line x1="{_LEFT}" y1="{y(v)}" x2="{end}" y2="{y(v)}" stroke="currentColor" stroke-opacity=".15"/>'
        f'<text x="{_LEFT - 8}" y="{y(v) + 4}" text-anchor="end">{fps(v)}</text>'
        for v in up.ticks()
    ]
    parts += [
        f'<line x1="{x(v)}" y1="{_TOP}" x2="{x(v)}" y2="{base}" stroke="currentColor" stroke-opacity=".15"/>'
        f'<text x="{x(v)}" y="{base + 18}" text-anchor="middle">{ms(v)}</text>'
        for v in across.ticks()
    ]
    parts += [
        f'<text x="{end}" y="{_HEIGHT - 6}" text-anchor="end">latency in ms</text>',
        f'<text x="{_LEFT}" y="14">inferences per second</text>',
    ]
    for point in sorted(points, key=lambda p: p.is_chosen):
        radius = 4 + 6 * point.tpus / most
        look = 'fill="#c2410c"' if point.is_chosen else 'fill="currentColor" fill-opacity=".35"'
        at = f'x="{x(point.latency_ns) + 12}" y="{y(point.fps) - 8}"'
        label = f"<text {at}>this plan</text>" if point.is_chosen else ""
        parts.append(
            f"<g><title>{escape(point.title)}</title>"
            f'<circle cx="{x(point.latency_ns)}" cy="{y(point.fps)}" r="{radius:.1f}" {look}/></g>{label}'
        )
    label = f"{count(len(points), 'point')} of rate and latency; larger circles take more TPUs"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}" class="front" font-size="13" '
        f'font-family="system-ui, sans-serif" fill="currentColor">{"".join(parts)}</svg>'
    )


def _axes(points: Sequence[Point]) -> tuple[_Axis, _Axis]:
    latencies, rates = [point.latency_ns for point in points], [point.fps for point in points]
    return _Axis(min(latencies), max(latencies)), _Axis(min(rates), max(rates))
