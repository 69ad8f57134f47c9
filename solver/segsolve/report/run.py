"""What a pipeline did, next to what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.report.grid import Grid
from segsolve.report.start import seconds
from segsolve.report.table import GOOD
from segsolve.report.units import count, fps, long_bar, ms, spans
from segsolve_runtime.contract.plan import Plan, Stage
from segsolve_runtime.contract.start import first_result
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.observe.began import Began
from segsolve_runtime.observe.drift import drift_of

_BAR_WIDTH = 16
KINDS = {
    "simulated": "virtual time",
    "litert": "measured on this machine's CPU",
    "emulated": "this machine's CPU, held to the predicted times",
    "edgetpu": "measured on Edge TPUs",
}


def run_document(
    plan: Plan, metrics: Metrics, backend: str, before: Sequence[tuple[Plan, Metrics]] = ()
) -> dict[str, Any]:
    """Return a run's metrics as a JSON document; `predicted` are the plan's figures for its device.

    `before` are the plans that were run until devices were lost.
    """
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
            "first_result_ns": first.total_ns if (first := first_result(plan)) else None,
            "stage_ns": [stage.prediction.time_ns for stage in plan.all_stages],
        },
        "drift": [
            {"pipeline": d.pipeline, "stage": d.stage, "ratio": round(d.ratio, 4)} for d in drift_of(plan, metrics)
        ],
        "before": [
            {
                "layout": p.solution.layout,
                "count": m.count,
                "throughput_fps": m.throughput_fps,
                "faults": m.fault_counts,
            }
            for p, m in before
        ],
    }


def start_document(began: Began | None, outage_s: float | None = None) -> dict[str, float | None]:
    """Return how a run began, in seconds; `outage_s` is how long nothing ran before, since a device was lost."""
    measured = began.as_dict() if began else dict.fromkeys(("open_s", "warm_up_s", "first_result_s"))
    return {**measured, "outage_s": outage_s}


def run_table(
    plan: Plan,
    metrics: Metrics,
    backend: str,
    before: Sequence[tuple[Plan, Metrics]] = (),
    began: Began | None = None,
) -> RenderableType:
    """Return one row per stage: where its time went, and the device's predicted stage time beside it."""
    kind = KINDS.get(backend, "measured")
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
        f"{fps(plan.solution.throughput_fps)} inferences per second predicted for {_devices(plan)}.",
    )
    first = _first_result(plan, began) if began is not None and backend != "simulated" else ()
    return Group(table, *map(Text, (*lines, *first, *_notes(metrics, before))))


def _first_result(plan: Plan, began: Began) -> Iterator[str]:
    """Yield how long the first result took, and how long it was predicted to take."""
    if began.first_result_s is None:
        return
    said = first_result(plan)
    predicted = f"; predicted for {_devices(plan)}: {seconds(said.total_ns)}" if said else ""
    yield (
        f"First result after {_seconds(began.first_result_s)}: {_seconds(began.open_s)} to open, "
        f"{_seconds(began.warm_up_s)} to run each stage once (measured){predicted}."
    )


def _seconds(measured_s: float) -> str:
    return seconds(round(measured_s * 1e9))


def _notes(metrics: Metrics, before: Sequence[tuple[Plan, Metrics]]) -> Iterator[str]:
    """Yield what was out of the ordinary."""
    for plan, earlier in before:
        stages = count(len(plan.all_stages), "stage")
        yield f"{count(earlier.count, 'inference')} before on {stages}, until a device was lost."
    faults = {kind: number for kind, number in metrics.fault_counts.items() if number}
    if faults:
        text = ", ".join(f"{number} x {kind}" for kind, number in faults.items())
        failed = metrics.accepted - metrics.dropped - metrics.count
        yield f"Faults: {text}; {_spoiled(failed)}."


def _devices(plan: Plan) -> str:
    tpus = sum(stage.replicas for stage in plan.all_stages if stage.processor == "edgetpu")
    rest = " and the CPU" if any(stage.processor == "cpu" for stage in plan.all_stages) else ""
    return f"{tpus} x {plan.device.name}{rest}"


def operations(stage: Stage) -> str:
    """Return a stage's operations as text: ``0-17``, ``0-5,9-12 +3`` for several ranges, ``0-5 CPU`` off the TPUs."""
    return f"{spans(stage.op_ranges)} CPU" if stage.processor == "cpu" else spans(stage.op_ranges)


def _spoiled(failed: int) -> str:
    return f"{count(failed, 'inference')} failed" if failed else "every inference that they spoiled was done again"
