"""A run's timeline as Chrome trace events: predicted and measured beside each other, for Perfetto or chrome://tracing.

Format: "Trace Event Format" of the Catapult project. Two processes, a thread per device; times are in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.lanes import lanes_of
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.flow.schedule import Slot, schedule_lanes

PREDICTED, MEASURED = 1, 2
TRACED = 10_000
"""Inferences in a trace at most, so that a long run's trace can still be opened."""


def chrome_trace(plan: Plan, metrics: Metrics, *, backend: str, queue_size: int) -> dict[str, Any]:
    """Return the trace of a run that recorded its timeline, and of the same number of inferences as predicted."""
    inferences = 1 + max((slot.inference for slot in metrics.timeline), default=-1)
    predicted = schedule_lanes(lanes_of(plan), inferences, queue_size)
    clock = "virtual clock" if backend == "simulated" else "measured"
    return {
        "traceEvents": [
            *_process(plan, PREDICTED, f"predicted for {plan.device.name}", predicted),
            *_process(plan, MEASURED, f"{clock}, {backend}", metrics.timeline),
            *_faults(plan, metrics),
        ],
        "displayTimeUnit": "ms",
        "otherData": {
            "model": plan.model.name,
            "layout": plan.solution.layout,
            "inferences": inferences,
            "of": metrics.count,
        },
    }


def trace_json(trace: dict[str, Any]) -> str:
    """Return the text of a trace file."""
    return json.dumps(trace, separators=(",", ":")) + "\n"


def _process(plan: Plan, process: int, name: str, slots: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    threads = {place: k for k, place in enumerate(places(plan), start=1)}
    yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "name": "process_sort_index", "args": {"sort_index": process}}
    for place, thread in threads.items():
        label = place.describe(plan)
        yield {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": label}}
        yield {"ph": "M", "pid": process, "tid": thread, "name": "thread_sort_index", "args": {"sort_index": thread}}
    for slot in slots:
        yield _slice(process, threads[Place(slot.pipeline, slot.stage, slot.replica)], slot)
    yield from _queues(plan, process, slots)


def _slice(process: int, thread: int, slot: Slot) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "cat": "inference",
        "name": f"inference {slot.inference}",
        "ts": slot.start_ns / 1e3,
        "dur": (slot.end_ns - slot.start_ns) / 1e3,
        "args": {"inference": slot.inference},
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


def _faults(plan: Plan, metrics: Metrics) -> Iterator[dict[str, Any]]:
    threads = {place: k for k, place in enumerate(places(plan), start=1)}
    for fault in metrics.faults:
        yield {
            "ph": "i",
            "s": "t",
            "pid": MEASURED,
            "tid": threads[fault.place],
            "cat": "fault",
            "name": fault.kind.value,
            "ts": fault.at_ns / 1e3,
            "args": {"inference": fault.inference, "message": fault.message},
        }
