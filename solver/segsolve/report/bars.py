"""Geometry of the bars that show where a strategy's TPUs spend their time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from segsolve.cost.stage import StageScore
from segsolve.report.layout import operations
from segsolve.report.strategy import StageView, StrategyView
from segsolve.report.units import mib, ms, sentence, size

TIME_X, TIME_WIDTH, WEIGHT_WIDTH = 96.0, 500.0, 250.0
PARTS = ("overhead", "input", "compute", "stream", "output", "correction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a time bar; `kind` is what the time is spent on."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stage: its time in parts, its weights on chip and off chip, and the room for them, in the drawing's units."""

    number: int
    tag: str
    title: str
    label: str
    times: tuple[Part, ...]
    is_slowest: bool
    is_cut_off: bool
    onchip: float
    offchip: float
    room: float
    weights: str
    is_cpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBars:
    """A strategy's rows; `limit` is the time per inference of the report's own plan.

    Where TPUs share a stage, or pipelines the stream, a bar is a stage's time per inference of the whole plan.
    """

    title: str
    axis: str
    rows: tuple[Row, ...]
    limit: float

    @property
    def height(self) -> int:
        """Height of the drawing."""
        return 42 + 24 * len(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the full width of a bar stands for; what is longer is cut off."""

    time_ns: int
    weight_bytes: int
    limit_ns: int

    def bars(self, title: str, strategy: StrategyView) -> StageBars:
        """Return the bars of a strategy."""
        limit = TIME_X + TIME_WIDTH * self.limit_ns / self.time_ns
        rows = tuple(self._row(stage, strategy) for stage in strategy.stages)
        axis = "time per inference" if strategy.is_plain else "time per inference, divided by the TPUs that share it"
        return StageBars(title=title, axis=axis, rows=rows, limit=round(limit, 1))

    def _row(self, stage: StageView, strategy: StrategyView) -> Row:
        s, part_ns = stage.score, strategy.part_ns(stage)
        onchip = min(1.0, s.onchip_bytes / self.weight_bytes)
        return Row(
            number=stage.number,
            tag=strategy.tag(stage),
            title=_title(stage, strategy),
            label=_label(stage, strategy),
            times=self._parts(s, part_ns / s.time_ns if s.time_ns else 1.0),
            is_slowest=strategy.limits(stage),
            is_cut_off=part_ns > self.time_ns,
            onchip=round(WEIGHT_WIDTH * onchip, 1),
            offchip=round(WEIGHT_WIDTH * min(1.0 - onchip, s.offchip_bytes / self.weight_bytes), 1),
            room=round(WEIGHT_WIDTH * min(1.0, s.capacity_bytes / self.weight_bytes), 1),
            weights=f"{mib(s.onchip_bytes)} + {mib(s.offchip_bytes)} MiB" if s.offchip_bytes else size(s.onchip_bytes),
            is_cpu=stage.is_cpu,
        )

    def _parts(self, s: StageScore, share: float) -> tuple[Part, ...]:
        # A stage that was measured faster than its parts add up to shows all of them shorter.
        shrink = share * (min(1.0, s.time_ns / s.modelled_ns) if s.modelled_ns else 1.0)
        amounts = [max(0, getattr(s, f"{kind}_ns")) * shrink for kind in PARTS]
        edges = [TIME_WIDTH * min(1.0, t / self.time_ns) for t in accumulate(amounts, initial=0)]
        return tuple(
            Part(kind=kind, x=round(TIME_X + a, 1), width=round(b - a, 1))
            for kind, a, b in zip(PARTS, edges, edges[1:], strict=False)
            if b > a
        )


def scale_of(plan: StrategyView, others: Sequence[StrategyView]) -> Scale:
    """Return a scale on which the plan and the vendor's cut (the first of the others) are whole."""
    shown = [plan, *others[:1]]
    stages = [stage for strategy in shown for stage in strategy.stages if not stage.is_cpu]
    return Scale(
        time_ns=max(1, *(strategy.part_ns(s) for strategy in shown for s in strategy.stages)),
        weight_bytes=max([1, *(max(s.weight_bytes, s.score.capacity_bytes) for s in stages)]),
        limit_ns=plan.period_ns,
    )


def _label(stage: StageView, strategy: StrategyView) -> str:
    """Return the time of an inference, and how many TPUs share the inferences."""
    devices = strategy.instances(stage)
    return f"{ms(stage.score.time_ns)}/{devices}" if devices > 1 else f"{ms(stage.score.time_ns)} ms"


def _title(stage: StageView, strategy: StrategyView) -> str:
    s = stage.score
    amounts = ((kind, getattr(s, f"{kind}_ns")) for kind in PARTS)
    parts = ", ".join(f"{kind} {ms(ns)} ms" for kind, ns in amounts if ns)
    return f"{sentence(strategy.full_name(stage))}, {operations(stage)}: {parts}"
