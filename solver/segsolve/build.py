"""Turns a confirmed result into a plan folder: plan.json and the segment files."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from segsolve.errors import OutputError
from segsolve.evaluate import Score, StageScore, score
from segsolve.graph.model import Graph, Tensor
from segsolve.graph.read import LoadedModel
from segsolve.planners.base import SolveResult
from segsolve.problem import Problem
from segsolve.profile.source import DeviceFacts
from segsolve.segments.writer import Segment, segment_bytes, segments_of
from segsolve_runtime import plan as planfile

_SEGMENTS = "segments"
_SEGMENT_MARK = "_segment_"
_UNSAFE = re.compile(r"[^\w. +-]")  # what a plan's paths may not contain, or not every file system allows


def write_plan(
    folder: Path, *, loaded: LoadedModel, device: DeviceFacts, problem: Problem, result: SolveResult
) -> planfile.PlanFolder:
    """Write a plan folder, in place of an older plan there, and read it back.

    Files of others in the folder are left alone. A failure or an interruption leaves the older plan, if there was one.

    Raises:
        OutputError: the folder cannot be written, or holds something else under the names that a plan needs.
        ValueError: the result has no plan.
    """
    if result.plan is None:
        raise ValueError("there is no plan to write")
    with _scratch(folder) as scratch:
        _write_into(scratch, loaded, device, problem, result)
        _move_in(scratch, folder)
    return planfile.load_plan(folder)


def check_writable(folder: Path) -> None:
    """Raise the OutputError that `write_plan` would raise for a folder, before time is spent on solving."""
    with _scratch(folder):
        pass


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder to write in, inside of `folder`; folders that were made for it vanish again if they stay empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        _refuse_to_overwrite(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            yield Path(scratch)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{folder} cannot be written: {why}", "choose another folder with -o") from error
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _refuse_to_overwrite(folder: Path) -> None:
    file, segments = folder / planfile.PLAN_FILE, folder / _SEGMENTS
    ours = file.is_file() and '"segsolve-plan"' in file.read_text(errors="replace")[:4096]
    if ours and segments.is_dir():
        ours = all(_SEGMENT_MARK in path.name for path in segments.iterdir())
    elif segments.exists():
        ours = False
    if (file.exists() or segments.exists()) and not ours:
        raise OutputError(f"{folder} holds files that are not a segsolve plan", "choose another folder with -o")


def _write_into(scratch: Path, loaded: LoadedModel, device: DeviceFacts, problem: Problem, result: SolveResult) -> None:
    assert result.plan is not None
    (scratch / _SEGMENTS).mkdir()
    segments = segments_of(loaded.graph, result.plan)
    costs = score(problem, result.plan)
    stages = []
    for k, (segment, predicted) in enumerate(zip(segments, costs.stages, strict=True)):
        # The vendor's naming, so that its tools find compiled segments under the names they expect.
        stem = _UNSAFE.sub("_", loaded.path.stem)
        file = f"{_SEGMENTS}/{stem}{_SEGMENT_MARK}{k}_of_{len(segments)}.tflite"
        content = segment_bytes(loaded, segment)
        (scratch / file).write_bytes(content)
        stages.append(_stage(loaded.graph, segment, predicted, file, content))
    plan = planfile.Plan(
        model=planfile.ModelReference(
            name=loaded.path.name.encode(errors="replace").decode(),
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
    """Replace an older plan by renaming alone, which can be undone.

    The older plan.json goes first and the new one comes last, so that half a plan has none.
    """
    older = scratch / "older"
    older.mkdir()
    names = (planfile.PLAN_FILE, _SEGMENTS)
    moves = [(folder / name, older / name) for name in names if (folder / name).exists()]
    moves += [(scratch / name, folder / name) for name in reversed(names)]
    try:
        for source, target in moves:
            source.rename(target)
    except BaseException:
        for source, target in reversed(moves):
            if target.exists() and not source.exists():
                target.rename(source)
        raise


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
            correction_ns=predicted.correction_ns,
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
