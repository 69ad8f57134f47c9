"""What a run of a pool measured, or a simulated one said: as tables for the terminal and as JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from segsolve.report.grid import Grid
from segsolve.report.run import KINDS
from segsolve.report.units import count, fps, long_bar, ms
from segsolve_runtime.contract.wording import percent

if TYPE_CHECKING:
    from segsolve_runtime.contract.pool import PoolFile, PoolFolder
    from segsolve_runtime.flow.shared_schedule import SharedRun
    from segsolve_runtime.pool import PoolMetrics

_BAR = 12


def pool_run_document(folder: PoolFolder, metrics: PoolMetrics, backend: str) -> dict[str, Any]:
    """Return what a run measured beside what was predicted."""
    return {
        "backend": backend,
        "elapsed_ns": metrics.elapsed_ns,
        "models": [
            {
                "name": model.name,
                "count": metrics.models[model.name].count,
                "throughput_fps": metrics.models[model.name].throughput_fps,
                "predicted_fps": model.rate_fps,
                "latency_p50_ns": metrics.models[model.name].latency_p50_ns,
                "latency_p95_ns": metrics.models[model.name].latency_p95_ns,
            }
            for model in folder.pool.models
        ],
        "devices": [
            {
                "name": device.name,
                "busy": metrics.utilisation(device.name),
                "predicted_busy": device.load_ns / max(1, folder.pool.period_ns),
            }
            for device in folder.pool.devices
        ],
    }


def pool_run_table(folder: PoolFolder, metrics: PoolMetrics, backend: str) -> RenderableType:
    """Return the models' rates and the devices' use beside the predicted ones."""
    models = Grid(
        f"{count(len(folder.plans), 'model')} on {backend}, {KINDS.get(backend, 'measured')}",
        *("model", "inferences", "per second", "predicted", "latency p50 ms", "p95 ms"),
        names=("model",),
    )
    for model in folder.pool.models:
        own = metrics.models[model.name]
        models.add_row(
            model.name,
            str(own.count),
            fps(own.throughput_fps),
            fps(model.rate_fps),
            ms(own.latency_p50_ns),
            ms(own.latency_p95_ns),
        )
    devices = Grid("", "device", "residents", "", "busy", "predicted", left=("",), names=("residents",))
    for device in folder.pool.devices:
        busy = metrics.utilisation(device.name)
        devices.add_row(
            device.name,
            ", ".join(resident.model for resident in device.residents) or "-",
            long_bar(busy, _BAR),
            percent(busy),
            percent(device.load_ns / max(1, folder.pool.period_ns)),
        )
    return Group(models, devices)


def simulated_table(pool: PoolFile, run: SharedRun, asked: SharedRun | None) -> RenderableType:
    """Return the rates of a simulated run beside the predicted ones, and the longest latencies.

    Those are of frames that come at the rates which were `asked` for, if any were.
    """
    table = Grid(
        "simulated, virtual time: as fast as it can"
        + (", and the longest latency of frames at the rates asked for" if asked else ""),
        *("model", "inferences", "per second", "predicted", "longest ms", "predicted worst ms"),
        names=("model",),
    )
    for m, model in enumerate(pool.models):
        table.add_row(
            model.name,
            str(len(run.ends_ns[m])),
            fps(run.rate_fps(m)),
            fps(model.rate_fps),
            ms(max((asked or run).latencies_ns[m], default=0)),
            ms(model.latency_ns),
        )
    return table


def simulated_document(pool: PoolFile, run: SharedRun, asked: SharedRun | None) -> dict[str, Any]:
    """Return a simulated run, and the longest latencies of one at the rates that were `asked` for, if any were."""
    return {
        "backend": "simulated",
        "elapsed_ns": run.elapsed_ns,
        "models": [
            {
                "name": model.name,
                "count": len(run.ends_ns[m]),
                "throughput_fps": run.rate_fps(m),
                "predicted_fps": model.rate_fps,
                "latency_max_ns": max(run.latencies_ns[m], default=0),
                "latency_max_at_rates_ns": max(asked.latencies_ns[m], default=0) if asked else None,
                "predicted_latency_ns": model.latency_ns,
            }
            for m, model in enumerate(pool.models)
        ],
        "devices": [
            {"name": device.name, "busy": busy / max(1, run.elapsed_ns)}
            for device, busy in zip(pool.devices, run.busy_ns, strict=False)
        ],
    }
