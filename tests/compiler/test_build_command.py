"""`segsolve build` with a stand-in for the vendor's compiler, and what it makes on the edgetpu backend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from segsolve.errors import ExitCode
from segsolve.zoo.files import write_network
from segsolve_runtime.contract.compiled import compiled_name, read_record
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import places
from segsolve_runtime.contract.plan import file_sha256, load_plan
from segsolve_runtime.pipeline import Pipeline

from ..cli.tool import Done, document, error, has_hint, inside
from ..models import residual_net
from ..shared import real_models
from ..standins.edgetpu import StandIn


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 8 MiB of weights."""
    return write_network("mobilenet", tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def plan(model: Path, tmp_path: Path) -> Path:
    """A plan for it beside a copy of the model."""
    shutil.copy(model, tmp_path)
    return solved(model, tmp_path / "plan", "--layout", "pipeline")


def solved(model: Path, folder: Path, *options: str) -> Path:
    done = inside("solve", model, "--tpus", "3", "--planner", "dp", "--no-verify", "-o", folder, *options)
    assert done.code == ExitCode.OK, done.stderr
    return folder


def compile_(plan: Path, program: Path, *options: str) -> Done:
    return inside("build", plan, "--compile", "--compiler", program, "--no-verify", *options)


def test_segments_are_compiled_beside_their_names(plan: Path, standin_compiler: Path) -> None:
    done = compile_(plan, standin_compiler)
    assert done.code == ExitCode.OK, done.stderr
    assert "3 segments compiled by edgetpu_compiler 16.0.384591198" in done.stdout
    assert "The plan stands" in done.stdout
    files = sorted(path.name for path in (plan / "segments").iterdir())
    stems = [f"mobilenet_segment_{k}_of_3" for k in range(3)]
    assert files == sorted(f"{stem}{end}.tflite" for stem in stems for end in ("", "_edgetpu"))
    record = read_record(plan)
    assert record is not None and record.compiler == "16.0.384591198"
    for segment in record.segments:
        assert segment.file == compiled_name(segment.segment)
        assert segment.segment_sha256 == file_sha256(plan / segment.segment)
        assert segment.sha256 == file_sha256(plan / segment.file)
        assert all(m.on_tpu for m in segment.operations)


def test_document(plan: Path, standin_compiler: Path) -> None:
    result = document(compile_(plan, standin_compiler, "--json").stdout)
    assert (result["compiler"], result["ended"], len(result["segments"])) == ("16.0.384591198", "the plan stands", 3)
    for segment in result["segments"]:
        assert segment["compiler"]["onchip_bytes"] > 0
        assert segment["corrected_ns"] > 0 and segment["predicted"]["time_ns"] > 0
    assert all((plan / file).is_file() for file in result["files"])


def test_a_compiler_with_less_memory_leads_to_another_plan(
    plan: Path, standin_compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", str(15 * 2**20 // 10))
    monkeypatch.setenv("STANDIN_COMPILER_CALLS", str(tmp_path / "calls"))
    before = load_plan(plan)
    done = inside("build", plan, "--compile", "--compiler", standin_compiler, "--json")
    assert done.code == ExitCode.OK, done.stderr
    assert "verified" in done.stderr
    result, after = document(done.stdout), load_plan(plan)
    assert len(result["rounds"]) > 1
    assert [s.op_ranges for s in after.plan.all_stages] != [s.op_ranges for s in before.plan.all_stages]
    first, best = result["rounds"][0], min(result["rounds"], key=lambda r: r["corrected_ns"])
    assert best["corrected_ns"] < first["corrected_ns"]
    assert after.plan.solution.objective_ns == best["corrected_ns"]
    assert best["stages"] == [s.op_ranges for s in after.plan.all_stages]
    record = read_record(plan)
    assert record is not None and len(record.segments) == len(after.plan.all_stages)
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == sum(r["compiled"] for r in result["rounds"])  # each segment once


def test_a_plan_of_several_pipelines(
    model: Path, standin_compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three copies of the whole network on a TPU each; with a compiler that keeps little on chip they do not stand."""
    plan = solved(model, tmp_path / "plan")
    before = load_plan(plan)
    assert before.plan.solution.layout == "3x1"
    assert "PipelinedModelRunner cannot run the plan (1 restriction)" in inside("build", plan, "--check-coral").stdout
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", str(15 * 2**20 // 10))
    done = inside("build", plan, "--compile", "--compiler", standin_compiler, "--model", model, "--json")
    assert done.code == ExitCode.OK, done.stderr
    result, after = document(done.stdout), load_plan(plan)
    assert result["rounds"][0]["layout"] == "3x1" and len(result["rounds"]) > 1
    assert after.plan.solution.layout != "3x1"
    assert after.plan.solution.objective_ns < result["rounds"][0]["corrected_ns"]
    assert all((plan / compiled_name(stage.file)).is_file() for stage in after.plan.all_stages)


def test_a_better_plan_has_the_layout_that_is_asked_for(
    model: Path, standin_compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", str(15 * 2**20 // 10))
    plan = solved(model, tmp_path / "plan")
    done = compile_(plan, standin_compiler, "--model", str(model), "--layout", "pipeline")
    assert done.code == ExitCode.OK, done.stderr
    assert len(load_plan(plan).plan.pipelines) == 1


def test_a_better_plan_keeps_the_constraints_on_stages_and_cuts(
    model: Path, standin_compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", str(15 * 2**20 // 10))
    plan = solved(model, tmp_path / "plan", "--cut-before", "20", "--max-stages", "2")
    done = compile_(plan, standin_compiler, "--model", str(model))
    assert done.code == ExitCode.OK, done.stderr
    solution = load_plan(plan).plan.solution
    assert solution.question is not None and solution.question.cut_before == [20]
    for pipeline in load_plan(plan).plan.pipelines:
        assert [stage.first_op for stage in pipeline.stages] == [0, 20]


def test_a_plan_within_a_latency_is_not_solved_again(model: Path, standin_compiler: Path, tmp_path: Path) -> None:
    plan = solved(model, tmp_path / "plan", "--max-latency", "1s")
    done = compile_(plan, standin_compiler, "--model", str(model))
    assert "not solved again: the plan keeps a latency or a rate, which cannot be promised as compiled." in done.stdout


def test_a_plan_for_latency_is_not_solved_again(model: Path, standin_compiler: Path, tmp_path: Path) -> None:
    plan = solved(model, tmp_path / "plan", "--objective", "latency")
    done = compile_(plan, standin_compiler, "--model", str(model))
    assert "not solved again: the plan is the best for latency, only throughput can be solved again." in done.stdout


def test_one_round_only_compiles(plan: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", str(15 * 2**20 // 10))
    before = (plan / "plan.json").read_bytes()
    done = compile_(plan, standin_compiler, "--rounds", "1")
    assert "It was not solved again: one round was asked for." in done.stdout
    assert (plan / "plan.json").read_bytes() == before


def test_without_the_model(plan: Path, standin_compiler: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(plan, tmp_path / "far" / "away" / "plan")  # from there, the model is not where it was
    done = compile_(elsewhere, standin_compiler)
    assert done.code == ExitCode.OK
    assert "The predictions stay as they were: the model mobilenet.tflite was not found" in done.stdout


def test_operations_on_the_cpu_are_told(plan: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_ON_CPU", "MEAN")
    done = compile_(plan, standin_compiler)
    assert "1 x MEAN on the CPU: More than one subgraph is not supported." in done.stdout


def test_operations_on_the_cpu_make_their_stage_slower_and_the_plan_another(
    plan: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Depthwise convolutions on the host cost more than on the device: their times reach plan.json."""
    monkeypatch.setenv("STANDIN_COMPILER_ON_CPU", "DEPTHWISE_CONV_2D")
    before = load_plan(plan).plan
    told = document(compile_(plan, standin_compiler, "--json").stdout)
    segments, after = told["segments"], load_plan(plan).plan
    assert all(segment["fallback_ns"] > 0 for segment in segments)
    for segment, stage in zip(segments, after.all_stages, strict=True):
        assert segment["corrected_ns"] == stage.prediction.time_ns
        assert stage.prediction.time_ns >= segment["predicted"]["time_ns"] + segment["fallback_ns"] - 20_000
    assert after.solution.throughput_fps < before.solution.throughput_fps
    assert len(told["rounds"]) > 1


def test_a_segment_that_cannot_be_compiled(plan: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_FAIL", "Compilation failed: no luck")
    error(compile_(plan, standin_compiler), ExitCode.HARDWARE, "cannot compile", "no luck")
    assert not (plan / "compile.json").exists()
    assert not list((plan / "segments").glob("*_edgetpu.tflite"))


def test_a_new_plan_forgets_what_was_compiled(plan: Path, standin_compiler: Path, model: Path) -> None:
    compile_(plan, standin_compiler)
    inside("solve", model, "--tpus", "2", "--planner", "dp", "--no-verify", "-o", plan)
    assert not (plan / "compile.json").exists()


def test_a_file_of_the_same_name_is_kept(plan: Path, model: Path) -> None:
    (plan / "compile.json").write_text('{"mine": true}')
    inside("solve", model, "--tpus", "2", "--planner", "dp", "--no-verify", "-o", plan)
    assert (plan / "compile.json").read_text() == '{"mine": true}'


def test_what_is_compiled_runs_on_the_edgetpu_backend(plan: Path, standin_compiler: Path, standin: StandIn) -> None:
    compile_(plan, standin_compiler)
    results = []
    for backend in ("litert", "edgetpu"):
        with Pipeline.load(plan, backend=backend) as pipeline:
            results.append(list(pipeline.map(random_frames(pipeline.plan, 5, seed=1))))
    for a, b in zip(*results, strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in b)
    assert len(standin.used) == 15


@pytest.mark.parametrize("path", real_models())
def test_real_models_compiled_are_the_whole_model(
    path: Path, standin_compiler: Path, standin: StandIn, tmp_path: Path
) -> None:
    """Solved for three devices, compiled, and run on them: byte for byte what LiteRT makes of the whole model."""
    if path.stat().st_size > 5_000_000:
        pytest.skip("large; test_verify has it")
    done = inside("solve", path, "--tpus", "3", "--no-verify", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    done = compile_(tmp_path / "plan", standin_compiler, "--model", str(path), "--rounds", "3")
    assert done.code == ExitCode.OK, done.stderr
    plan = load_plan(tmp_path / "plan").plan
    standin.attach(*(f"usb=/sys/bus/usb/devices/1-{k}" for k in range(len(places(plan)))))
    frames = list(random_frames(plan, 3, seed=2))
    with Pipeline.load(tmp_path / "plan", backend="edgetpu") as pipeline:
        results = list(pipeline.map(frames))
    whole = Interpreter(model_path=str(path))
    whole.allocate_tensors()
    for frame, result in zip(frames, results, strict=True):
        for detail in whole.get_input_details():
            whole.set_tensor(detail["index"], frame[detail["name"]])
        whole.invoke()
        for detail in whole.get_output_details():
            assert np.array_equal(result[detail["name"]], whole.get_tensor(detail["index"]))
    assert standin.used


def test_check_coral(plan: Path, tmp_path: Path) -> None:
    done = inside("build", plan, "--check-coral")
    assert (done.code, done.stderr) == (ExitCode.OK, "")
    assert done.stdout.startswith("The plan fits the vendor's PipelinedModelRunner")
    residual = residual_net().write(tmp_path)
    inside("solve", residual, "--tpus", "3", "--planner", "uniform", "--no-verify", "-o", tmp_path / "other")
    done = inside("build", tmp_path / "other", "--check-coral")
    assert done.code == ExitCode.BAD_PLAN
    assert "every output is read later: no later stage takes 'relu_1'" not in done.stdout  # it is read again
    assert (
        "results from the last segment only: stage 0 makes the model's output 'relu_1'; it never returns" in done.stdout
    )
    result = json.loads(inside("build", tmp_path / "other", "--check-coral", "--json").stdout)
    assert result["fits"] is False and len(result["breaches"]) == len(done.stdout.splitlines()) - 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), ExitCode.USAGE, "build does one thing at a time"),
        (("--compile", "--check-coral"), ExitCode.USAGE, "build does one thing at a time"),
        (("--compile", "--timeout", "0"), ExitCode.USAGE, "--timeout is 0"),
        (("--compile", "--jobs", "0"), ExitCode.USAGE, "--jobs is 0"),
        (("--compile", "--rounds", "0"), ExitCode.USAGE, "--rounds is 0"),
        (("--compile", "--compiler", "/none"), ExitCode.HARDWARE, "there is no program /none"),
    ],
)
def test_bad_options(options: tuple[str, ...], code: ExitCode, words: str, plan: Path) -> None:
    done = inside("build", plan, *options)
    error(done, code, words)
    assert has_hint(done)


def test_another_model(plan: Path, standin_compiler: Path, tmp_path: Path) -> None:
    other = residual_net().write(tmp_path, name="other")
    error(compile_(plan, standin_compiler, "--model", str(other)), ExitCode.BAD_MODEL, "is not the model")


def test_models_that_share_a_device_share_its_memory_in_their_order(
    model: Path, tmp_path: Path, standin_compiler: Path
) -> None:
    residual_net().write(tmp_path, name="residual")
    other = tmp_path / "residual.tflite"
    found = {}
    for order in ((model, other), (other, model)):
        out = tmp_path / order[0].stem
        done = inside("build", *order, "--co-compile", "--compiler", standin_compiler, "-o", out, "--json")
        assert done.code == ExitCode.OK, done.stderr
        rows = document(done.stdout)["models"]
        assert [Path(row["file"]) for row in rows] == [*order]
        assert sorted(path.name for path in out.iterdir()) == ["mobilenet_edgetpu.tflite", "residual_edgetpu.tflite"]
        assert rows[1]["onchip_bytes"] + rows[1]["onchip_free_bytes"] == pytest.approx(
            rows[0]["onchip_free_bytes"], rel=0.01
        )
        found[order[0].stem] = {Path(row["file"]).stem: row for row in rows}
    assert found["residual"]["residual"]["offchip_bytes"] == 0
    assert found["residual"]["mobilenet"]["offchip_bytes"] >= found["mobilenet"]["mobilenet"]["offchip_bytes"]


def test_the_segments_of_a_plan_can_share_a_device(plan: Path, tmp_path: Path, standin_compiler: Path) -> None:
    out = tmp_path / "together"
    done = inside("build", plan, "--co-compile", "--compiler", standin_compiler, "-o", out)
    assert done.code == ExitCode.OK, done.stderr
    assert "for one TPU" in done.stdout and "mobilenet_segment_2_of_3" in done.stdout
    assert len([*out.iterdir()]) == 3
    assert read_record(plan) is None


def test_what_cannot_be_compiled_together(model: Path, plan: Path, tmp_path: Path, standin_compiler: Path) -> None:
    program = ("--compiler", standin_compiler)
    out = ("-o", tmp_path / "out")

    def refused(*files: Path) -> str:
        return error(inside("build", *files, "--co-compile", *program, *out), ExitCode.USAGE)

    assert "nothing to compile together" in refused(model)
    same = shutil.copy(model, tmp_path / "mobilenet.tflite")
    assert "two of the files are called mobilenet.tflite" in refused(model, Path(same))
    assert "gone.tflite does not exist" in refused(model, tmp_path / "gone.tflite")
    assert inside("build", model, plan, "--co-compile", *program).code == ExitCode.USAGE
    assert inside("build", plan, "--compile", *program, *out).code == ExitCode.USAGE
    assert inside("build", plan, plan, "--check-coral").code == ExitCode.USAGE


def test_what_compiling_changed(plan: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_plan(plan).plan
    same = document(inside("diff", plan, "--json").stdout)
    assert same["moved"] == [] and same["compiled"] == []
    assert "was not compiled" in " ".join(inside("diff", plan).stdout.split())
    monkeypatch.setenv("STANDIN_COMPILER_CAPACITY", "1500000")
    done = compile_(plan, standin_compiler)
    assert done.code == ExitCode.OK, done.stderr
    found = document(inside("diff", plan, "--json").stdout)
    after = load_plan(plan).plan
    assert found["before"]["throughput_fps"] == before.solution.throughput_fps
    assert found["after"]["throughput_fps"] == after.solution.throughput_fps < before.solution.throughput_fps
    record = read_record(plan)
    assert record is not None
    assert [row["onchip_bytes"] for row in found["compiled"]] == [s.onchip_bytes for s in record.segments]
    text = inside("diff", plan).stdout
    assert (
        "after, compiled by edgetpu_compiler" in text
        and "What limits before" in text
        and "was not compiled" not in text
    )
