"""What a run shows and writes of itself, and how it goes on after faults; the faulty backend wraps LiteRT."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from importlib.resources import files
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from benchmarks.faulty import FaultPlan, faulty
from segsolve.cli.live import LiveView
from segsolve.errors import ExitCode
from segsolve.report.units import fps
from segsolve_runtime import backends
from segsolve_runtime.backends import BackendOptions, OpenStages, litert
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder, load_plan
from segsolve_runtime.observe.exporter import Observed, serve_metrics
from segsolve_runtime.pipeline import Pipeline

from .tool import inside


@pytest.fixture
def plan(models: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "plan"
    asked = ("--tpus", "3", "--planner", "uniform", "--device", "edgetpu-usb")
    assert inside("solve", models / "net.tflite", *asked, "-o", folder).code == ExitCode.OK
    return folder


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> dict[int, FaultPlan]:
    """Faults of the backend called `faulty`, by place; only the first plan that it opens has them."""
    plans: dict[int, FaultPlan] = {}

    def opened(folder: PlanFolder, options: BackendOptions) -> OpenStages:
        stages = litert.open_stages(folder, options)
        runners = faulty(stages.runners, dict(plans))
        plans.clear()
        return OpenStages(runners=runners, clocks=stages.clocks)

    module = ModuleType("faulty")
    vars(module)["open_stages"] = opened
    monkeypatch.setitem(sys.modules, "faulty", module)
    monkeypatch.setattr(backends, "BACKENDS", {**backends.BACKENDS, "faulty": "faulty"})
    return plans


def outputs_of(text: str) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_replans_for_the_devices_that_are_left(
    plan: Path, models: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    common = ("run", plan, "--count", "60", "--json")
    expected = inside(*common, "-o", tmp_path / "whole.jsonl")
    assert expected.code == ExitCode.OK, expected.stderr
    faults[1] = FaultPlan(lost_from=20)
    done = inside(
        *common, "--backend", "faulty", "--on-fault", "replan", "--model", models / "net.tflite",
        "-o", tmp_path / "faulty.jsonl",
    )  # fmt: skip
    assert done.code == ExitCode.OK, done.stderr
    assert "lost: stage 1: the device does not answer" in done.stderr
    assert "solved again for 2 devices: 2 stages" in done.stderr
    document = json.loads(done.stdout)
    (before,) = document["before"]
    assert before["faults"]["device lost"] == 1
    assert before["count"] + document["count"] == 60
    assert len(document["stages"]) == 2
    assert outputs_of((tmp_path / "faulty.jsonl").read_text()) == outputs_of((tmp_path / "whole.jsonl").read_text())


def test_without_the_model_a_run_that_may_replan_does_not_begin(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.copytree(plan, tmp_path / "far" / "away")  # from there, the model is not where it was
    monkeypatch.chdir(elsewhere)
    done = inside("run", elsewhere, "--on-fault", "replan", "--count", "3")
    assert (done.code, "name it with --model" in done.stderr) == (ExitCode.USAGE, True)


def test_no_device_left_ends_the_run(models: Path, tmp_path: Path, faults: dict[int, FaultPlan]) -> None:
    one = tmp_path / "one"
    assert inside("solve", models / "net.tflite", "--tpus", "1", "-o", one).code == 0
    faults[0] = FaultPlan(lost_from=5)
    done = inside(
        "run", one, "--count", "20", "--backend", "faulty", "--on-fault", "replan", "--model", models / "net.tflite"
    )
    assert done.code == ExitCode.RUN_FAILED
    assert "devices were lost" in done.stderr


@pytest.mark.parametrize(("on_fault", "code"), [("stop", ExitCode.RUN_FAILED), ("retry", ExitCode.OK)])
def test_a_stage_that_raises(plan: Path, faults: dict[int, FaultPlan], on_fault: str, code: ExitCode) -> None:
    faults[1] = FaultPlan(raises=frozenset({5}))
    done = inside("run", plan, "--count", "20", "--backend", "faulty", "--on-fault", on_fault)
    assert done.code == code
    if code:
        assert "stage 1 failed on inference 4: OSError: injected fault" in done.stderr  # one call was the warming up
    else:
        assert "Faults: 1 x raised; every inference that they spoiled was done again." in done.stdout


def test_a_frame_that_fails_is_skipped_and_named(plan: Path, faults: dict[int, FaultPlan]) -> None:
    faults[1] = FaultPlan(raises=frozenset({5}))
    done = inside("run", plan, "--count", "20", "--backend", "faulty", "--on-fault", "skip")
    assert done.code == ExitCode.PARTIAL
    assert "random[4]: stage 1 failed on inference 4: OSError: injected fault" in done.stderr
    assert "error: 1 inference failed" in done.stderr
    assert "Faults: 1 x raised; 1 inference failed." in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--on-fault", "ignore"], "--on-fault is 'ignore'"),
        (["--stage-timeout", "0"], "--stage-timeout is 0"),
        (["--stage-timeout", "nan"], "--stage-timeout is nan"),
        (["--metrics-port", "0"], "--metrics-port"),
        (["--metrics-port", "70000"], "--metrics-port"),
    ],
)
def test_bad_options(plan: Path, options: list[str], words: str) -> None:
    done = inside("run", plan, *options)
    assert (done.code, words in done.stderr) == (ExitCode.USAGE, True), done.stderr


def test_the_trace_has_what_was_predicted_and_what_was_measured(plan: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    done = inside("run", plan, "--count", "12", "--backend", "emulated", "--trace", path)
    assert done.code == ExitCode.OK, done.stderr
    trace = json.loads(path.read_text())
    events = trace["traceEvents"]
    named = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert named == {1: "predicted for edgetpu-usb", 2: "measured, emulated"}
    for process in named:
        threads = [e["args"]["name"] for e in events if e["pid"] == process and e["name"] == "thread_name"]
        assert threads == ["stage 0", "stage 1", "stage 2"]
        slices = [e for e in events if e["pid"] == process and e["ph"] == "X"]
        assert len(slices) == 12 * 3
        assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in slices)
    depths = [e["args"]["inferences"] for e in events if e["ph"] == "C"]
    assert depths
    assert min(depths) == 0


def test_measured_times_become_a_profile_that_solve_takes(plan: Path, models: Path, tmp_path: Path) -> None:
    path, net = tmp_path / "profile.json", models / "net.tflite"
    done = inside("run", plan, "--count", "30", "--profile-out", path, "--model", net)
    assert done.code == ExitCode.OK, done.stderr
    solved = inside("solve", net, "--device", path, "--tpus", "3", "--planner", "dp", "--json")
    assert solved.code == ExitCode.OK, solved.stderr
    spans = [(s.first_op, s.last_op) for s in load_plan(plan).plan.all_stages]
    assert [(s["first_op"], s["last_op"]) for s in json.loads(path.read_text())["segments"]] == spans
    hinted = re.search(r"another plan takes ([\d.]+) ms", done.stderr)
    if hinted:
        # The hint looks at chains only.
        assert float(hinted[1]) >= json.loads(solved.stdout)["objective_ns"] / 1e6 - 0.006


def test_a_simulated_run_has_no_drift_and_gives_the_plan_no_other(models: Path, tmp_path: Path) -> None:
    best, path, net = tmp_path / "best", tmp_path / "profile.json", models / "net.tflite"
    assert inside("solve", net, "--tpus", "2", "--planner", "dp", "-o", best).code == 0
    done = inside("run", best, "--backend", "simulated", "--json", "--profile-out", path, "--model", net)
    assert [drift["ratio"] for drift in json.loads(done.stdout)["drift"]] == [1.0] * len(
        load_plan(best).plan.all_stages
    )
    assert "hint" not in done.stderr
    profile = json.loads(path.read_text())
    assert profile.get("scale", 1.0) == 1.0
    solved = inside("solve", net, "--device", path, "--tpus", "2", "--planner", "dp", "--json")
    assert json.loads(solved.stdout)["objective_ns"] == load_plan(best).plan.solution.objective_ns


def test_nothing_streams_in_the_profile_of_a_cpu(dense: Path, tmp_path: Path) -> None:
    """The host's memory holds all weights: what the plan's devices would stream is no cost of a run on litert."""
    plan, path = tmp_path / "plan", tmp_path / "profile.json"
    done = inside("solve", dense, "--tpus", "2", "--planner", "uniform", "--no-verify", "-o", plan)
    assert done.code == ExitCode.OK, done.stderr
    assert any(stage.prediction.stream_ns for stage in load_plan(plan).plan.all_stages)
    for backend in ("litert", "simulated"):
        ran = inside("run", plan, "--backend", backend, "--count", "5", "--profile-out", path, "--model", dense)
        assert ran.code == ExitCode.OK, ran.stderr
        solved = inside("solve", dense, "--device", path, "--tpus", "2", "--planner", "dp", "--json")
        stages = [stage for p in json.loads(solved.stdout)["pipelines"] for stage in p["stages"]]
        streams = sum(stage["offchip_bytes"] for stage in stages)
        assert (streams == 0) == (backend == "litert")


def test_a_link_is_held_on_the_virtual_clock_and_told_where_it_is_not(models: Path, tmp_path: Path) -> None:
    """A hub with a cable of 1 MiB/s: what passes it is what limits, also in the report."""
    plan, net, hub = tmp_path / "plan", models / "net.tflite", tmp_path / "hub.toml"
    text = (files("segsolve.device") / "catalogue" / "edgetpu-usb-hub.toml").read_text()
    hub.write_text(re.sub(r"(\[link\.bandwidth\]\nvalue = )\d+", r"\g<1>0.1", text))
    done = inside("solve", net, "--tpus", "3", "--planner", "uniform", "--device", hub, "--no-verify", "-o", plan)
    assert done.code == ExitCode.OK, done.stderr
    predicted = load_plan(plan).plan.solution.throughput_fps
    emulated = inside("run", plan, "--backend", "emulated", "--count", "5", "--json")
    assert "the link that the devices share limits this plan, and is not emulated" in emulated.stderr
    simulated = inside("run", plan, "--backend", "simulated", "--count", "2000", "--json")
    assert "link" not in simulated.stderr
    assert json.loads(simulated.stdout)["throughput_fps"] == pytest.approx(predicted, rel=0.01)
    page = tmp_path / "plan.html"
    assert inside("report", plan, "--model", net, "--device", hub, "-o", page).code == ExitCode.OK
    assert "the link that they share carries" in page.read_text()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def test_prometheus_reads_a_run_under_way(plan: Path) -> None:
    pytest.importorskip("prometheus_client")
    has_begun, may_go_on, port = threading.Event(), threading.Event(), free_port()

    def frames(pipeline: Pipeline) -> Iterator[Mapping[str, object]]:
        for n, frame in enumerate(random_frames(pipeline.plan, 20, 0)):
            if n == 15:
                has_begun.set()
                may_go_on.wait(30)
            yield frame

    with Pipeline.load(plan) as pipeline:
        worker = threading.Thread(target=lambda: list(pipeline.map(frames(pipeline))))  # type: ignore[arg-type]
        observed = Observed(plan=pipeline.plan, metrics=pipeline.metrics)
        with serve_metrics([observed], port=port, address="127.0.0.1"):
            worker.start()
            assert has_begun.wait(30)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                text = answer.read().decode()
            may_go_on.set()
            worker.join(30)
    values = dict(re.findall(r"^(segsolve_\S+?)(?:\{[^}]*\})? (\S+)$", text, re.M))
    assert float(values["segsolve_frames_total"]) == 15
    assert re.search(r'segsolve_stage_inferences_total\{pipeline="0",stage="2"\} \d', text)
    assert re.search(r'segsolve_plan_info\{.*model="net.tflite"', text)
    assert 'segsolve_faults_total{kind="hung"} 0.0' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60)


def test_a_taken_port_is_an_error_of_one_sentence(plan: Path) -> None:
    pytest.importorskip("prometheus_client")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = inside("run", plan, "--count", "3", "--metrics-port", str(taken.getsockname()[1]))
    assert (done.code, "metrics cannot be served at 127.0.0.1:" in done.stderr) == (ExitCode.USAGE, True)


def test_the_live_table_tells_throughput_and_bottleneck(plan: Path) -> None:
    with Pipeline.load(plan, backend="simulated") as pipeline:
        view = LiveView(pipeline.plan, pipeline.metrics, total=50, backend="simulated")
        empty = drawn(view)
        list(pipeline.map(random_frames(pipeline.plan, 50, 0)))
        table = drawn(view)
        slowest = pipeline.metrics().bottleneck
    assert "0 of 50 inferences" in empty
    assert slowest is not None
    assert f"50 of 50 inferences, {fps(pipeline.metrics().throughput_fps)} per second now" in table
    assert f"bottleneck: stage {slowest.stage}" in table
    assert re.search(r"^ *2 +\d+-\d+ .* %", table, re.M)


def drawn(view: LiveView) -> str:
    text = StringIO()
    Console(file=text, width=240).print(view.table())
    return text.getvalue()
