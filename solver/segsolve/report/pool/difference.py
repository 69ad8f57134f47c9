"""What differs between the plans of two pools: as tables for the terminal and as a JSON document."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.report.grid import Grid
from segsolve.report.pool.view import DeviceView, PoolView
from segsolve.report.units import fps, ms, times
from segsolve_runtime.contract.wording import percent


def pool_difference_document(one: PoolView, other: PoolView) -> dict[str, Any]:
    """Return what both plans say, model by model and device by device; None where one has it not."""
    return {
        "period_ns": [one.period_ns, other.period_ns],
        "bound_ns": [one.solution.bound_ns, other.solution.bound_ns],
        "models": [
            {
                "name": name,
                **{
                    key: [None if model is None else getattr(model, key) for model in models]
                    for key in ("weight", "rate_fps", "own_latency_ns", "latency_ns")
                },
            }
            for name, models in _models(one, other)
        ],
        "devices": [
            {
                "name": name,
                "load_ns": [None if device is None else device.file.load_ns for device in devices],
                "residents": [None if device is None else _residents(device) for device in devices],
            }
            for name, devices in _devices(one, other)
        ],
    }


def pool_difference_table(one: PoolView, other: PoolView, names: tuple[str, str]) -> RenderableType:
    """Return the models' rates and latencies in both plans, and the devices whose residents differ."""
    models = Grid(
        "rates and worst latencies (predicted)",
        *("model", f"per second, {names[0]}", names[1], "ratio", f"worst ms, {names[0]}", f"{names[1]} "),
        names=("model",),
    )
    for name, (before, after) in _models(one, other):
        models.add_row(
            name,
            "-" if before is None else fps(before.rate_fps),
            "-" if after is None else fps(after.rate_fps),
            times(after.rate_fps / before.rate_fps) if before and after and before.rate_fps else "-",
            "-" if before is None else ms(before.latency_ns),
            "-" if after is None else ms(after.latency_ns),
        )
    devices = Grid(
        "residents, in co-compilation order",
        *("TPU", "plan", "busy", "residents"),
        left=("plan",),
        text=("residents",),
    )
    differ = 0
    for name, pair in _devices(one, other):
        if pair[0] is not None and pair[1] is not None and _residents(pair[0]) == _residents(pair[1]):
            continue
        differ += 1
        for number, (device, view) in enumerate(zip(pair, (one, other), strict=True)):
            devices.add_row(
                "" if number else name,
                names[number],
                "-" if device is None else percent(device.file.load_ns / view.period_ns),
                "not there" if device is None else "; ".join(_residents(device)) or "nobody",
            )
    ratio = one.period_ns / other.period_ns
    weights = [{model.file.name: model.file.weight for model in view.models} for view in (one, other)]
    period = (
        f"A period takes {ms(one.period_ns)} ms in {names[0]}, {ms(other.period_ns)} ms in {names[1]}: {times(ratio)}."
        if weights[0] == weights[1]
        else "In a period, models do other numbers of inferences in one than in the other."
    )
    return Group(models, *([devices] if differ else [Text("Every TPU has the same residents.")]), Text(period))


def _models(one: PoolView, other: PoolView) -> list[tuple[str, tuple[Any, Any]]]:
    before, after = ({model.file.name: model.file for model in view.models} for view in (one, other))
    return [(name, (before.get(name), after.get(name))) for name in dict.fromkeys([*before, *after])]


def _devices(one: PoolView, other: PoolView) -> list[tuple[str, tuple[DeviceView | None, DeviceView | None]]]:
    before, after = ({device.file.name: device for device in view.devices} for view in (one, other))
    return [(name, (before.get(name), after.get(name))) for name in dict.fromkeys([*before, *after])]


def _residents(device: DeviceView) -> list[str]:
    """Return the operations of each resident, with its model."""
    return [
        f"{r.model.file.name} {','.join(f'{a}-{b}' if a != b else str(a) for a, b in r.op_ranges)}"
        for r in device.residents
    ]
