"""An answer to a question about a pool: as a table for the terminal and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.plan import rounded_down
from segsolve.pool.answer import COPIES, PoolAnswer
from segsolve.pool.evaluate import PoolScore
from segsolve.pool.folder import up
from segsolve.pool.model import Goal
from segsolve.pool.plan import PoolPlan
from segsolve.pool.simple import swapping
from segsolve.report.grid import Grid
from segsolve.report.table import SPILL
from segsolve.report.units import fps, long_bar, mib, ms
from segsolve.solvers.base import Status, Stop
from segsolve_runtime.contract.document import jsonable, members
from segsolve_runtime.contract.wording import percent

_BAR = 12


def pool_document(answer: PoolAnswer) -> dict[str, Any]:
    """Return an answer; times are predicted, in ns unless the name says otherwise."""
    problem, score, plan = answer.problem, answer.score, answer.plan
    workload = problem.workload
    return {
        **members(answer, "status", "gap", "over", "found_by", "confirmed_by", "stopped_by", "note", "wall_s", "seed"),
        "objective": str(workload.goal),
        "pool": [{"kind": kind.name} | members(kind, "count", "link") for kind in problem.pool.kinds],
        "sharing": str(workload.sharing),
        "objective_ns": None if answer.value is None else up(answer.value),
        "bound_ns": up(answer.bound),
        "best_without_copies": None if answer.narrow is None else answer.best_without_copies,
        "bound_without_copies_ns": None if answer.narrow is None else up(answer.narrow[0]),
        "cuts_searched": "chain",
        "dedicated_period_ns": None if answer.dedicated_period is None else up(answer.dedicated_period),
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
        "host_load_ns": up(score.host_load) if score else None,
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


def model_rows(answer: PoolAnswer) -> list[dict[str, Any]]:
    """Return a row per model with its rate and worst latency, for a notebook; none without a plan."""
    return [
        {
            "model": model["name"],
            "layout": model["layout"],
            "per second": fps(model["rate_fps"]),
            "worst ms": ms(model["latency_ns"]),
        }
        for model in pool_document(answer)["models"]
    ]


def resident_rows(answer: PoolAnswer) -> list[dict[str, Any]]:
    """Return a row per TPU with who lives there, for a notebook; none without a plan."""
    return [
        {
            "TPU": device["name"],
            "residents": ", ".join(f"{r['model']} stage {r['stage']}" for r in device["residents"]) or "-",
            "busy ms per period": ms(device["load_ns"]),
        }
        for device in pool_document(answer)["devices"]
    ]


def _model(answer: PoolAnswer, m: int, plan: PoolPlan, score: PoolScore) -> dict[str, Any]:
    demand = answer.problem.workload.demands[m]
    pool = answer.problem.pool
    return {
        "name": demand.model,
        "constraints": jsonable(dict(demand.kept.values)),
        **members(demand, "weight", "pins"),
        "rate_fps": rounded_down(score.rate_fps(m)),
        "latency_ns": score.latency_ns(m),
        "own_latency_ns": score.own_latency_ns(m),
        "layout": plan.layout_of(m),
        "shares": [float(score.shares[p]) for p in plan.of_model(m)],
        "pipelines": [
            [
                {
                    "op_ranges": [list(run) for run in stage.as_stage.op_ranges],
                    "devices": [pool.device_name(d) for d in stage.devices],
                    **members(own, "time_ns", "stream_ns", "onchip_bytes", "offchip_bytes"),
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
        left=("operations", ""),
        names=("model",),
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
    table = Grid("", *("model", "weight", "TPUs", "per second", "wanted", "latency ms", "worst ms"), names=("model",))
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


def _left_open(answer: PoolAnswer) -> str:
    """Say how far an answer that is not proven may be from the best."""
    if answer.problem.workload.goal is Goal.LATENCY and not answer.keeps_rates:
        return "no plan that makes the rates was found"
    if not answer.bound:
        return "how far it is from the best is not known"
    return (
        f"no {answer.unit} is below {ms(float(answer.bound))} ms: {percent(answer.gap or 0)} are left open. "
        f"That is over the cuts of the execution orders, with {answer.over}"
    )


def _verdict(answer: PoolAnswer, plan: PoolPlan, score: PoolScore) -> Iterator[str]:
    workload = answer.problem.workload
    often, alone = fps(float(score.scale_fps)), len(workload.demands) == 1
    what = f"{often} inferences per second" if alone else f"{often} times per second each model's weight of inferences"
    yield f"A period of {ms(score.period_ns)} ms: {what} (predicted)."
    if workload.scale_fps is not None:
        ratio = float(score.scale_fps / workload.scale_fps)
        yield f"That is {ratio:.2f} times the rates asked for."
    if workload.goal is Goal.LATENCY:
        yield f"The worst latency of a model is {ms(score.worst_latency_ns)} ms."
    assert answer.value is not None
    if answer.status is Status.OPTIMAL:
        yield (
            f"Proven: none is better over the cuts of the execution orders, with {answer.over}. Found by "
            f"{answer.found_by}."
        )
    else:
        yield f"Found by {answer.found_by}; {_left_open(answer)}."
    if answer.problem.words:
        yield f"Kept by all plans that count: {'; '.join(answer.problem.words)}."
    if answer.best_without_copies:
        yield f"Proven: none is better of those without {COPIES}."
    elif answer.status is not Status.OPTIMAL and answer.narrow is not None and answer.narrow[0] > answer.bound:
        yield f"Of those without {COPIES}, none is below {ms(float(answer.narrow[0]))} ms."
    for name, load in zip((name for name, _ in answer.problem.pool.links), score.link_loads, strict=True):
        if load == score.period:
            yield f"The {name} is what limits."
    if score.host_load == score.period:
        yield "The host is what limits: it drives stages and hands over frames in turn (host.serial, host.frame)."
    if plan.is_shared and (swapped := swapping(answer.problem)) is not None:
        yield (
            f"Residents of a TPU must be compiled together (`segsolve build --compile`). All models on every TPU, "
            f"compiled apart, would load their weights anew at every inference: "
            f"{float(swapped / score.period):.1f} times slower."
        )
    if answer.stopped_by is not Stop.FINISHED and answer.status is not Status.OPTIMAL:  # else nothing was left to find
        yield f"Stopped by: {answer.stopped_by}."
