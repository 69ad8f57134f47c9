"""Edge TPUs with processes of their own: what happens to a process is a lost device, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.backends.edgetpu import mappings
from segsolve_runtime.backends.edgetpu import open as opening
from segsolve_runtime.backends.isolated.runner import IsolatedRunner
from segsolve_runtime.contract.arrays import Array, Frame
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import PLAN_FILE, load_plan
from segsolve_runtime.errors import HardwareError, StageError
from segsolve_runtime.flow.faults import FaultKind, FaultPolicy
from segsolve_runtime.flow.rejoin import THREAD_NAME
from segsolve_runtime.pipeline import Pipeline, State

from ..cli.tool import document, error, inside
from ..runtime.runners import PATIENCE_S, stage_threads
from ..standins.edgetpu import StandIn

PATHS = [f"/sys/bus/usb/devices/1-{k}" for k in range(1, 7)]
COUNT = 60
HANGS_S = 5.0
REJOIN = FaultPolicy(on_fault="retry", attempts=8, rejoin_s=PATIENCE_S)


@pytest.fixture
def usb(standin: StandIn) -> StandIn:
    """The stand-in with six devices on USB."""
    standin.attach(*(f"usb={path}" for path in PATHS))
    return standin


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    yield
    assert stage_threads() == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)] == []


def changed(folder: Path, pipelines: int = 1, replicas: int = 1) -> Path:
    """Have a plan's middle stage on several devices, and its pipeline several times."""
    plan = load_plan(folder).plan
    (pipeline,) = plan.pipelines
    stages = [s.model_copy(update={"replicas": replicas}) if k == 1 else s for k, s in enumerate(pipeline.stages)]
    several = [pipeline.model_copy(update={"stages": stages})] * pipelines
    (folder / PLAN_FILE).write_text(digested_json(plan.model_copy(update={"pipelines": several})))
    return folder


def frames(pipeline: Pipeline, at: int = -1, action: Callable[[], object] = lambda: None) -> Iterator[Frame]:
    for number, frame in enumerate(random_frames(pipeline.plan, COUNT, seed=0)):
        if number == at:
            action()
        yield frame


def expected(folder: Path) -> list[dict[str, Array]]:
    with Pipeline.load(folder) as pipeline:
        return [dict(result) for result in pipeline.map(frames(pipeline))]


def check(found: Iterable[dict[str, Array]], wanted: list[dict[str, Array]]) -> None:
    found = list(found)
    assert len(found) == len(wanted)
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(found, wanted, strict=True) for name in b)


def come_back(pipeline: Pipeline, wanted: list[dict[str, Array]]) -> None:
    """Run until no device is lost any more."""
    end = monotonic() + PATIENCE_S
    while pipeline.lost:
        assert monotonic() < end, pipeline.lost
        check(pipeline.map(frames(pipeline)), wanted)


def runner_at(pipeline: Pipeline, place: Place) -> IsolatedRunner:
    runner = pipeline._setting.runners[place]
    assert isinstance(runner, IsolatedRunner)
    return runner


@pytest.mark.parametrize("isolate", ["all", "auto"])
def test_each_usb_device_has_a_process(isolate: str, plan_folder: Path, standin: StandIn) -> None:
    with Pipeline.load(plan_folder, backend="edgetpu", isolate=isolate) as pipeline:  # type: ignore[arg-type]
        kinds = [isinstance(runner, IsolatedRunner) for runner in pipeline._setting.runners.values()]
        assert kinds == [True, isolate == "all", True]
        pids = [r.pid for r in pipeline._setting.runners.values() if isinstance(r, IsolatedRunner)]
        assert len({*pids, os.getpid()}) == len(pids) + 1
        check(pipeline.map(frames(pipeline)), expected(plan_folder))
    assert not any(standin.is_open(path) for path in ("/sys/bus/usb/devices/1-2", "/dev/apex_0"))


@pytest.mark.parametrize("fault", ["abort 9", "hang 9", "vanish 9", "fail 9", "shape 9", "slow 5"])
def test_a_fault_of_the_only_device(fault: str, plan_folder: Path, usb: StandIn) -> None:
    """Without a policy, it is an error that names it; the process goes on."""
    stage = 1
    usb.fault(PATHS[stage], fault)
    policy = FaultPolicy(stage_timeout_s=HANGS_S if fault.startswith("hang") else None)
    with Pipeline.load(plan_folder, backend="edgetpu", faults=policy) as pipeline:
        if fault == "slow 5":
            check(pipeline.map(frames(pipeline)), expected(plan_folder))
            return
        with pytest.raises(StageError, match=f"stage {stage} failed on inference 8") as caught:
            list(pipeline.map(frames(pipeline)))
    words = {
        "abort": f"usb:{stage} \\({PATHS[stage]}\\) is lost: it ends its process with SIGABRT \\(.*transfer on tag 1",
        "vanish": "is lost: it ends its process with SIGABRT",
        "hang": f"it took longer than {HANGS_S:g} s",
        "fail": "Unable to transfer",
        "shape": "the runner made '.*' as int8 of shape",
    }
    assert caught.match(words[fault.partition(" ")[0]])


@pytest.mark.parametrize(
    ("fault", "stage"), [("abort 9", 0), ("abort 9", 2), ("hang 9", 0), ("hang 9", 1), ("fail 9", 1)]
)
def test_a_device_that_was_lost_is_opened_again(fault: str, stage: int, plan_folder: Path, usb: StandIn) -> None:
    """A device for each stage: all wait until it is back."""
    usb.fault(PATHS[stage], fault)
    policy = replace(REJOIN, stage_timeout_s=HANGS_S if fault.startswith("hang") else None)
    with Pipeline.load(plan_folder, backend="edgetpu", faults=policy) as pipeline:
        check(pipeline.map(frames(pipeline)), expected(plan_folder))
        counts = pipeline.metrics().fault_counts
        assert counts.get(FaultKind.REJOINED, 0) >= (fault != "fail 9")  # a busy machine may seem to hang, too
        assert sum(counts.values()) >= (1 if fault == "fail 9" else 2)
        check(pipeline.map(frames(pipeline)), expected(plan_folder))  # and another run
        come_back(pipeline, expected(plan_folder))  # one that seemed to hang in the end is not back yet
        assert pipeline.state is State.READY


@pytest.mark.parametrize(("stage", "pipelines", "replicas"), [(1, 1, 1), (0, 2, 1), (1, 2, 1), (2, 2, 1), (1, 1, 2)])
def test_a_device_that_comes_back(stage: int, pipelines: int, replicas: int, plan_folder: Path, usb: StandIn) -> None:
    """It vanishes for a while: the others go on, if they can, and then it is used again."""
    changed(plan_folder, pipelines, replicas)
    usb.fault(PATHS[stage], "vanish 5")
    wanted = expected(plan_folder)
    with Pipeline.load(plan_folder, backend="edgetpu", faults=REJOIN) as pipeline:
        back = threading.Event()

        def put_back() -> None:
            while not pipeline.lost and not back.wait(0.01):
                pass
            usb.put_back(PATHS[stage])

        helper = threading.Thread(target=put_back)
        helper.start()
        check(pipeline.map(frames(pipeline)), wanted)
        come_back(pipeline, wanted)  # where another device did it all, this one may still be opening
        used = len(usb.used)
        pipeline.warm_up()
        check(pipeline.map(frames(pipeline)), wanted)
        back.set()
        helper.join(PATIENCE_S)
        assert PATHS[stage] in usb.used[used:]


def test_where_none_comes_back(plan_folder: Path, usb: StandIn) -> None:
    usb.fault(PATHS[1], "vanish 5")
    policy = FaultPolicy(on_fault="retry", rejoin_s=0.2)
    with (
        Pipeline.load(plan_folder, backend="edgetpu", faults=policy) as pipeline,
        pytest.raises(StageError, match=r"no pipeline was whole for 0.2 s: stage 1: the Edge TPU usb:1 .* is lost"),
    ):
        list(pipeline.map(frames(pipeline)))


def test_a_frame_that_ends_every_process_fails_alone(plan_folder: Path, usb: StandIn) -> None:
    policy = FaultPolicy(on_fault="skip", rejoin_s=PATIENCE_S)
    usb.fault(PATHS[1], "abort 9")
    with Pipeline.load(plan_folder, backend="edgetpu", faults=policy) as pipeline:
        found = list(pipeline.map(frames(pipeline), on_error="yield"))
    assert [n for n, outcome in enumerate(found) if isinstance(outcome, StageError)] == [8]


def test_submitted_frames_wait_for_a_device(plan_folder: Path, usb: StandIn) -> None:
    usb.fault(PATHS[1], "abort 9")
    with Pipeline.load(plan_folder, backend="edgetpu", faults=REJOIN) as pipeline:
        futures = [pipeline.submit(frame) for frame in frames(pipeline)]
        check((future.result(PATIENCE_S) for future in futures), expected(plan_folder))


def test_a_process_that_is_killed(plan_folder: Path, usb: StandIn) -> None:
    with Pipeline.load(plan_folder, backend="edgetpu", faults=REJOIN) as pipeline:
        pid = runner_at(pipeline, Place(0, 1)).pid
        assert pid is not None
        check(pipeline.map(frames(pipeline, 10, lambda: os.kill(pid, signal.SIGKILL))), expected(plan_folder))
        assert runner_at(pipeline, Place(0, 1)).pid not in (None, pid)


def test_a_hang_without_a_timeout_does_not_keep_the_pipeline(plan_folder: Path, usb: StandIn) -> None:
    usb.fault(PATHS[1], "hang 9")
    with Pipeline.load(plan_folder, backend="edgetpu") as pipeline:
        results = pipeline.map(frames(pipeline))
        for _ in range(8):
            next(results)
    assert not any(usb.is_open(path) for path in PATHS)


def test_opening_is_tried_again(plan_folder: Path, usb: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    usb.fault(PATHS[1], "open 3")
    with Pipeline.load(plan_folder, backend="edgetpu") as pipeline:
        check(pipeline.map(frames(pipeline)), expected(plan_folder))
    usb.fault(PATHS[1], "open 99")
    monkeypatch.setattr(opening, "OPEN_WAITS_S", (0.01,))
    with pytest.raises(HardwareError, match=r"usb:1 .* cannot be opened; another process may use it"):
        Pipeline.load(plan_folder, backend="edgetpu")
    assert not any(usb.is_open(path) for path in PATHS)


def test_a_library_that_crashes_costs_no_process(plan_folder: Path, usb: StandIn) -> None:
    usb.set("STANDIN_EDGETPU_CRASH", "1")
    with pytest.raises(HardwareError, match=r"cannot be opened: it ends its process with SIGSEGV"):
        Pipeline.load(plan_folder, backend="edgetpu")


def test_more_than_the_driver_maps(plan_folder: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.attach(*(f"pci=/dev/apex_{k}" for k in range(3)))
    monkeypatch.setattr(mappings, "MOST_MAPPED_BYTES", 4_000)
    with pytest.raises(
        HardwareError, match=r"the 3 segments on PCIe map .* GB, .*; the largest is \d_edgetpu.tflite on pci"
    ):
        Pipeline.load(plan_folder, backend="edgetpu")


def test_litert_in_processes(plan_folder: Path) -> None:
    """A process that dies costs its inference alone: there is another for the next."""
    policy = FaultPolicy(on_fault="skip")
    with Pipeline.load(plan_folder, isolate="all", faults=policy) as pipeline:
        check(pipeline.map(frames(pipeline)), expected(plan_folder))
        pid = runner_at(pipeline, Place(0, 1)).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        found = list(pipeline.map(frames(pipeline), on_error="yield"))
        (failed,) = [outcome for outcome in found if isinstance(outcome, StageError)]
        assert "LiteRT with segments/1.tflite ends its process with SIGKILL" in str(failed)
        assert not pipeline.lost


def test_run_with_rejoin(plan_folder: Path, usb: StandIn, tmp_path: Path) -> None:
    usb.fault(PATHS[1], "abort 9")
    options = ("--backend", "edgetpu", "--count", "40", "--rejoin", "-o", tmp_path / "a.jsonl")
    done = inside("run", plan_folder, *options, "--json")
    assert done.code == ExitCode.OK, done.stderr
    assert document(done.stdout)["fault_counts"] == {"raised": 0, "hung": 0, "device lost": 1, "device back": 1}
    assert inside("run", plan_folder, "--count", "40", "-o", tmp_path / "b.jsonl").code == ExitCode.OK
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()
    error(inside("run", plan_folder, "--isolate", "some"), ExitCode.USAGE, "--isolate is 'some'")
    error(inside("run", plan_folder, "--rejoin", "--on-fault", "replan"), ExitCode.USAGE, "--rejoin")
