"""The trace of a pool's run for Perfetto: a track per device, with the inferences of all models that live there.

As in traces of one model (`trace`), what was predicted stands beside what was measured; times are in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.pool import PoolFolder
from segsolve_runtime.flow.shared_schedule import SharedRun
from segsolve_runtime.observe.trace import MEASURED, PREDICTED, mark_event, process_events, ran_event, trace_of
from segsolve_runtime.pool import PoolMetrics, simulate

MOST_PERIODS = 100
"""Periods that are shown as predicted at most."""


def pool_trace(
    folder: PoolFolder,
    metrics: PoolMetrics | None,
    *,
    backend: str,
    queue_size: int,
    predicted: SharedRun | None = None,
) -> dict[str, Any]:
    """Return the trace of a run that recorded its timelines; without metrics, of what was `predicted` alone."""
    pool = folder.pool
    if predicted is None:
        done = [metrics.models[model.name].count // model.weight for model in pool.models] if metrics else []
        predicted = simulate(folder, max(1, min(MOST_PERIODS, max(done, default=1))), queue_size)
    tracks = [device.name for device in pool.devices]
    events = [*process_events(PREDICTED, "predicted, virtual clock", tracks), *_predicted(folder, predicted)]
    if metrics:
        events += [*process_events(MEASURED, f"measured, {backend}", tracks), *_measured(folder, metrics)]
    return trace_of(events, models=[model.name for model in pool.models], period_ns=pool.period_ns)


def _predicted(folder: PoolFolder, run: SharedRun) -> Iterator[dict[str, Any]]:
    models = [m for m, plan in enumerate(folder.plans) for _ in plan.plan.pipelines]
    for slot in run.slots:
        name = folder.pool.models[models[slot.lane]].name
        yield _ran(PREDICTED, slot.device, name, slot.stage, slot.inference, slot.start_ns, slot.end_ns)


def _measured(folder: PoolFolder, metrics: PoolMetrics) -> Iterator[dict[str, Any]]:
    for name, own in metrics.models.items():
        devices, begun = folder.device_of(name), metrics.begun_ns[name]
        for slot in own.timeline:
            device = devices[Place(slot.pipeline, slot.stage, slot.replica)]
            yield _ran(MEASURED, device, name, slot.stage, slot.inference, begun + slot.start_ns, begun + slot.end_ns)
        for fault in own.faults:
            about = {"model": name, "inference": fault.inference, "message": fault.message}
            yield mark_event(devices[fault.place] + 1, "fault", fault.kind.value, begun + fault.at_ns, **about)


def _ran(
    process: int, device: int, model: str, stage: int, inference: int, start_ns: int, end_ns: int
) -> dict[str, Any]:
    about = {"model": model, "stage": stage, "inference": inference}
    return ran_event(process, device + 1, model, f"{model} {inference}", start_ns, end_ns, **about)
