"""A run's timeline as Chrome trace events: predicted and measured beside each other, for Perfetto or chrome://tracing.

Format: "Trace Event Format" of the Catapult project. Two processes, a thread per device; times are in microseconds.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.lanes import lanes_of
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.flow.schedule import Slot, schedule_lanes
from segsolve_runtime.observe.heat import SLOWED, HeatSample

Event: TypeAlias = dict[str, Any]
PREDICTED, MEASURED = 1, 2
TRACED = 10_000
"""Inferences in a trace at most, so that a long run's trace can still be opened."""


def chrome_trace(
    plan: Plan, metrics: Metrics, *, backend: str, queue_size: int, heat: Sequence[HeatSample] = ()
) -> dict[str, Any]:
    """Return the trace of a run that recorded its timeline, and of the same number of inferences as predicted.

    `heat` becomes a track of temperature for each device, and a mark on the inferences that were slow while it was hot.
    """
    inferences = 1 + max((slot.inference for slot in metrics.timeline), default=-1)
    predicted = schedule_lanes(lanes_of(plan), inferences, queue_size)
    clock = "virtual clock" if backend == "simulated" else "measured"
    return trace_of(
        [
            *_process(plan, PREDICTED, f"predicted for {plan.device.name}", predicted),
            *_process(plan, MEASURED, f"{clock}, {backend}", metrics.timeline),
            *_faults(plan, metrics),
            *_temperatures(plan, heat),
            *_throttled(plan, metrics, heat),
        ],
        model=plan.model.name,
        layout=plan.solution.layout,
        inferences=inferences,
        of=metrics.count,
    )


def trace_of(events: Sequence[Event], **about: Any) -> Event:
    """Return a trace of some events, and what else is to be said about it."""
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


def process_events(process: int, name: str, tracks: Iterable[str]) -> Iterator[Event]:
    """Yield what a process is called, and its tracks, which are numbered from 1 on."""
    yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "name": "process_sort_index", "args": {"sort_index": process}}
    for track, label in enumerate(tracks, start=1):
        yield {"ph": "M", "pid": process, "tid": track, "name": "thread_name", "args": {"name": label}}
        yield {"ph": "M", "pid": process, "tid": track, "name": "thread_sort_index", "args": {"sort_index": track}}


def ran_event(process: int, track: int, kind: str, name: str, start_ns: int, end_ns: int, **about: Any) -> Event:
    """Return an inference on a device."""
    event = {"ph": "X", "pid": process, "tid": track, "cat": kind, "name": name}
    return event | {"ts": start_ns / 1e3, "dur": (end_ns - start_ns) / 1e3, "args": about}


def mark_event(track: int, kind: str, name: str, at_ns: int, **about: Any) -> Event:
    """Return a mark on what was measured."""
    event = {"ph": "i", "s": "t", "pid": MEASURED, "tid": track, "cat": kind, "name": name}
    return event | {"ts": at_ns / 1e3, "args": about}


def trace_json(trace: dict[str, Any]) -> str:
    """Return the text of a trace file."""
    return json.dumps(trace, separators=(",", ":")) + "\n"


def trace_schema() -> dict[str, Any]:
    """Return the JSON Schema of a trace file: of the Trace Event Format, the events that are written here."""
    common = {"ph": {"type": "string"}, "pid": {"type": "integer"}, "name": {"type": "string"}}
    at = common | {"ts": {"type": "number", "minimum": 0, "description": "microseconds since the run began"}}
    on = at | {"tid": {"type": "integer"}, "cat": {"type": "string"}}

    def event(phase: str, members: dict[str, Any], *needed: str) -> dict[str, Any]:
        said = members | {"ph": {"const": phase}}
        return {"type": "object", "properties": said, "required": ["ph", "pid", "name", *needed]}

    args = {"args": {"type": "object"}}
    events = [
        event("M", common | args | {"tid": {"type": "integer"}}, "args"),
        event("X", on | args | {"dur": {"type": "number", "minimum": 0}}, "tid", "ts", "dur", "args"),
        event("s", on | {"id": {"type": "integer"}}, "tid", "ts", "id"),
        event("f", on | {"id": {"type": "integer"}, "bp": {"const": "e"}}, "tid", "ts", "id", "bp"),
        event("C", at | args, "ts", "args"),
        event("i", on | args | {"s": {"const": "t"}}, "tid", "ts", "args"),
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a run's trace, in the Trace Event Format",
        "type": "object",
        "properties": {
            "traceEvents": {"type": "array", "items": {"oneOf": events}},
            "displayTimeUnit": {"const": "ms"},
            "otherData": {"type": "object"},
        },
        "required": ["traceEvents", "displayTimeUnit", "otherData"],
    }


def _process(plan: Plan, process: int, name: str, slots: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    threads = {place: k for k, place in enumerate(places(plan), start=1)}
    yield from process_events(process, name, (place.describe(plan) for place in threads))
    for slot in slots:
        thread, number = threads[Place(slot.pipeline, slot.stage, slot.replica)], slot.inference
        what = f"inference {number}"
        yield ran_event(process, thread, "inference", what, slot.start_ns, slot.end_ns, inference=number)
    yield from _arrows(process, threads, slots)
    yield from _queues(plan, process, slots)


def _arrows(process: int, threads: Mapping[Place, int], slots: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    """Yield an arrow from each stage to the next of the same inference, as far as both were recorded."""
    known = {(slot.pipeline, slot.stage, slot.inference): slot for slot in slots}
    number = 0
    for slot in slots:
        following = known.get((slot.pipeline, slot.stage + 1, slot.inference))
        if following is None or following.start_ns < slot.end_ns:
            continue
        number += 1
        ends = (("s", slot, slot.end_ns), ("f", following, following.start_ns))
        for phase, at, at_ns in ends:
            yield {
                "ph": phase,
                **({"bp": "e"} if phase == "f" else {}),
                "pid": process,
                "tid": threads[Place(at.pipeline, at.stage, at.replica)],
                "cat": "inference",
                "name": "handed on",
                "id": process << 32 | number,
                "ts": at_ns / 1e3,
            }


def _queues(plan: Plan, process: int, slots: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    """Yield counters: results of each stage that wait for the next, in the queue or at the device that made them."""
    ends = {(slot.pipeline, slot.stage, slot.inference): slot.end_ns for slot in slots}
    for p, pipeline in enumerate(plan.pipelines):
        where = f" of pipeline {p}" if len(plan.pipelines) > 1 else ""
        for k in range(1, len(pipeline.stages)):
            own = [slot for slot in slots if (slot.pipeline, slot.stage) == (p, k)]
            changes = [(ends[p, k - 1, slot.inference], 1) for slot in own if (p, k - 1, slot.inference) in ends]
            changes += [(slot.start_ns, -1) for slot in own if (p, k - 1, slot.inference) in ends]
            changes.sort(key=lambda change: (change[0], -change[1]))
            for (at_ns, _), depth in zip(changes, accumulate(step for _, step in changes), strict=True):
                yield {
                    "ph": "C",
                    "pid": process,
                    "name": f"waiting for stage {k}{where}",
                    "ts": at_ns / 1e3,
                    "args": {"inferences": depth},
                }


def _temperatures(plan: Plan, heat: Sequence[HeatSample]) -> Iterator[dict[str, Any]]:
    """Yield counters: the temperature of each device that tells it, and its clock where that is told."""
    for sample in heat:
        counters = {"temperature": ("C", sample.heat.now_c), "clock": ("MHz", sample.heat.clock_mhz)}
        for what, (unit, value) in counters.items():
            if value is not None:
                yield {
                    "ph": "C",
                    "pid": MEASURED,
                    "name": f"{what} of {sample.place.describe(plan)}, {unit}",
                    "ts": sample.at_ns / 1e3,
                    "args": {unit: value},
                }


def _throttled(plan: Plan, metrics: Metrics, heat: Sequence[HeatSample]) -> Iterator[dict[str, Any]]:
    """Mark inferences that took much longer than the stage's median while its device was hot."""
    threads = {place: k for k, place in enumerate(places(plan), start=1)}
    usual = {(stage.pipeline, stage.stage): stage.time_p50_ns for stage in metrics.stages}
    told: dict[Place, list[HeatSample]] = {}
    for sample in heat:
        told.setdefault(sample.place, []).append(sample)
    for slot in metrics.timeline:
        place = Place(slot.pipeline, slot.stage, slot.replica)
        samples = told.get(place, [])
        found = bisect_right(samples, slot.end_ns, key=lambda sample: sample.at_ns)
        if not samples or slot.end_ns - slot.start_ns < SLOWED * usual[slot.pipeline, slot.stage]:
            continue
        now = samples[max(0, found - 1)].heat
        if now.is_hot:
            about = {"inference": slot.inference, "temperature_c": now.now_c}
            yield mark_event(threads[place], "heat", "throttled", slot.start_ns, **about)


def _faults(plan: Plan, metrics: Metrics) -> Iterator[dict[str, Any]]:
    threads = {place: k for k, place in enumerate(places(plan), start=1)}
    for fault in metrics.faults:
        about = {"inference": fault.inference, "message": fault.message}
        yield mark_event(threads[fault.place], "fault", fault.kind.value, fault.at_ns, **about)
