"""The clock of the emulated backend: what is late does not add up."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from segsolve_runtime import Pipeline, random_frames
from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow import pacing
from segsolve_runtime.flow.clock import Report
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.pacing import PacedClock
from segsolve_runtime.flow.schedule import schedule
from segsolve_runtime.observe.drift import SLOWER, drift_of

from . import tiny_model
from .plans import Sketch, make_plan, write_folder

FIRST, SECOND = Place(0, 0), Place(0, 1)
MS = 1_000_000


class Machine:
    """A machine whose time the test tells, and which is late by `late_ns` when it wakes up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = self.late_ns = 0
        monkeypatch.setattr(pacing, "perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr(pacing, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9) + self.late_ns


def job(number: int, accepted_ns: int = 0) -> Job:
    return Job(number=number, inputs={}, tensors={}, accepted_ns=accepted_ns)


def run(clock: PacedClock, place: Place, one: Job) -> None:
    """Do an inference that takes no time of its own, and take note of it."""
    clock.begin(place, one)
    clock.hold(place)
    clock.add(Report(place, one, {}, 0, clock.stamp()))
    assert clock.due() is not None


def test_a_stage_without_a_pause_keeps_its_period_however_late_it_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock, machine.late_ns = PacedClock({FIRST: 10 * MS}), 3 * MS
    for n in range(50):
        run(clock, FIRST, job(n))
    assert machine.now_ns == 500 * MS + machine.late_ns


def test_a_frame_that_came_late_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = PacedClock({FIRST: 10 * MS})
    run(clock, FIRST, job(0))
    machine.now_ns = 70 * MS
    run(clock, FIRST, job(1, accepted_ns=70 * MS))
    assert machine.now_ns == 80 * MS


def test_no_more_than_a_while_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = PacedClock({FIRST: 10 * MS})
    clock.begin(FIRST, slow := job(0))
    machine.now_ns = 300 * MS
    clock.hold(FIRST)
    clock.add(Report(FIRST, slow, {}, 0, clock.stamp()))
    assert clock.due() is not None
    for n in range(1, 40):
        run(clock, FIRST, job(n))
    assert machine.now_ns == 300 * MS + 390 * MS - pacing._LATE_NS


def test_things_are_noted_in_the_order_in_which_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = PacedClock({FIRST: 10 * MS, SECOND: 12 * MS})
    first, second = job(0), job(1)
    clock.begin(FIRST, first)
    clock.begin(SECOND, second)
    clock.hold(FIRST)  # is done, and about to be reported
    machine.now_ns = 13 * MS
    clock.add(Report(SECOND, second, {}, 0, clock.stamp()))
    assert clock.due() is None  # the first was due before, and is late
    assert clock.is_waiting()
    clock.add(Report(FIRST, first, {}, 0, clock.stamp()))
    assert [report.place for report in (clock.due(), clock.due()) if report] == [FIRST, SECOND]
    assert not clock.is_waiting()


def test_what_is_still_at_work_when_it_is_due_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock, slow, quick = PacedClock({FIRST: 10 * MS, SECOND: 12 * MS}), job(0), job(1)
    clock.begin(FIRST, slow)
    clock.begin(SECOND, quick)
    machine.now_ns = 13 * MS
    clock.hold(SECOND)
    clock.add(Report(SECOND, quick, {}, 0, clock.stamp()))
    assert [report.place for report in (clock.due(),) if report] == [SECOND]
    assert not clock.is_waiting()
    machine.now_ns = 15 * MS
    clock.hold(FIRST)
    clock.add(Report(FIRST, slow, {}, 0, clock.stamp()))
    assert [report.place for report in (clock.due(),) if report] == [FIRST]
    assert clock.due() is None


def test_a_device_is_at_work_from_when_it_is_given_an_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock, one = PacedClock({FIRST: 10 * MS}), job(0)
    machine.now_ns = 2 * MS
    clock.begin(FIRST, one)
    machine.now_ns = start_ns = 3 * MS  # when its thread wakes up
    clock.hold(FIRST)
    clock.add(Report(FIRST, one, {}, start_ns, clock.stamp()))
    report = clock.due()
    assert report is not None
    assert (report.start_ns, report.end_ns) == (2 * MS, 10 * MS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sketches = [
        Sketch(takes=s.takes, makes=s.makes, content=s.content, time_ns=ns * MS)
        for s, ns in zip(tiny_model.sketches(), (5, 8, 6), strict=True)
    ]
    shapes = {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in tiny_model.plan().tensors}
    plan = make_plan(sketches, inputs=tiny_model.INPUTS, outputs=tiny_model.OUTPUTS, tensors=shapes)
    return write_folder(tmp_path, plan, sketches)


def test_emulated_gives_what_litert_gives_no_sooner_than_predicted(folder: Path) -> None:
    frames = list(random_frames(tiny_model.plan(), 40, seed=5))
    with Pipeline.load(folder) as pipeline:
        expected = list(pipeline.map(frames))
    with Pipeline.load(folder, backend="emulated", record=True) as pipeline:
        pipeline.warm_up()
        begin = time.perf_counter_ns()
        results = list(pipeline.map(frames))
        elapsed_ns, metrics = time.perf_counter_ns() - begin, pipeline.metrics()
    for result, other in zip(results, expected, strict=True):
        assert all(np.array_equal(result[name], other[name]) for name in other)
    predicted_ns = max(slot.end_ns for slot in schedule([5 * MS, 8 * MS, 6 * MS], 40, 2))
    assert elapsed_ns >= predicted_ns - 2 * MS
    assert metrics.elapsed_ns >= 0.97 * predicted_ns


def test_a_cpu_that_is_slower_than_the_prediction_shows_as_drift(folder: Path) -> None:
    plan = tiny_model.plan()  # predicts 1 us per stage
    with Pipeline.load(
        write_folder(folder.parent / "quick", plan, tiny_model.sketches()), backend="emulated"
    ) as pipeline:
        list(pipeline.map(random_frames(plan, 20, seed=0)))
        assert all(drift.ratio > SLOWER for drift in drift_of(plan, pipeline.metrics()))
