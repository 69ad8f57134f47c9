"""Plans for tests: sketched in a line or two, complete as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.plan import (
    PLAN_FILE,
    Device,
    ModelReference,
    Plan,
    PlanPipeline,
    Solution,
    Stage,
    StagePrediction,
    TensorSpec,
)
from segsolve_runtime.flow.schedule import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What matters of a stage."""

    takes: Sequence[str]
    makes: Sequence[str]
    time_ns: int = 1_000
    content: bytes = b""


def make_plan(
    sketches: Sequence[Sketch],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    tensors: Mapping[str, tuple[str, list[int]]] | None = None,
) -> Plan:
    """Return a plan with one operation per stage; tensors are int8 of shape [2] unless given."""
    names = dict.fromkeys([*inputs, *outputs, *(n for s in sketches for n in (*s.takes, *s.makes))])
    described = {name: ("int8", [2]) for name in names} | dict(tensors or {})
    return Plan(
        model=ModelReference(name="tiny", sha256="0" * 64, bytes=1, operations=len(sketches)),
        device=Device(name="test", memory_bytes=1),
        solution=_solution(sketches),
        tensors=[TensorSpec(name=n, dtype=dtype, shape=shape) for n, (dtype, shape) in described.items()],
        inputs=list(inputs),
        outputs=list(outputs),
        pipelines=[PlanPipeline(stages=[_stage(k, sketch) for k, sketch in enumerate(sketches)])],
        provenance={"tests": "1"},
    )


def chain_plan(stage_ns: Sequence[int]) -> Plan:
    """Return a plan of stages in a row: t0 -> t1 -> ..."""
    sketches = [Sketch(takes=[f"t{k}"], makes=[f"t{k + 1}"], time_ns=t) for k, t in enumerate(stage_ns)]
    return make_plan(sketches, inputs=["t0"], outputs=[f"t{len(stage_ns)}"])


def lanes_plan(lanes: Sequence[Lane]) -> Plan:
    """Return a plan of pipelines that each make the same chain: t0 -> t1 -> ... -> out; first stages load the link."""
    pipelines = [_lane(p, lane, max(len(other.stage_ns) for other in lanes)) for p, lane in enumerate(lanes)]
    stages = [stage for pipeline in pipelines for stage in pipeline.stages]
    names = dict.fromkeys(name for stage in stages for name in (*stage.inputs, *stage.outputs))
    first = chain_plan(lanes[0].stage_ns)
    return Plan(
        model=ModelReference(name="lanes", sha256="0" * 64, bytes=1, operations=pipelines[0].stages[-1].last_op + 1),
        device=first.device.model_copy(
            update={"link_ns_per_mib": 2**20 if any(lane.link_ns for lane in lanes) else None}
        ),
        solution=first.solution,
        tensors=[TensorSpec(name=name, dtype="int8", shape=[2]) for name in names],
        inputs=["t0"],
        outputs=["out"],
        pipelines=pipelines,
        provenance={"tests": "1"},
    )


def _lane(pipeline: int, lane: Lane, operations: int) -> PlanPipeline:
    last = len(lane.stage_ns) - 1
    stages = []
    for k, (time_ns, replicas) in enumerate(zip(lane.stage_ns, lane.replicas, strict=True)):
        sketch = Sketch(takes=[f"t{k}"], makes=["out" if k == last else f"t{k + 1}"], time_ns=time_ns)
        end = operations - 1 if k == last else k
        spans = {"last_op": end, "op_ranges": [[k, end]], "file": f"segments/{pipeline}.{k}.tflite"}
        stages.append(_stage(k, sketch).model_copy(update={"replicas": replicas, **spans}))
    moved = {"prediction": stages[0].prediction.model_copy(update={"offchip_bytes": lane.link_ns})}
    stages[0] = stages[0].model_copy(update=moved)
    return PlanPipeline(stages=stages)


def write_folder(folder: Path, plan: Plan, sketches: Sequence[Sketch]) -> Path:
    """Write a plan and its segment files as the solver would; return the folder."""
    for stage, sketch in zip(plan.all_stages, sketches, strict=True):
        path = folder / stage.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sketch.content)
    (folder / PLAN_FILE).write_text(digested_json(plan), encoding="utf-8")
    return folder


def _stage(position: int, sketch: Sketch) -> Stage:
    return Stage(
        file=f"segments/{position}.tflite",
        sha256=sha256(sketch.content).hexdigest(),
        bytes=len(sketch.content),
        first_op=position,
        last_op=position,
        op_ranges=[[position, position]],
        inputs=list(sketch.takes),
        outputs=list(sketch.makes),
        prediction=StagePrediction(
            time_ns=sketch.time_ns,
            overhead_ns=0,
            compute_ns=sketch.time_ns,
            stream_ns=0,
            input_ns=0,
            output_ns=0,
            onchip_bytes=0,
            offchip_bytes=0,
            capacity_bytes=0,
            input_bytes=0,
            output_bytes=0,
            spilled_ops=[],
        ),
    )


def _solution(sketches: Sequence[Sketch]) -> Solution:
    bottleneck = max(sketch.time_ns for sketch in sketches)
    return Solution(
        planner="test",
        status="optimal",
        objective="throughput",
        cuts="chain",
        layout=str(len(sketches)),
        objective_ns=bottleneck,
        bound_ns=bottleneck,
        gap=0.0,
        proof=None,
        stopped_by="finished",
        wall_s=0.0,
        seed=0,
        throughput_fps=0.0,
        latency_ns=sum(sketch.time_ns for sketch in sketches),
        tpus_requested=len(sketches),
    )
