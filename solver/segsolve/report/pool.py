"""A pool's plan, ways to use a pool, and a pool's run: as tables for the terminal and as JSON documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.plan import rounded_down
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.evaluate import PoolScore
from segsolve.pool.folder import up
from segsolve.pool.model import Goal
from segsolve.pool.plan import PoolPlan
from segsolve.pool.simple import Way, swapping
from segsolve.report.grid import Grid
from segsolve.report.table import GOOD, SPILL
from segsolve.report.units import count, fps, long_bar, mib, ms, percent
from segsolve.solvers.base import Status, Stop

if TYPE_CHECKING:
    from segsolve.compiler.pool import CompiledResident
    from segsolve_runtime.contract.pool import PoolFile, PoolFolder
    from segsolve_runtime.flow.shared_schedule import SharedRun
    from segsolve_runtime.pool import PoolMetrics

_BAR = 12


def pool_document(answer: PoolAnswer) -> dict[str, Any]:
    """Return an answer; times are predicted, in ns unless the name says otherwise."""
    problem, score, plan = answer.problem, answer.score, answer.plan
    workload = problem.workload
    return {
        "status": str(answer.status),
        "objective": str(workload.goal),
        "pool": [{"kind": kind.name, "count": kind.count, "link": kind.link} for kind in problem.pool.kinds],
        "sharing": str(workload.sharing),
        "objective_ns": None if answer.value is None else up(answer.value),
        "bound_ns": up(answer.bound),
        "gap": answer.gap,
        "over": answer.over,
        "cuts_searched": "chain",
        "found_by": answer.found_by,
        "confirmed_by": [asdict(c) for c in answer.confirmed_by],
        "dedicated_period_ns": None if answer.dedicated_period is None else up(answer.dedicated_period),
        "stopped_by": str(answer.stopped_by),
        "note": answer.note,
        "wall_s": answer.wall_s,
        "seed": answer.seed,
        "period_ns": score.period_ns if score else None,
        "scale_fps": rounded_down(score.scale_fps) if score else None,
        "wanted_scale_fps": None if workload.scale_fps is None else float(workload.scale_fps),
        "keeps_rates": answer.keeps_rates if score else None,
        "is_shared": plan.is_shared if plan else None,
        "models": [_model(answer, m, plan, score) for m in range(problem.models)] if plan and score else [],
        "devices": [_device(answer, d, plan, score) for d in range(len(plan.residents))] if plan and score else [],
        "links": [
            {"name": name, "load_ns": up(load)}
            for (name, _), load in zip(problem.pool.links, score.link_loads, strict=True)
        ]
        if score
        else [],
    }


def pool_table(answer: PoolAnswer) -> RenderableType:
    """Return the devices with their residents, the models with their rates, and what is known of the plan."""
    assert answer.plan is not None
    assert answer.score is not None
    return Group(
        _devices_table(answer, answer.plan, answer.score),
        _models_table(answer, answer.plan, answer.score),
        *map(Text, _verdict(answer, answer.plan, answer.score)),
    )


def ways_document(ways: Sequence[Way], weights: dict[str, int]) -> dict[str, Any]:
    """Return ways to use a pool; periods in ns."""
    return {
        "weights": weights,
        "ways": [
            {
                "name": way.name,
                "what": way.text,
                "period_ns": None if way.period is None else up(way.period),
                "scale_fps": None if way.period is None else 1e9 / float(way.period),
                "bound_ns": None if way.bound is None else up(way.bound),
            }
            for way in ways
        ],
    }


def ways_table(ways: Sequence[Way], weights: dict[str, int], pool: str) -> RenderableType:
    """Return ways to use a pool beside each other, the best one marked."""
    names = ", ".join(f"{name} x{weight}" for name, weight in weights.items())
    table = Grid(
        f"{names} on {pool}: periods per second (predicted)",
        *("way", "", "per second", "period ms", "of best", "bound ms"),
        left=("",),
    )
    best = min(way.period for way in ways if way.period is not None)
    for way in ways:
        if way.period is None:
            table.add_row(way.name, way.text, "-", "-", "-", "-")
            continue
        share = float(best / way.period)
        table.add_row(
            Text(way.name, style=GOOD if way.period == best else ""),
            way.text,
            fps(1e9 / float(way.period)),
            ms(float(way.period)),
            percent(share),
            "-" if way.bound is None else ms(float(way.bound)),
        )
    return table


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
                "busy": metrics.busy_ns[device.name] / metrics.elapsed_ns if metrics.elapsed_ns else 0.0,
                "predicted_busy": device.load_ns / max(1, folder.pool.period_ns),
            }
            for device in folder.pool.devices
        ],
    }


def pool_run_table(folder: PoolFolder, metrics: PoolMetrics, backend: str) -> RenderableType:
    """Return the models' rates and the devices' use beside the predicted ones."""
    models = Grid(
        f"{count(len(folder.plans), 'model')} on {backend}",
        "model",
        "inferences",
        "per second",
        "predicted",
        "latency p50 ms",
        "p95 ms",
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
    devices = Grid("", "device", "residents", "", "busy", "predicted", left=("residents", ""))
    for device in folder.pool.devices:
        busy = metrics.busy_ns[device.name] / metrics.elapsed_ns if metrics.elapsed_ns else 0.0
        devices.add_row(
            device.name,
            ", ".join(resident.model for resident in device.residents) or "-",
            long_bar(min(1.0, busy), _BAR),
            percent(busy),
            percent(device.load_ns / max(1, folder.pool.period_ns)),
        )
    return Group(models, devices)


def simulated_table(pool: PoolFile, run: SharedRun) -> RenderableType:
    """Return the rates and the worst latencies of a simulated run beside the predicted ones."""
    table = Grid(
        "simulated, virtual time", "model", "inferences", "per second", "predicted", "longest ms", "predicted worst ms"
    )
    for m, model in enumerate(pool.models):
        table.add_row(
            model.name,
            str(len(run.ends_ns[m])),
            fps(run.rate_fps(m)),
            fps(model.rate_fps),
            ms(max(run.latencies_ns[m], default=0)),
            ms(model.latency_ns),
        )
    return table


def simulated_document(pool: PoolFile, run: SharedRun) -> dict[str, Any]:
    """Return a simulated run."""
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
            }
            for m, model in enumerate(pool.models)
        ],
        "devices": [
            {"name": device.name, "busy": busy / max(1, run.elapsed_ns)}
            for device, busy in zip(pool.devices, run.busy_ns, strict=False)
        ],
    }


def compiled_pool_table(done: Sequence[CompiledResident], version: str) -> RenderableType:
    """Return what the compiler keeps on chip of each resident beside what was predicted."""
    table = Grid(
        f"compiled together, TPU by TPU, with edgetpu_compiler {version}: weights in MiB",
        *("TPU", "model", "stage", "on chip", "predicted", "streamed", "predicted"),
        left=("model",),
    )
    last = ""
    for each in done:
        report = each.compiled.report
        table.add_row(
            each.device if each.device != last else "",
            each.model,
            str(each.stage),
            *(("-" if amount is None else mib(amount)) for amount in (report.onchip_bytes,)),
            mib(each.predicted_onchip_bytes),
            *(("-" if amount is None else mib(amount)) for amount in (report.offchip_bytes,)),
            mib(each.predicted_offchip_bytes),
        )
        last = each.device
    return table


def compiled_pool_document(done: Sequence[CompiledResident], version: str) -> dict[str, Any]:
    """Return what the compiler said of each resident."""
    return {
        "compiler": version,
        "residents": [
            {
                "device": each.device,
                "model": each.model,
                "stage": each.stage,
                "onchip_bytes": each.compiled.report.onchip_bytes,
                "offchip_bytes": each.compiled.report.offchip_bytes,
                "predicted_onchip_bytes": each.predicted_onchip_bytes,
                "predicted_offchip_bytes": each.predicted_offchip_bytes,
            }
            for each in done
        ],
    }


def _model(answer: PoolAnswer, m: int, plan: PoolPlan, score: PoolScore) -> dict[str, Any]:
    demand = answer.problem.workload.demands[m]
    pool = answer.problem.pool
    return {
        "name": demand.model,
        "weight": demand.weight,
        "rate_fps": rounded_down(score.rate_fps(m)),
        "latency_ns": score.latency_ns(m),
        "own_latency_ns": score.own_latency_ns(m),
        "layout": plan.layout_of(m),
        "pipelines": [
            [
                {
                    "op_ranges": [list(run) for run in stage.as_stage.op_ranges],
                    "devices": [pool.device_name(d) for d in stage.devices],
                    "time_ns": own.time_ns,
                    "stream_ns": own.stream_ns,
                    "onchip_bytes": own.onchip_bytes,
                    "offchip_bytes": own.offchip_bytes,
                }
                for stage, own in zip(plan.pipelines[p].stages, score.stages[p], strict=True)
            ]
            for p in plan.of_model(m)
        ],
    }


def _device(answer: PoolAnswer, d: int, plan: PoolPlan, score: PoolScore) -> dict[str, Any]:
    demands = answer.problem.workload.demands
    return {
        "name": answer.problem.pool.device_name(d),
        "load_ns": up(score.device_loads[d]),
        "residents": [
            {
                "model": demands[plan.model_of(r)].model,
                "pipeline": plan.of_model(plan.model_of(r)).index(r.pipeline),
                "stage": r.stage,
            }
            for r in plan.residents[d]
        ],
    }


def _devices_table(answer: PoolAnswer, plan: PoolPlan, score: PoolScore) -> Grid:
    problem = answer.problem
    table = Grid(
        f"{problem.pool.notation}: who lives on each TPU, in co-compilation order (predicted)",
        *("TPU", "model", "operations", "", "busy", "ms", "stream", "on chip", "off chip"),
        left=("model", "operations", ""),
        optional=("", "stream"),
    )
    for d, residents in enumerate(plan.residents):
        busy = float(score.device_loads[d] / score.period) if score.period else 0.0
        if not residents:
            table.add_row(problem.pool.device_name(d), "-", "", "", "0 %")
        for number, resident in enumerate(residents):
            own, stage = score.score(resident), plan.stage(resident)
            spans = ",".join(f"{a}-{b}" if a != b else str(a) for a, b in stage.as_stage.op_ranges)
            copies = f" (1 of {len(stage.devices)})" if len(stage.devices) > 1 else ""
            table.add_row(
                problem.pool.device_name(d) if number == 0 else "",
                problem.workload.demands[plan.model_of(resident)].model,
                spans + copies,
                long_bar(busy, _BAR) if number == 0 else "",
                percent(busy) if number == 0 else "",
                ms(own.time_ns),
                ms(own.stream_ns),
                mib(own.onchip_bytes),
                Text(mib(own.offchip_bytes), style=SPILL if own.offchip_bytes else ""),
            )
    return table


def _models_table(answer: PoolAnswer, plan: PoolPlan, score: PoolScore) -> Grid:
    table = Grid(
        "",
        *("model", "weight", "TPUs", "per second", "wanted", "latency ms", "worst ms"),
    )
    wanted = answer.problem.workload.scale_fps
    for m, demand in enumerate(answer.problem.workload.demands):
        table.add_row(
            demand.model,
            str(demand.weight),
            plan.layout_of(m),
            fps(float(score.rate_fps(m))),
            "-" if wanted is None else fps(float(wanted * demand.weight)),
            ms(score.own_latency_ns(m)),
            ms(score.latency_ns(m)),
        )
    return table


def _verdict(answer: PoolAnswer, plan: PoolPlan, score: PoolScore) -> Iterator[str]:
    workload = answer.problem.workload
    yield (
        f"A period of {ms(score.period_ns)} ms: {fps(float(score.scale_fps))} times per second each model's weight of "
        "inferences (predicted)."
    )
    if workload.scale_fps is not None:
        ratio = float(score.scale_fps / workload.scale_fps)
        yield f"That is {ratio:.2f} times the rates asked for."
    if workload.goal is Goal.LATENCY:
        yield f"The worst latency of a model is {ms(score.worst_latency_ns)} ms."
    assert answer.value is not None
    if answer.status is Status.OPTIMAL:
        yield f"Proven: no plan is better. Found by {answer.found_by}."
    else:
        yield (
            f"Found by {answer.found_by}; no {answer.unit} is below {ms(float(answer.bound))} ms: "
            f"{percent(answer.gap or 0)} are left open."
        )
    yield f"Over cuts of the execution order, {answer.over}."
    for name, load in zip((name for name, _ in answer.problem.pool.links), score.link_loads, strict=True):
        if load == score.period:
            yield f"The {name} is what limits."
    if plan.is_shared and (swapped := swapping(answer.problem)) is not None:
        yield (
            f"Residents of a TPU must be compiled together (`segsolve build --compile`). All models on every TPU, "
            f"compiled apart, would load their weights anew at every inference: "
            f"{float(swapped / score.period):.1f} times slower."
        )
    if answer.stopped_by is not Stop.FINISHED:
        yield f"Stopped by: {answer.stopped_by}."
