"""The measurement file: what a run of a plan measured and its timeline's beginning, for reports and profiles."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import first_fault
from segsolve_runtime.errors import PlanError
from segsolve_runtime.flow.metrics import Metrics

MEASUREMENT_FILE = "measured.json"
VERSION: Final = 2
TIMELINE_INFERENCES = 64
"""The timeline holds no more than this many inferences, so that the file of a long run stays small."""

_MOST = 2**62  # of a time in ns, or a count
_Count = Field(ge=0, le=_MOST)


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)


class MeasuredStage(_Record):
    """Where the time of a stage's devices went, all together, in ns over the whole run."""

    pipeline: int = _Count
    stage: int = _Count
    replicas: int = Field(ge=1, le=_MOST)
    inferences: int = _Count
    busy_ns: int = _Count
    blocked_ns: int = _Count
    starved_ns: int = _Count
    time_p50_ns: int = Field(ge=0, le=_MOST, description="median time of an inference")


class MeasuredSlot(_Record):
    """One inference on one stage, in ns since the run began."""

    pipeline: int = _Count
    stage: int = _Count
    replica: int = _Count
    inference: int = _Count
    start_ns: int = _Count
    end_ns: int = _Count


class Measurement(_Record):
    """The content of ``measured.json``; the model's digest and the operations say which plan was measured."""

    format: Literal["segsolve-measurement"] = "segsolve-measurement"
    version: Literal[2] = VERSION
    model_sha256: str
    operations: list[list[list[list[int]]]] = Field(description="ranges of each stage of each pipeline")
    backend: str
    times: Literal["measured", "virtual"] = Field(description="virtual: predicted times on a virtual clock")
    machine: str
    count: int = _Count
    elapsed_ns: int = _Count
    throughput_fps: float = Field(ge=0, allow_inf_nan=False)
    latency_p50_ns: int = _Count
    latency_p95_ns: int = _Count
    stages: list[MeasuredStage]
    timeline: list[MeasuredSlot]


def measurement_of(plan: Plan, metrics: Metrics, backend: str) -> Measurement:
    """Return what a run that recorded its timeline measured."""
    return Measurement(
        model_sha256=plan.model.sha256,
        operations=_operations(plan),
        backend=backend,
        times="virtual" if backend == "simulated" else "measured",
        machine=f"{platform.system()} {platform.machine()}",
        count=metrics.count,
        elapsed_ns=metrics.elapsed_ns,
        throughput_fps=metrics.throughput_fps,
        latency_p50_ns=metrics.latency_p50_ns,
        latency_p95_ns=metrics.latency_p95_ns,
        stages=[
            MeasuredStage(
                pipeline=s.pipeline,
                stage=s.stage,
                replicas=s.replicas,
                inferences=s.inferences,
                busy_ns=s.busy_ns,
                blocked_ns=s.blocked_ns,
                starved_ns=s.starved_ns,
                time_p50_ns=s.time_p50_ns,
            )
            for s in metrics.stages
        ],
        timeline=[
            MeasuredSlot(
                pipeline=s.pipeline,
                stage=s.stage,
                replica=s.replica,
                inference=s.inference,
                start_ns=s.start_ns,
                end_ns=s.end_ns,
            )
            for s in metrics.timeline
            if s.inference < TIMELINE_INFERENCES
        ],
    )


def measurement_json(measurement: Measurement) -> str:
    """Return the text of ``measured.json``."""
    return json.dumps(measurement.model_dump(mode="json")) + "\n"


def load_measurement(path: Path, plan: Plan) -> Measurement:
    """Read a measurement of a plan.

    Raises:
        PlanError: the file is missing or unreadable, no measurement, or one of another plan.
    """
    try:
        measurement = Measurement.model_validate_json(read_bounded_text(path, DOCUMENT))  # refuses what is no text
    except ValidationError as error:
        raise PlanError(f"{path} is not a measurement of a plan: {first_fault(error, 'the measurement')}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read: {error}") from None
    if (measurement.model_sha256, measurement.operations) != (plan.model.sha256, _operations(plan)):
        raise PlanError(f"{path} is a measurement of another plan")
    _check_stages(measurement, path, plan)
    return measurement


def _check_stages(measurement: Measurement, path: Path, plan: Plan) -> None:
    known = set(places(plan))
    strays = [
        slot
        for slot in measurement.timeline
        if Place(slot.pipeline, slot.stage, slot.replica) not in known or slot.end_ns < slot.start_ns
    ]
    stages = [(s.pipeline, s.stage) for s in measurement.stages]
    expected = [(p, k) for p, pipeline in enumerate(plan.pipelines) for k in range(len(pipeline.stages))]
    if stages != expected or strays:
        raise PlanError(f"{path} is damaged: its stages are not those of the plan")


def _operations(plan: Plan) -> list[list[list[list[int]]]]:
    return [[stage.op_ranges for stage in pipeline.stages] for pipeline in plan.pipelines]
