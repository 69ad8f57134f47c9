"""What a pipeline does at the moment, for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from segsolve.report.run import operations
from segsolve.report.table import GOOD, SPILL
from segsolve.report.units import count, fps, long_bar, ms
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.flow.metrics import Metrics, StageMetrics

_BAR_WIDTH = 24


def live_table(
    plan: Plan, now: Metrics, *, recent_fps: float, running_ns: int, total: int | None, backend: str
) -> RenderableType:
    """Return the state of a run: a row per stage, the bottleneck marked, and the flow below."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("stage", "operations", "busy", "", "inference ms", "waiting", "faults"):
        table.add_column(title, justify="left" if title in {"operations", "busy"} else "right")
    slowest, has_many = now.bottleneck, len(plan.pipelines) > 1
    for stage, done in zip(plan.all_stages, now.stages, strict=True):
        share = done.utilisation(running_ns)
        name = f"{done.pipeline}.{done.stage}" if has_many else str(done.stage)
        table.add_row(
            name,
            operations(stage) + (f" x{done.replicas}" if done.replicas > 1 else ""),
            Text(long_bar(share, _BAR_WIDTH), style=SPILL if done is slowest else GOOD),
            percent(share),
            ms(done.time_p50_ns),
            str(done.queue_now),
            _lost(done),
            style="bold" if done is slowest else "",
        )
    return Group(table, *map(Text, _lines(plan, now, recent_fps, total, backend, slowest)))


def _lines(
    plan: Plan, now: Metrics, recent_fps: float, total: int | None, backend: str, slowest: StageMetrics | None
) -> list[str]:
    of = f" of {total}" if total is not None else ""
    lines = [
        f"{plan.model.name} on {backend}: {now.count}{of} inferences, {fps(recent_fps)} per second now "
        f"({fps(plan.solution.throughput_fps)} predicted for {plan.device.name}), "
        f"latency {ms(now.latency_p50_ns)} ms median, {ms(now.latency_p99_ns)} ms at the 99th percentile",
    ]
    if slowest is not None:
        where = f" of pipeline {slowest.pipeline}" if len(plan.pipelines) > 1 else ""
        lines[0] += f"; bottleneck: stage {slowest.stage}{where}"
    if now.dropped:
        lines.append(f"{count(now.dropped, 'frame')} dropped")
    return lines


def _lost(stage: StageMetrics) -> str:
    return f"{stage.retired} of {stage.replicas} lost" if stage.retired else ""
