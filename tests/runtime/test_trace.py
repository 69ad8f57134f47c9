from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema

from generators.runtime_plans import lanes_plan
from segsolve_runtime.backends import simulated
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.faults import Fault, FaultKind
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.observe.heat import Heat, HeatLog, HeatSample
from segsolve_runtime.observe.trace import MEASURED, PREDICTED, chrome_trace, trace_json, trace_schema
from segsolve_runtime.pipeline import Pipeline

LANES = [Lane(stage_ns=(2_000, 6_000), replicas=(1, 2)), Lane(stage_ns=(5_000, 1_000), replicas=(1, 1))]


def ran(count: int = 10) -> tuple[Plan, Metrics]:
    plan = lanes_plan(LANES)
    stages = simulated.stages_of(plan)
    with Pipeline(plan, stages.runners, clocks=stages.clocks, record=True) as pipeline:
        list(pipeline.map(random_frames(plan, count, seed=0)))
        return plan, pipeline.metrics()


def test_on_a_virtual_clock_both_processes_show_the_same() -> None:
    plan, metrics = ran()
    trace = chrome_trace(plan, metrics, backend="simulated", queue_size=2)
    events = json.loads(trace_json(trace))["traceEvents"]
    slices = {
        process: [(e["tid"], e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X" and e["pid"] == process]
        for process in (PREDICTED, MEASURED)
    }
    assert slices[PREDICTED] == slices[MEASURED]
    assert len(slices[MEASURED]) == 20
    assert trace["otherData"] == {"model": "lanes", "layout": "2", "inferences": 10, "of": 10}


def test_every_device_has_its_own_row_on_which_nothing_overlaps() -> None:
    plan, metrics = ran()
    events = chrome_trace(plan, metrics, backend="simulated", queue_size=2)["traceEvents"]
    rows = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name" and e["pid"] == MEASURED}
    assert list(rows.values()) == [
        "stage 0 of pipeline 0",
        "stage 1 of pipeline 0, replica 0",
        "stage 1 of pipeline 0, replica 1",
        "stage 0 of pipeline 1",
        "stage 1 of pipeline 1",
    ]
    for thread in rows:
        own = sorted(
            (e["ts"], e["ts"] + e["dur"])
            for e in events
            if e["ph"] == "X" and (e["pid"], e["tid"]) == (MEASURED, thread)
        )
        assert own
        assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_counters_tell_what_waits_and_end_with_nothing() -> None:
    plan, metrics = ran()
    events = chrome_trace(plan, metrics, backend="simulated", queue_size=2)["traceEvents"]
    counters: dict[str, list[int]] = {}
    for event in events:
        if event["ph"] == "C" and event["pid"] == MEASURED:
            counters.setdefault(event["name"], []).append(event["args"]["inferences"])
    assert set(counters) == {"waiting for stage 1 of pipeline 0", "waiting for stage 1 of pipeline 1"}
    assert all(min(depths) == 0 and depths[-1] == 0 for depths in counters.values())
    assert max(counters["waiting for stage 1 of pipeline 0"]) == 3  # two in the queue, one still at its device


def test_faults_are_marked_where_and_when_they_were() -> None:
    plan, metrics = ran(0)
    fault = Fault(
        kind=FaultKind.HUNG, place=Place(0, 1, 1), inference=4, at_ns=9_000, message="it took too long", retired=True
    )
    changed = Metrics(**{name: getattr(metrics, name) for name in Metrics.__slots__} | {"faults": (fault,)})
    (mark,) = (e for e in chrome_trace(plan, changed, backend="litert", queue_size=2)["traceEvents"] if e["ph"] == "i")
    assert (mark["tid"], mark["ts"], mark["name"]) == (3, 9.0, "hung")
    assert mark["args"] == {"inference": 4, "message": "it took too long"}


def test_arrows_lead_from_each_stage_to_the_next_of_the_same_inference() -> None:
    plan, metrics = ran()
    events = chrome_trace(plan, metrics, backend="simulated", queue_size=2)["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert len(starts) == len(ends) == 20  # of ten inferences, predicted and measured
    assert starts.keys() == ends.keys()
    for number, start in starts.items():
        end = ends[number]
        (before,) = [s for s in slices if _is_at(start, s) and s["ts"] + s["dur"] == start["ts"]]
        (after,) = [s for s in slices if _is_at(end, s) and s["ts"] == end["ts"]]
        assert before["args"] == after["args"]
        assert (start["pid"], end["bp"]) == (end["pid"], "e")


def _is_at(event: dict[str, Any], slice_: dict[str, Any]) -> bool:
    return (event["pid"], event["tid"]) == (slice_["pid"], slice_["tid"])


def hot(place: Place, at_ns: int, celsius: float) -> HeatSample:
    heat = Heat(device="/dev/apex_0", now_c=celsius, trips_c=(84.8,), clock_mhz=500.0)
    return HeatSample(at_ns=at_ns, place=place, heat=heat)


def test_temperature_is_a_track_and_marks_what_it_slows() -> None:
    plan, metrics = ran()
    slots = [slot for slot in metrics.timeline if (slot.pipeline, slot.stage) == (0, 0)]
    slow = slots[-1]
    longer = replace(slow, end_ns=slow.start_ns + 2 * (slow.end_ns - slow.start_ns))
    timeline = tuple(longer if slot is slow else slot for slot in metrics.timeline)
    changed = Metrics(**{name: getattr(metrics, name) for name in Metrics.__slots__} | {"timeline": timeline})
    place = Place(0, 0, slow.replica)

    def marked(celsius: float) -> list[dict[str, Any]]:
        heat = (hot(place, 0, 50.0), hot(place, slow.start_ns, celsius))
        trace = chrome_trace(plan, changed, backend="edgetpu", queue_size=2, heat=heat)
        jsonschema.validate(trace, trace_schema())
        tracks = [e for e in trace["traceEvents"] if e["ph"] == "C" and "temperature" in e["name"]]
        assert [e["args"]["C"] for e in tracks] == [50.0, celsius]
        return [e for e in trace["traceEvents"] if e["name"] == "throttled"]

    (mark,) = marked(84.0)
    assert mark["args"] == {"inference": slow.inference, "temperature_c": 84.0}
    assert marked(60.0) == []


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def test_the_heat_of_a_run_is_read_while_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "apex_0").mkdir()
    told = tmp_path / "apex_0" / "temp"
    told.write_text("51000\n")
    with HeatLog({Place(0, 0): "/dev/apex_0", Place(0, 1): "usb:0"}, every_s=0.001, sysfs=tmp_path) as log:
        until(lambda: len(log.samples) > 2)
        told.write_text("52000\n")
        until(lambda: log.samples[-1].heat.now_c == 52.0)
    assert {sample.place for sample in log.samples} == {Place(0, 0)}
    assert [s.at_ns for s in log.samples] == sorted(s.at_ns for s in log.samples)
