"""Turns a confirmed answer into a plan folder: plan.json, the segment files, and the certificate of an optimum.

Costs that came without a model have no segments.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from segsolve.cost.plan import PlanScore
from segsolve.cost.stage import StageScore
from segsolve.errors import OutputError, writing_to
from segsolve.graph.model import Graph, Tensor
from segsolve.graph.read import LoadedModel
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.plan.question import recorded
from segsolve.problem import Problem
from segsolve.profile.source import DeviceFacts
from segsolve.search.answer import Answer
from segsolve.segments.writer import segment_bytes, segment_of
from segsolve.solvers.base import Status
from segsolve_runtime.contract import plan as planfile
from segsolve_runtime.contract.changes import Change, changing
from segsolve_runtime.contract.compiled import COMPILE_FILE
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.files import is_file, is_folder, is_there, resolved

CERTIFICATE_FILE = "certificate.json"
_SEGMENTS = "segments"
_SEGMENT_MARK = "_segment_"
_UNSAFE = re.compile(r"[^\w. +-]")  # what a plan's paths may not contain, or not every file system allows


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsFile:
    """A graph or a profile that was solved without a model; `names` are what it calls each of the problem's operations.

    An operation of a problem may be several of a graph.
    """

    path: Path
    sha256: str
    nbytes: int
    names: tuple[tuple[Any, ...], ...]

    @classmethod
    def read(cls, path: Path, names: Iterable[Sequence[Any]]) -> CostsFile:
        """Return a file that was read before (OutputError if it is gone)."""
        with writing_to(path):
            sha256, nbytes = planfile.file_sha256(path), path.stat().st_size
        return cls(path=path, sha256=sha256, nbytes=nbytes, names=tuple(map(tuple, names)))


def write_plan(
    folder: Path,
    *,
    loaded: LoadedModel | CostsFile,
    device: DeviceFacts,
    problem: Problem,
    answer: Answer,
) -> planfile.PlanFolder:
    """Write a plan folder, in place of an older plan there, and read it back; of costs alone it has no segments.

    Files of others in the folder are left alone. A failure or an interruption leaves the older plan, if there was one.

    Raises:
        OutputError: the folder cannot be written, or holds something else under the names that a plan needs.
        ValueError: the answer has no plan.
    """
    if answer.plan is None or answer.score is None:
        raise ValueError("there is no plan to write")
    with changed_folder(folder, _refuse_to_overwrite) as change:
        put_plan(change, folder, loaded=loaded, device=device, problem=problem, answer=answer)
    return planfile.load_plan(folder, costs_only=True)


def check_writable(folder: Path) -> None:
    """Raise the OutputError that `write_plan` would raise for a folder, before time is spent on solving."""
    with changed_folder(folder, _refuse_to_overwrite):
        pass


@contextmanager
def changed_folder(folder: Path, refuse: Callable[[Path], None]) -> Iterator[Change]:
    """Change a folder in one step, if `refuse` finds nothing there that is not ours.

    Raises:
        OutputError: `refuse` raises it, or the folder cannot be written.
    """
    with writing_to(folder), changing(folder, check=lambda: refuse(folder)) as change:
        yield change


def begins_with(file: Path, kind: str) -> bool:
    """Whether a file is there that says near its beginning of which kind it is; it may be large, and anyone's."""
    if not is_file(file):
        return False
    with file.open("rb") as opened:
        return f'"{kind}"'.encode() in opened.read(4096)


def _refuse_to_overwrite(folder: Path) -> None:
    file, segments = folder / planfile.PLAN_FILE, folder / _SEGMENTS
    ours = begins_with(file, "segsolve-plan")
    if segments.is_symlink():
        ours = False
    elif ours and is_folder(segments):
        ours = all(_SEGMENT_MARK in path.name for path in segments.iterdir())
    elif is_there(segments):
        ours = False
    if (is_there(file) or is_there(segments)) and not ours:
        raise OutputError(f"{folder} holds files that are not a segsolve plan", "choose another folder with -o")


def put_plan(
    change: Change,
    folder: Path,
    *,
    loaded: LoadedModel | CostsFile,
    device: DeviceFacts,
    problem: Problem,
    answer: Answer,
    together: Sequence[object] = (),
) -> str:
    """Let a change of a folder write a plan there; return the digest by which others name it.

    `together` says for each pipeline what its stages are compiled together with, where they are.
    """
    plan, costs = answer.plan, answer.score
    assert plan is not None and costs is not None
    document = planfile.Plan(
        device=planfile.Device(
            name=device.name,
            memory_bytes=device.memory_bytes,
            link_ns_per_mib=problem.link.ns_per_mib if problem.link else None,
            host=planfile.Host(**asdict(problem.host)) if problem.host else None,
            optimistic=device.is_optimistic,
            start=device.start,
        ),
        solution=_solution(problem, answer, plan, costs),
        **(
            _of_costs(folder, loaded, problem, plan, costs)
            if isinstance(loaded, CostsFile)
            else _of_model(change, folder, loaded, plan, costs, together)
        ),
        provenance={package: version(package) for package in ("segsolve", "ortools", "ai-edge-litert", "numpy")}
        | {"python": python_version()},
    )
    if answer.certificate is not None:
        content = _certificate(document, answer.certificate)
        change.put(CERTIFICATE_FILE, content)
        document = document.model_copy(update={"certificate_sha256": hashlib.sha256(content).hexdigest()})
    change.put(planfile.PLAN_FILE, digested_json(document).encode())
    _remove_older(change, folder)
    return planfile.content_sha256(document)


def _of_model(
    change: Change, folder: Path, loaded: LoadedModel, plan: Plan, costs: PlanScore, together: Sequence[object]
) -> dict[str, Any]:
    """Write the segments, and return what a plan says of its model and of them."""
    graph, pipelines = loaded.graph, _write_segments(change, loaded, plan, costs, together)
    return {
        "model": planfile.ModelReference(
            name=loaded.path.name.encode(errors="replace").decode(),
            sha256=graph.sha256,
            bytes=graph.file_bytes,
            operations=len(graph.ops),
            path=_path_from(folder, loaded.path),
            signature=graph.signature,
            state=graph.state,
            plain_kernels=not graph.delegated,
        ),
        "tensors": _tensors(graph, pipelines),
        "inputs": _names(graph, graph.inputs),
        "outputs": _names(graph, graph.outputs),
        "pipelines": pipelines,
    }


def _of_costs(folder: Path, origin: CostsFile, problem: Problem, plan: Plan, costs: PlanScore) -> dict[str, Any]:
    """Return what a plan says that has no model behind it."""
    return {
        "model": planfile.ModelReference(
            name=f"{problem.name}.json",
            sha256=origin.sha256,
            bytes=origin.nbytes,
            operations=len(problem.ops),
            path=_path_from(folder, origin.path),
            costs_only=True,
        ),
        "tensors": [],
        "inputs": [],
        "outputs": [],
        "pipelines": [
            planfile.PlanPipeline(
                stages=[
                    planfile.Stage(
                        **_as_planned(stage, score),
                        operations=[str(name) for op in stage.ops for name in origin.names[op]],
                        inputs=[],
                        outputs=[],
                    )
                    for stage, score in zip(pipeline.stages, score_of.stages, strict=True)
                ]
            )
            for pipeline, score_of in zip(plan.pipelines, costs.pipelines, strict=True)
        ],
    }


def _remove_older(change: Change, folder: Path) -> None:
    """Remove what an older plan has and the new one has not; what was compiled belongs to the older one."""
    change.remove(CERTIFICATE_FILE)
    if _is_ours(folder / COMPILE_FILE):
        change.remove(COMPILE_FILE)
    if is_folder(folder / _SEGMENTS):
        for path in (folder / _SEGMENTS).iterdir():
            change.remove(f"{_SEGMENTS}/{path.name}")


def _certificate(plan: planfile.Plan, document: dict[str, Any]) -> bytes:
    """Return the content of certificate.json, bound to its plan and model by their hashes."""
    binding = {"model_sha256": plan.model.sha256, "plan_sha256": planfile.content_sha256(plan)}
    return json.dumps(document | {"binding": binding}, separators=(",", ":")).encode()


def _path_from(folder: Path, model: Path) -> str | None:
    """Return a model's path from a plan's folder; None if there is no way, as between two drives."""
    try:
        path = os.path.relpath(resolved(model.parent) / model.name, resolved(folder))
    except (OSError, ValueError):
        return None
    return path.encode(errors="replace").decode()


def _write_segments(
    change: Change, loaded: LoadedModel, plan: Plan, costs: PlanScore, together: Sequence[object]
) -> list[planfile.PlanPipeline]:
    """Write the segment files and return the pipelines; equal pipelines share their files."""
    company = together or (None,) * len(plan.pipelines)
    keys = [(_shape(pipeline), own) for pipeline, own in zip(plan.pipelines, company, strict=True)]
    different = list(dict.fromkeys(keys))
    files = {
        key: _write_shape(change, loaded, key[0], f"_pipeline_{p}" if len(different) > 1 else "")
        for p, key in enumerate(different)
    }
    return [
        planfile.PlanPipeline(
            stages=[
                _stage(loaded.graph, stage, predicted, *file)
                for stage, predicted, file in zip(pipeline.stages, cost.stages, files[key], strict=True)
            ]
        )
        for pipeline, cost, key in zip(plan.pipelines, costs.pipelines, keys, strict=True)
    ]


def _shape(pipeline: Pipeline) -> tuple[tuple[int, ...], ...]:
    """Return the operations of each stage: what the segment files depend on."""
    return tuple(stage.ops for stage in pipeline.stages)


def _write_shape(
    change: Change, loaded: LoadedModel, shape: Sequence[tuple[int, ...]], mark: str
) -> list[tuple[str, bytes]]:
    """Write a segment file per stage, and return their names and contents."""
    # The vendor's naming, so that its tools find compiled segments under the names they expect.
    stem = _UNSAFE.sub("_", loaded.path.stem) + mark
    written = []
    for k, ops in enumerate(shape):
        file = f"{_SEGMENTS}/{stem}{_SEGMENT_MARK}{k}_of_{len(shape)}.tflite"
        content = segment_bytes(loaded, segment_of(loaded.graph, ops))
        change.put(file, content)
        written.append((file, content))
    return written


def _is_ours(record: Path) -> bool:
    """Whether it is our record of compiled segments, which belong to the older plan."""
    return begins_with(record, "segsolve-compile")


def _stage(graph: Graph, stage: Stage, predicted: StageScore, file: str, content: bytes) -> planfile.Stage:
    segment = segment_of(graph, stage.ops)
    return planfile.Stage(
        **_as_planned(stage, predicted),
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        inputs=_names(graph, segment.inputs),
        outputs=_names(graph, segment.outputs),
    )


def _as_planned(stage: Stage, predicted: StageScore) -> dict[str, Any]:
    """Return what a plan says of a stage, whatever it is cut from."""
    return {
        "first_op": stage.ops[0],
        "last_op": stage.ops[-1],
        "op_ranges": [list(span) for span in stage.op_ranges],
        "replicas": stage.replicas,
        "processor": stage.processor.value,
        "prediction": planfile.StagePrediction(
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
            link_bytes=predicted.link_bytes,
            spilled_ops=list(predicted.spilled_ops),
        ),
    }


def _solution(problem: Problem, answer: Answer, plan: Plan, costs: PlanScore) -> planfile.Solution:
    return planfile.Solution(
        planner=answer.planner,
        status="optimal" if answer.status is Status.OPTIMAL else "feasible",
        objective=answer.question.objective.value,
        layout=plan.layout,
        cuts="dag" if answer.cuts == "dag" else "chain",
        objective_ns=answer.objective_ns or 0,
        bound_ns=answer.bound_ns,
        gap=answer.gap or 0.0,
        proof=answer.proof,
        found_by=answer.found_by,
        confirmed_by=[planfile.Confirmation(**asdict(c)) for c in answer.confirmed_by],
        points=[
            planfile.FrontPoint(
                tpus=point.plan.tpus,
                layout=point.plan.layout,
                throughput_fps=point.score.throughput_fps,
                period_ns=point.score.period_ns,
                latency_ns=point.score.latency_ns,
            )
            for point in answer.points
        ],
        point=answer.point,
        best_over=answer.best_over,
        stopped_by=answer.stopped_by,
        wall_s=answer.wall_s,
        seed=answer.seed,
        throughput_fps=costs.throughput_fps,
        latency_ns=costs.latency_ns,
        tpus_requested=problem.tpus,
        question=recorded(answer.question, no_spill=problem.no_spill),
    )


def _tensors(graph: Graph, pipelines: Iterable[planfile.PlanPipeline]) -> list[planfile.TensorSpec]:
    stages = [stage for pipeline in pipelines for stage in pipeline.stages]
    used = dict.fromkeys(name for s in stages for name in (*s.inputs, *s.outputs))
    used |= dict.fromkeys(_names(graph, graph.inputs))
    known = {tensor.name: tensor for tensor in graph.tensors}
    return [tensor_spec(graph, known[name]) for name in used]


def tensor_spec(graph: Graph, tensor: Tensor) -> planfile.TensorSpec:
    """Return a tensor as plans and bundles describe it."""
    allowed = graph.allowed.get(tensor.index)
    quantisation = tensor.quantisation if tensor.quantisation and not tensor.quantisation.per_channel else None
    return planfile.TensorSpec(
        name=tensor.name,
        dtype=tensor.dtype.lower(),
        shape=list(tensor.shape),
        scale=quantisation.scales[0] if quantisation else None,
        zero_point=quantisation.zero_points[0] if quantisation else None,
        low=allowed.low if allowed and allowed.values is None else None,
        high=allowed.high if allowed and allowed.values is None else None,
        values=list(allowed.values) if allowed and allowed.values is not None else None,
    )


def _names(graph: Graph, tensors: tuple[int, ...]) -> list[str]:
    return [graph.tensors[t].name for t in tensors]
