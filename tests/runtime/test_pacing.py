"""Stages held to their predicted time: what is late does not add up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from generators.runtime_plans import Sketch, chain_plan, make_plan, write_folder
from segsolve_runtime import Pipeline, random_frames
from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow import worker
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.line import Line, Seat, Source, Turn
from segsolve_runtime.flow.records import PlaceRecord, SlotRecord
from segsolve_runtime.flow.routes import routes
from segsolve_runtime.flow.schedule import schedule
from segsolve_runtime.flow.worker import Post, Worker
from segsolve_runtime.observe.drift import SLOWER, behind, drift_of

from . import tiny_model
from .runners import IncrementRunner

MS = 1_000_000


class Machine:
    """A machine whose time the test tells, and which is late by `late_ns` when it wakes up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = self.late_ns = 0
        monkeypatch.setattr(worker, "perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr(worker, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9) + self.late_ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def raised(seat: Seat, job: Job, cause: BaseException) -> bool:
    raise cause


class Stage:
    """A stage of 10 ms, after another or the first, whose worker does in the test's thread what came to it."""

    def __init__(self, machine: Machine, *, position: int = 0, last: int = 0, takes_ms: Sequence[int] = ()) -> None:
        self.machine, self.done, self.slots = machine, list[Job](), SlotRecord(None)
        self.lane: list[Line] = []
        self.lane += [Line(self.lane, k, queue_size=2) for k in range(last + 1)]
        self.line = self.lane[position]
        place = Place(0, position)
        inbox: SimpleQueue[Job | Turn | None] = SimpleQueue()
        self.seat = Seat(place, self.line, PlaceRecord(place), self.line.inbox if position else inbox)
        self.source = Source(lambda failed: False)
        takes = iter(takes_ms)

        def spend(number: int) -> None:
            machine.now_ns += next(takes, 0) * MS

        plan = chain_plan([1] * (last + 1))
        self.post = Post(
            source=self.source,
            route=routes(plan)[position],
            outputs=(),
            runner=IncrementRunner(f"t{position + 1}", spend),
            origin_ns=0,
            pace_ns=10 * MS,
            slots=self.slots,
            finish=self.done.append,
            blame=lambda _: None,
            fail=raised,
            refuse=lambda *_: None,
            strayed=lambda _: None,
        )

    def run(self, *jobs: Job) -> None:
        """Do these inferences."""
        for each in jobs:
            each.tensors = {f"t{self.line.position}": np.zeros(2, np.int8)}
            self.line.inbox.put(each) if self.line.position else self.source.offer(each)
        self.seat.inbox.put(None)
        Worker(self.seat, self.post)._loop()


def job(number: int, put_ns: int = 0) -> Job:
    return Job(number, {}, {}, put_ns, None, put_ns)


def test_a_stage_without_a_pause_keeps_its_period_however_late_it_wakes(machine: Machine) -> None:
    machine.late_ns = 3 * MS
    Stage(machine).run(*map(job, range(50)))
    assert machine.now_ns == 500 * MS + machine.late_ns


def test_a_frame_that_came_late_is_not_made_up_for(machine: Machine) -> None:
    stage = Stage(machine, takes_ms=[0, 62])
    machine.now_ns = 8 * MS
    stage.run(job(0), job(1, put_ns=70 * MS))
    assert machine.now_ns == 80 * MS


def test_no_more_than_a_while_is_made_up_for(machine: Machine) -> None:
    stage = Stage(machine, takes_ms=[300])
    stage.run(*map(job, range(40)))
    assert machine.now_ns == 300 * MS + 390 * MS - worker.LATE_NS
    assert stage.seat.record.late == 20  # until what it was late was made up for


def test_a_result_is_handed_on_when_it_is_due_and_there_is_room(machine: Machine) -> None:
    stage = Stage(machine, last=1)
    room = stage.lane[1].room
    room.put(57 * MS)  # the third one has room when the next stage began on the first, at 57 ms
    machine.late_ns = 2 * MS
    stage.run(*map(job, range(3)))
    came = [stage.lane[1].inbox.get_nowait() for _ in range(3)]
    assert [each.put_ns for each in came if isinstance(each, Job)] == [10 * MS, 20 * MS, 57 * MS]


def test_room_is_made_when_an_inference_was_due_to_begin(machine: Machine) -> None:
    stage = Stage(machine, position=1, last=1)
    machine.now_ns = 5 * MS  # the thread woke up so much late
    stage.run(job(0, put_ns=3 * MS), job(1, put_ns=4 * MS))
    assert [stage.line.room.get_nowait() for _ in range(4)] == [0, 0, 3 * MS, 13 * MS]
    assert stage.done[-1].ready_ns == machine.now_ns == 23 * MS


def test_a_device_is_at_work_from_when_it_is_given_an_inference(machine: Machine) -> None:
    stage = Stage(machine)
    machine.now_ns = 3 * MS  # when its thread wakes up
    stage.run(job(0, put_ns=2 * MS))
    assert [(slot.start_ns, slot.end_ns) for slot in stage.slots.slots] == [(2 * MS, 12 * MS)]


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
        metrics = pipeline.metrics()
        assert all(drift.ratio > SLOWER for drift in drift_of(plan, metrics))
        assert [stage.stage for stage in behind(metrics)] == [0, 1, 2]
