"""What a pipeline did, next to what was predicted."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.report.grid import Grid
from segsolve.report.table import GOOD
from segsolve.report.units import count, fps, long_bar, ms, percent
from segsolve_runtime.metrics import Metrics
from segsolve_runtime.plan import Plan, Stage

_BAR_WIDTH = 16
_KINDS = {"simulated": "virtual time", "edgetpu": "measured on Edge TPUs"}


def run_document(plan: Plan, metrics: Metrics, backend: str) -> dict[str, Any]:
    """Return a run's metrics as a JSON document; `predicted` are the plan's figures for its device."""
    measured = metrics.as_dict()
    measured.pop("timeline")
    return {
        "model": plan.model.name,
        "backend": backend,
        "times": "virtual" if backend == "simulated" else "measured",
        **measured,
        "predicted": {
            "device": plan.device.name,
            "throughput_fps": plan.solution.throughput_fps,
            "latency_ns": plan.solution.latency_ns,
            "stage_ns": [stage.prediction.time_ns for stage in plan.all_stages],
        },
    }


def run_table(plan: Plan, metrics: Metrics, backend: str) -> RenderableType:
    """Return one row per stage: where its time went, and the device's predicted stage time beside it."""
    kind = _KINDS.get(backend, "measured on this machine's CPU")
    table = Grid(
        f"{plan.model.name}: {count(metrics.count, 'inference')} on {backend}, {kind}",
        *("stage", "operations", "", "busy", "inference\nms", "blocked", "starved", "predicted\nms"),
        left=("operations", ""),
        optional=("",),
    )
    elapsed = max(metrics.elapsed_ns, 1)
    has_many = len(plan.pipelines) > 1
    for stage, done in zip(plan.all_stages, metrics.stages, strict=True):
        busy = done.utilisation(elapsed)
        devices = elapsed * done.replicas
        table.add_row(
            f"{done.pipeline}.{done.stage}" if has_many else str(done.stage),
            operations(stage) + (f" x{done.replicas}" if done.replicas > 1 else ""),
            Text(long_bar(busy, _BAR_WIDTH), style=GOOD),
            percent(busy),
            ms(done.busy_ns / max(done.inferences, 1)),
            percent(min(1.0, done.blocked_ns / devices)),
            percent(min(1.0, done.starved_ns / devices)),
            ms(stage.prediction.time_ns),
        )
    lines = (
        f"{fps(metrics.throughput_fps)} inferences per second, latency {ms(metrics.latency_p50_ns)} ms median, "
        f"{ms(metrics.latency_p95_ns)} ms at the 95th percentile ({kind}).",
        f"{fps(plan.solution.throughput_fps)} inferences per second predicted "
        f"for {sum(s.replicas for s in plan.all_stages)} x {plan.device.name}.",
    )
    return Group(table, *map(Text, lines))


def operations(stage: Stage) -> str:
    """Return a stage's operations as text: ``0-17``, or ``0-5,9-12`` for several ranges."""
    return ",".join(f"{first}-{last}" for first, last in stage.op_ranges)
