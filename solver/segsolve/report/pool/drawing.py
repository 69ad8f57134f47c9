"""Geometry of a pool's drawings: where time and memory of each device go, and one period of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsolve.report.gantt import WIDTH, Bar, Gantt, Tick, round_times
from segsolve.report.pool.view import DeviceView, PoolView
from segsolve.report.units import mib, ms, sentence, size
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.flow.shared_schedule import SharedRun, SharedSlot
from segsolve_runtime.pool import simulate

TIME_X, TIME_WIDTH, WEIGHT_X, WEIGHT_WIDTH = 124.0, 420.0, 620.0, 260.0
_LONGEST_NAME = 17
_LETTER = 7.5
_MOST_BARS = 240
_LEAST_INFERENCES = 60
_MOST_PERIODS = 4
_EVEN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a bar in a model's colour; hatched where weights stream. `label` is "" where there is no room."""

    number: int
    x: float
    width: float
    is_hatched: bool
    label: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A device, or a link (without weights): what a period occupies it for, and the weights that it holds."""

    name: str
    title: str
    share: str
    is_full: bool
    times: tuple[Piece, ...]
    weights: tuple[Piece, ...]
    room: float
    words: str
    streams: bool


def rows(view: PoolView) -> tuple[Row, ...]:
    """Return a row for each device and each link; the full width of a bar is a period, or the most weights."""
    most = max(1, *(max(d.room_bytes, d.onchip_bytes + d.offchip_bytes) for d in view.devices))
    devices = [_device(view, device, WEIGHT_WIDTH / most) for device in view.devices]
    return (*devices, *(_link(view, link.name, link.load_ns) for link in view.folder.pool.links))


def steady(view: PoolView) -> Gantt:
    """Return as many periods of the steady state as repeat, if they have room: every stage takes its predicted time."""
    weights = sum(model.file.weight for model in view.models)
    stages = max(len(pipeline.stages) for plan in view.folder.plans for pipeline in plan.plan.pipelines)
    run = simulate(view.folder, 2 * (stages + _MOST_PERIODS) + -(-_LEAST_INFERENCES // weights))
    start = _start(view, run)
    window, span = _repeated(view, run, start)
    if len(window) > _MOST_BARS:
        span = max(1, sorted(slot.start_ns for slot in window)[_MOST_BARS] - start)
    ends = [slot.end_ns for slot in window if slot.start_ns < start + span]
    return Gantt(
        names=tuple(short(device.file.name) for device in view.devices),
        inferences=len(window),
        bars=tuple(_bars(view, window, start, span)),
        ticks=tuple(Tick(x=round(t / span * WIDTH, 1), ns=t) for t in round_times(span)),
        span_ns=span,
        end_ns=max(ends, default=start) - start,
        filled_ns=span,
    )


def short(name: str) -> str:
    """Return a device's name as the drawings have room for it: the end tells which of its kind it is."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _start(view: PoolView, run: SharedRun) -> int:
    """Return when the busiest device begins something, half of the run after its beginning."""
    loads = [device.file.load_ns for device in view.devices]
    busiest = loads.index(max(loads))
    own = [slot.start_ns for slot in run.slots if slot.device == busiest]
    return next((start for start in own if 2 * start >= run.elapsed_ns - view.period_ns), own[-1] if own else 0)


def _repeated(view: PoolView, run: SharedRun, start: int) -> tuple[list[SharedSlot], int]:
    """Return what is done, and for how long, until each device has done the same for each period; the most, if never.

    Devices work ahead as far as the queues let them: a period may begin another model's inference for the next one.
    """
    for periods in range(1, _MOST_PERIODS + 1):
        end = start + periods * view.period_ns
        window = [slot for slot in run.slots if start < slot.end_ns and slot.start_ns < end]
        busy = [0] * len(view.devices)
        for slot in window:
            busy[slot.device] += min(end, slot.end_ns) - max(start, slot.start_ns)
        loads = zip(busy, view.devices, strict=True)
        if all(abs(own - periods * d.file.load_ns) <= _EVEN * (end - start) for own, d in loads):
            break
    return window, end - start


def _bars(view: PoolView, window: Sequence[SharedSlot], start: int, span: int) -> Iterator[Bar]:
    lanes = [m for m, plan in enumerate(view.folder.plans) for _ in plan.plan.pipelines]
    first: dict[int, int] = {}
    for slot in window:
        model = lanes[slot.lane]
        first[model] = min(first.get(model, slot.inference), slot.inference)
    for slot in window:
        a, b = max(slot.start_ns, start) - start, min(slot.end_ns, start + span) - start
        if a >= span:
            continue
        model = lanes[slot.lane]
        yield Bar(
            row=slot.device,
            stage=model,
            name=f"{view.models[model].tag}{slot.inference - first[model] + 1}",
            x=round(a / span * WIDTH, 1),
            width=round(max((b - a) / span * WIDTH, 0.3), 1),
        )


def _device(view: PoolView, device: DeviceView, scale: float) -> Row:
    load = device.file.load_ns
    on, off = device.onchip_bytes, device.offchip_bytes
    lines = [f"{device.file.name}: {percent(load / view.period_ns)} of a period"]
    for resident in device.residents:
        s = resident.score
        lines.append(
            f"{resident.name} ({resident.model.file.name}): {ms(s.time_ns)} ms, {ms(s.stream_ns)} of them streaming; "
            f"{size(s.onchip_bytes)} on chip, {size(s.offchip_bytes)} streamed"
        )
    return Row(
        name=short(device.file.name),
        title="\n".join(lines),
        share=percent(load / view.period_ns),
        is_full=load >= view.period_ns,
        times=tuple(_times(device, TIME_WIDTH / view.period_ns)),
        weights=tuple(_weights(device, scale)),
        room=round(device.room_bytes * scale, 1),
        words=f"{mib(on)} + {mib(off)} MiB" if off else size(on) if device.residents else "unused",
        streams=off > 0,
    )


def _times(device: DeviceView, scale: float) -> Iterator[Piece]:
    x = TIME_X
    for resident in device.residents:
        tag = sentence(resident.model.tag) if resident.replicas == 1 else f"{resident.model.tag}/{resident.replicas}"
        for is_hatched, amount in ((False, resident.load_ns - resident.stream_ns), (True, resident.stream_ns)):
            if width := round(amount * scale, 1):
                yield _piece(resident.model.number, x, width, is_hatched, tag)
                x += width


def _weights(device: DeviceView, scale: float) -> Iterator[Piece]:
    x = WEIGHT_X
    for is_hatched in (False, True):
        for resident in device.residents:
            amount = resident.score.offchip_bytes if is_hatched else resident.score.onchip_bytes
            if width := round(amount * scale, 1):
                yield _piece(resident.model.number, x, width, is_hatched, resident.model.tag)
                x += width


def _piece(number: int, x: float, width: float, is_hatched: bool, tag: str) -> Piece:
    label = tag if width > 6 + _LETTER * len(tag) else ""
    return Piece(number=number, x=round(x, 1), width=width, is_hatched=is_hatched, label=label)


def _link(view: PoolView, name: str, load_ns: int) -> Row:
    share = load_ns / view.period_ns
    return Row(
        name=short(name),
        title=f"{name}: {percent(share)} of a period",
        share=percent(share),
        is_full=load_ns >= view.period_ns,
        times=(Piece(number=-1, x=TIME_X, width=round(TIME_WIDTH * min(1.0, share), 1), is_hatched=False),),
        weights=(),
        room=0.0,
        words="",
        streams=False,
    )
