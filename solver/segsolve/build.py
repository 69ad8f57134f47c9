"""Turns a confirmed result into a plan folder: plan.json and the segment files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from segsolve.device.model import Device
from segsolve.errors import OutputError
from segsolve.evaluate import Score, StageScore, score
from segsolve.graph.model import Graph, Tensor
from segsolve.graph.read import LoadedModel
from segsolve.planners.base import SolveResult
from segsolve.problem import Problem
from segsolve.segments.writer import Segment, segment_bytes, segments_of
from segsolve_runtime import plan as planfile

_SEGMENTS = "segments"


def write_plan(
    folder: Path, *, loaded: LoadedModel, device: Device, problem: Problem, result: SolveResult
) -> planfile.PlanFolder:
    """Write a plan folder, in place of an older plan there, and read it back.

    Files of others in the folder are left alone. An interruption leaves the older plan or none, never half of one.

    Raises:
        OutputError: the folder cannot be written, or holds something else under the names that a plan needs.
        ValueError: the result has no plan.
    """
    if result.plan is None:
        raise ValueError("there is no plan to write")
    try:
        _refuse_to_overwrite(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            _write_into(Path(scratch), loaded, device, problem, result)
            _move_in(Path(scratch), folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}", "choose another folder with -o") from error
    return planfile.load_plan(folder)


def check_writable(folder: Path) -> None:
    """Raise the OutputError that `write_plan` would raise for a folder, before time is spent on solving."""
    try:
        _refuse_to_overwrite(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-"):
            pass
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}", "choose another folder with -o") from error


def _refuse_to_overwrite(folder: Path) -> None:
    file = folder / planfile.PLAN_FILE
    ours = file.is_file() and '"segsolve-plan"' in file.read_text(errors="replace")[:4096]
    if (file.exists() or (folder / _SEGMENTS).exists()) and not ours:
        raise OutputError(f"{folder} holds files that are not a segsolve plan", "choose another folder with -o")


def _write_into(scratch: Path, loaded: LoadedModel, device: Device, problem: Problem, result: SolveResult) -> None:
    assert result.plan is not None
    (scratch / _SEGMENTS).mkdir()
    segments = segments_of(loaded.graph, result.plan)
    costs = score(problem, result.plan)
    stages = []
    for k, (segment, predicted) in enumerate(zip(segments, costs.stages, strict=True)):
        # The vendor's naming, so that its tools find compiled segments under the names they expect.
        file = f"{_SEGMENTS}/{loaded.path.stem}_segment_{k}_of_{len(segments)}.tflite"
        content = segment_bytes(loaded, segment)
        (scratch / file).write_bytes(content)
        stages.append(_stage(loaded.graph, segment, predicted, file, content))
    plan = planfile.Plan(
        model=planfile.ModelReference(
            name=loaded.path.name,
            sha256=loaded.graph.sha256,
            bytes=loaded.graph.file_bytes,
            operations=len(loaded.graph.ops),
        ),
        device=planfile.Device(name=device.name, memory_bytes=device.memory_bytes),
        solution=_solution(problem, result, costs),
        tensors=_tensors(loaded.graph, segments),
        inputs=_names(loaded.graph, loaded.graph.inputs),
        outputs=_names(loaded.graph, loaded.graph.outputs),
        stages=stages,
        provenance={package: version(package) for package in ("segsolve", "ortools", "ai-edge-litert", "numpy")}
        | {"python": python_version()},
    )
    (scratch / planfile.PLAN_FILE).write_text(planfile.plan_json(plan), encoding="utf-8")


def _move_in(scratch: Path, folder: Path) -> None:
    """Replace an older plan: its plan.json goes first and the new one comes last, so that half a plan has none."""
    (folder / planfile.PLAN_FILE).unlink(missing_ok=True)
    if (folder / _SEGMENTS).exists():
        shutil.rmtree(folder / _SEGMENTS)
    (scratch / _SEGMENTS).rename(folder / _SEGMENTS)
    (scratch / planfile.PLAN_FILE).rename(folder / planfile.PLAN_FILE)


def _stage(graph: Graph, segment: Segment, predicted: StageScore, file: str, content: bytes) -> planfile.Stage:
    return planfile.Stage(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        first_op=segment.first,
        last_op=segment.end - 1,
        inputs=_names(graph, segment.inputs),
        outputs=_names(graph, segment.outputs),
        prediction=planfile.StagePrediction(
            time_ns=predicted.time_ns,
            overhead_ns=predicted.overhead_ns,
            compute_ns=predicted.compute_ns,
            stream_ns=predicted.stream_ns,
            input_ns=predicted.input_ns,
            output_ns=predicted.output_ns,
            onchip_bytes=predicted.onchip_bytes,
            offchip_bytes=predicted.offchip_bytes,
            capacity_bytes=predicted.capacity_bytes,
            input_bytes=predicted.input_bytes,
            output_bytes=predicted.output_bytes,
            spilled_ops=list(predicted.spilled_ops),
        ),
    )


def _solution(problem: Problem, result: SolveResult, costs: Score) -> planfile.Solution:
    return planfile.Solution(
        planner=result.planner,
        status="optimal" if result.status == "optimal" else "feasible",
        objective="throughput",
        objective_ns=costs.bottleneck_ns,
        bound_ns=result.bound_ns,
        gap=result.gap or 0.0,
        proof=result.proof,
        stopped_by=result.stopped_by,
        wall_s=result.wall_s,
        seed=result.seed,
        throughput_fps=costs.throughput_fps,
        latency_ns=costs.latency_ns,
        tpus_requested=problem.tpus,
    )


def _tensors(graph: Graph, segments: tuple[Segment, ...]) -> list[planfile.TensorSpec]:
    used = dict.fromkeys(t for s in segments for t in (*s.inputs, *s.outputs)) | dict.fromkeys(graph.inputs)
    return [_tensor(graph.tensors[t]) for t in used]


def _tensor(tensor: Tensor) -> planfile.TensorSpec:
    quantisation = tensor.quantisation if tensor.quantisation and not tensor.quantisation.per_channel else None
    return planfile.TensorSpec(
        name=tensor.name,
        dtype=tensor.dtype.lower(),
        shape=list(tensor.shape),
        scale=quantisation.scales[0] if quantisation else None,
        zero_point=quantisation.zero_points[0] if quantisation else None,
    )


def _names(graph: Graph, tensors: tuple[int, ...]) -> list[str]:
    return [graph.tensors[t].name for t in tensors]
